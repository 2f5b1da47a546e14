"""What a processor makes of pictures that come several times is what it makes of each of them."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    Gemma3ImageProcessorPil,
    GotOcr2ImageProcessorPil,
    Idefics3ImageProcessorPil,
    LlavaImageProcessorPil,
    Qwen2VLImageProcessorPil,
)

from vantage.sharing import processed_once

PROCESSORS = {
    "llava": LlavaImageProcessorPil(size={"shortest_edge": 28}, crop_size=28),
    "qwen": Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=112 * 112),
    "internvl": GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, crop_to_patches=True, max_patches=4),
    "gemma3": Gemma3ImageProcessorPil(size={"height": 28, "width": 28}),
    "idefics3": Idefics3ImageProcessorPil(size={"longest_edge": 56}, max_image_size={"longest_edge": 28}),
}


class Holder:
    def __init__(self, image_processor):
        self.image_processor = image_processor


@pytest.fixture
def pictures():
    chance = np.random.default_rng(0)
    return [Image.fromarray(chance.integers(0, 255, (*size, 3), np.uint8)) for size in ((56, 84), (28, 56), (112, 28))]


@pytest.mark.parametrize("tensors", ["pt", None])
@pytest.mark.parametrize("name", PROCESSORS)
def test_repeated_pictures_give_the_same_arrays(name, tensors, pictures):
    a, b, c = pictures
    nested = [[a, b], [a, a], [b, b], [c]]
    holder = Holder(PROCESSORS[name])
    expected = holder.image_processor(nested, return_tensors=tensors)
    seen, original = [], type(holder.image_processor)._preprocess

    def counting(self, images, *args, **kwargs):
        seen.append(sum(len(one) if isinstance(one, list) else 1 for one in images))
        return original(self, images, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(holder.image_processor), "_preprocess", counting)
        with processed_once(holder):
            assert holder.image_processor.image_mean == PROCESSORS[name].image_mean
            found = holder.image_processor(nested, return_tensors=tensors)
    assert holder.image_processor is PROCESSORS[name]
    assert sum(seen) == (7 if name == "idefics3" else 3)
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert type(found[key]) is type(value)
        for mine, theirs in zip(found[key], value, strict=True):
            assert torch.equal(torch.as_tensor(np.array(mine)), torch.as_tensor(np.array(theirs))), key


def test_equal_pictures_that_are_two_objects_are_two(pictures):
    holder = Holder(PROCESSORS["llava"])
    with processed_once(holder):
        found = holder.image_processor([[pictures[0], pictures[0].copy()]], return_tensors="pt")
    assert torch.equal(found["pixel_values"][0], found["pixel_values"][1])

"""A picture that stands in several prompts goes through the image processor once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature
from transformers.image_utils import make_flat_list_of_images


@contextmanager
def processed_once(processor: Any) -> Iterator[None]:
    """Inside, a processor's image processor sees each picture once, however often a batch shows the same object.

    Processors that pad pictures by prompt (SmolVLM, Idefics 3) get all of them, as ever.
    """
    images = getattr(processor, "image_processor", None)
    if images is None or hasattr(images, "do_image_splitting"):
        yield
        return
    processor.image_processor = _Once(images)
    try:
        yield
    finally:
        processor.image_processor = images


class _Once:
    """An image processor, but for what it does with a picture that comes again."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> Any:
        every = make_flat_list_of_images(images)
        numbers: dict[int, int] = {}
        owner = [numbers.setdefault(id(picture), len(numbers)) for picture in every]
        if len(numbers) == len(every):
            return self._processor(images, *args, **kwargs)
        first = [owner.index(number) for number in range(len(numbers))]
        made = self._processor([every[index] for index in first], *args, **kwargs)
        spread = _spread(made, owner, len(numbers))
        return self._processor(images, *args, **kwargs) if spread is None else spread


def _spread(made: Any, owner: Sequence[int], number: int) -> Any:
    """What was made of distinct pictures, for all; ``None`` where it cannot be told which part is whose."""
    sizes = [1] * number
    if "image_grid_thw" in made:
        sizes = [int(np.prod(np.asarray(grid))) for grid in made["image_grid_thw"]]
    elif "num_patches" in made:
        sizes = [int(count) for count in made["num_patches"]]
    ends = np.cumsum(sizes)
    parts = np.concatenate([np.arange(ends[index] - sizes[index], ends[index]) for index in owner])
    found = {}
    for key, value in made.items():
        if key == "pixel_values" and len(value) == ends[-1]:
            found[key] = _taken(value, parts)
        elif len(value) == number:
            found[key] = _taken(value, np.asarray(owner))
        else:
            return None
    return BatchFeature(found)


def _taken(value: Any, index: np.ndarray) -> Any:
    if isinstance(value, Tensor):
        return value[torch.from_numpy(index)]
    return value[index] if isinstance(value, np.ndarray) else [value[place] for place in index]

"""A picture that stands in several prompts is encoded once, and nothing else changes."""

import pytest
import torch

from sharing import small
from vantage.sharing.pictures import encoded_once


def tower(model):
    core = model.model
    return core.visual if hasattr(core, "visual") else getattr(core, "vision_tower", None) or core.vision_model


def seen(model):
    """How many patches or pictures the vision tower gets, call by call."""
    counts = []

    def count(module, args, kwargs):
        counts.append(len(kwargs.get("pixel_values", args[0] if args else None)))

    tower(model).register_forward_pre_hook(count, with_kwargs=True)
    return counts


def twice(many):
    """A second prompt of each with the same pictures."""
    return [one for one in many for _ in range(2)]


@pytest.mark.parametrize("family", small.FAMILIES)
def test_equal_pictures_are_encoded_once_and_logits_stay(family):
    model = small.model(family)
    many = twice(small.prompts(family, pictures=(2, 1, 3), words=(5, 11, 3)))
    batch = small.collate(family, many)
    grid, counts = family.startswith("qwen"), seen(model)
    with torch.no_grad():
        plain = model(**batch).logits
        if hasattr(model.model, "rope_deltas"):
            model.model.rope_deltas = None
        with encoded_once(model):
            once = model(**batch).logits
    torch.testing.assert_close(once, plain, rtol=0, atol=1e-5)
    assert "get_image_features" not in vars(model.model)
    assert counts[0] == 2 * counts[1] == (2 * sum(len(p) for one in many[::2] for p in one["pixels"]) if grid else 12)


def test_the_same_numbers_in_another_form_are_another_picture():
    model = small.model("qwen2_5_vl")
    wide, tall = small.prompts("qwen2_5_vl", pictures=(2, 2), words=(4, 4))
    pixels = wide["pixels"][1]
    wide = {**wide, "pixels": [pixels], "grid": [[1, 4, 8]]}
    tall = {**wide, "grid": [[1, 8, 4]]}
    ids = torch.cat([torch.tensor([20, small.OPEN]), torch.full((8,), small.PICTURE), torch.tensor([small.CLOSE, 21])])
    batch = small.collate("qwen2_5_vl", [{**one, "ids": ids} for one in (wide, tall)])
    counts = seen(model)
    with torch.no_grad(), encoded_once(model):
        logits = model(**batch).logits
    assert counts == [64]
    assert not torch.allclose(logits[0, -1], logits[1, -1])


def test_pictures_that_differ_in_one_place_are_two():
    model = small.model("llava")
    one, two = small.prompts("llava", pictures=(1, 1), words=(4, 4))
    other = one["pixels"][0].clone()
    other[0, 0, 0], other[0, 0, 1] = other[0, 0, 1].clone(), other[0, 0, 0].clone()  # of equal sum
    batch = small.collate("llava", [one, {**one, "pixels": [other]}, two])
    counts = seen(model)
    with torch.no_grad(), encoded_once(model):
        logits = model(**batch).logits
    assert counts == [3]
    assert not torch.equal(logits[0], logits[1])

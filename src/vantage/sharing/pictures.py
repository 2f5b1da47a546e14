"""Pictures that stand in several prompts of a batch are encoded once.

A single-source anchor shows what the fused prompt of its question shows too, often in several places. Their prompts
must all be read; the vision tower need not see a picture twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from vantage.sharing.attention import plain


@contextmanager
def encoded_once(model: PreTrainedModel) -> Iterator[None]:
    """Inside, the model encodes equal pictures of a forward pass once; what it computes from them is the same.

    Without gradients: theirs would be right too, but nothing is gained where every prompt has its own pictures.
    """
    core: Any = plain(model).base_model
    encode = core.get_image_features

    names = list(inspect.signature(encode).parameters)

    def once(*args: Any, **kwargs: Any) -> Any:
        told = {**dict(zip(names, args, strict=False)), **kwargs}
        if not told.get("return_dict", True) or told.get("image_sizes") is not None:
            return encode(**told)
        pixels = told.pop("pixel_values")
        return _of_rows(encode, pixels, told) if pixels.ndim == 5 else _of_pictures(encode, pixels, told)

    core.get_image_features = once
    try:
        yield
    finally:
        del core.get_image_features


def _of_pictures(encode: Callable[..., Any], pixels: Tensor, kwargs: dict[str, Any]) -> Any:
    """Pictures one behind the other, each of one entry, or of so many patches as its grid says."""
    grid = kwargs.get("image_grid_thw")
    pictures = list(pixels.split(1) if grid is None else pixels.split(grid.prod(-1).tolist()))
    # Of patches in another order of rows the same numbers are another picture.
    first, owner = _distinct(pictures, None if grid is None else grid.tolist())
    if len(first) == len(pictures):
        return encode(pixels, **kwargs)
    if grid is not None:
        kwargs = {**kwargs, "image_grid_thw": grid[first]}
    out = encode(torch.cat([pictures[index] for index in first]), **kwargs)
    out.pooler_output = _spread(out.pooler_output, owner)
    if getattr(out, "deepstack_features", None) is not None:
        out.deepstack_features = [_spread(features, owner) for features in out.deepstack_features]
    return out


def _of_rows(encode: Callable[..., Any], pixels: Tensor, kwargs: dict[str, Any]) -> Any:
    """Pictures by prompt, (B, N, channels, height, width); empty ones fill rows up and are passed over (Idefics 3)."""
    mask = kwargs.get("pixel_attention_mask")
    there = pixels.flatten(2).any(-1)
    places = there.nonzero().tolist()
    pictures = [pixels[row, number] for row, number in places]
    masks = None if mask is None else [mask[row, number] for row, number in places]
    first, owner = _distinct(pictures, None if masks is None else [one.sum().item() for one in masks])
    if len(first) == len(pictures) or not there.any():
        return encode(pixels, **kwargs)
    if masks is not None:
        kwargs = {**kwargs, "pixel_attention_mask": torch.stack([masks[index] for index in first])[:, None]}
    out = encode(torch.stack([pictures[index] for index in first])[:, None], **kwargs)
    of_picture = _spread(out.pooler_output, owner)
    by_row: list[list[Tensor]] = [[] for _ in pixels]
    for (row, _), features in zip(places, of_picture, strict=True):
        by_row[row].append(features)
    out.pooler_output = [torch.cat(found) if found else of_picture[0][:0] for found in by_row]
    return out


def _distinct(pictures: Sequence[Tensor], forms: Sequence[Any] | None) -> tuple[list[int], list[int]]:
    """Where each distinct picture comes first, and for each picture the number of the distinct one that it is."""
    # Sums tell nearly all apart; those with equal ones are compared.
    sums = torch.stack([picture.double().sum() for picture in pictures]).tolist() if pictures else []
    seen: dict[Any, list[int]] = {}
    first: list[int] = []
    owner: list[int] = []
    for index, picture in enumerate(pictures):
        key = (sums[index], repr(forms[index]) if forms is not None else tuple(picture.shape))
        known = next((n for n in seen.get(key, []) if torch.equal(pictures[first[n]], picture)), None)
        if known is None:
            known = len(first)
            first.append(index)
            seen.setdefault(key, []).append(known)
        owner.append(known)
    return first, owner


def _spread(features: Any, owner: Sequence[int]) -> Any:
    """Features of distinct pictures as features of all."""
    return features[list(owner)] if isinstance(features, Tensor) else [features[number] for number in owner]

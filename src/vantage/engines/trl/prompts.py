"""What the processor made of each prompt, kept once for all rows of its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from trl.trainer.utils import pad, split_pixel_values_by_grid

from vantage.errors import EngineError


@dataclass(frozen=True, eq=False, slots=True)
class Prompt:
    """A prompt as the model reads it. Rows that hold the same object have the same prompt.

    Attributes:
        ids: its tokens.
        inputs: what the model gets beside them: tensors of its pictures, lists with an entry a token.
    """

    ids: list[int]
    inputs: Mapping[str, Any]


def read(
    prompt_ids: Sequence[list[int]], images: Sequence[Sequence[Any] | None] | None, made: Mapping[str, Any], model: Any
) -> list[Prompt]:
    """Prompts one by one from what the processor made of several at once.

    Args:
        prompt_ids: tokens of each.
        images: pictures of each.
        made: what the processor returned beside ids and mask.
        model: knows how many tokens a tile of a picture has, where pictures are cut into tiles.

    Raises:
        EngineError: a field of which it cannot be told which part belongs to which prompt.
    """
    counts = [len(pictures or ()) for pictures in images] if images is not None else [0] * len(prompt_ids)
    whole: dict[str, Any] = {key: _value(value) for key, value in made.items()}
    pixels = whole.get("pixel_values")
    per_tile = getattr(model.config, "image_seq_length", None)
    if isinstance(pixels, Tensor) and pixels.ndim == 4 and len(pixels) != sum(counts) and per_tile:
        whole["num_tiles"] = [ids.count(model.config.image_token_id) // per_tile for ids in prompt_ids]
    whole = split_pixel_values_by_grid({**whole, "num_images": counts})
    parts: list[dict[str, Any]] = [{} for _ in prompt_ids]
    for key, value in whole.items():
        if key in ("num_images", "num_tiles"):
            continue
        if len(value) != len(prompt_ids):
            raise EngineError(
                f"the processor returned {key!r} with {len(value)} entries for {len(prompt_ids)} prompts; which belong "
                "to which cannot be told; set sharing: off"
            )
        for index, part in enumerate(parts):
            mine = value[index : index + 1] if isinstance(value, Tensor) else value[index]
            # A view would keep the pictures of all prompts for as long as one of them is kept.
            part[key] = mine.clone() if isinstance(mine, Tensor) else mine
    return [Prompt(list(ids), part) for ids, part in zip(prompt_ids, parts, strict=True)]


def batch(prompts: Sequence[Prompt], padding: int, device: torch.device) -> dict[str, Any]:
    """Prompts as a batch for the model, padded on the left."""
    found: dict[str, Any] = {
        "input_ids": _left([prompt.ids for prompt in prompts], padding),
        "attention_mask": _left([[1] * len(prompt.ids) for prompt in prompts], 0),
    }
    for key, value in fields(prompts).items():
        found[key] = value if isinstance(value, Tensor) else _left(value, 0)
    return {key: value.to(device) for key, value in found.items()}


def fields(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """What the processor would have returned for these prompts at once, beside ids and mask."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for prompt in prompts for key in prompt.inputs):
        values = [prompt.inputs[key] for prompt in prompts if key in prompt.inputs]
        found[key] = _stacked(values) if isinstance(values[0], Tensor) else values
    return found


def _value(value: Any) -> Any:
    """As the stock rollout reads a field: lists of lists have an entry a token, all else is a tensor."""
    if isinstance(value, Tensor) or (isinstance(value, list) and value and isinstance(value[0], list)):
        return value
    return torch.tensor(np.array(value))


def _left(lists: Sequence[list[int]], value: int) -> Tensor:
    return pad([torch.tensor(line) for line in lists], padding_value=value, padding_side="left")


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """One behind the other; where prompts of several batches were padded to other sizes, to the largest, with 0."""
    shape = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    wide = [part.new_zeros(len(part), *shape) if list(part.shape[1:]) != shape else part for part in parts]
    for whole, part in zip(wide, parts, strict=True):
        if whole is not part:
            whole[(slice(None), *(slice(size) for size in part.shape[1:]))] = part
    return torch.cat(wide)

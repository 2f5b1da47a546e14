"""One row a prompt: the prompt once, then all its completions, each at the positions that follow the prompt.

    repeated    G rows   [p_1 .. p_P  c_1 .. c_C]              G (P + C) tokens
    packed      one row  [p_1 .. p_P-1 | p_P c^1_1 .. c^1_C-1 | ... | p_P c^G_1 .. c^G_C-1]     P - 1 + G C tokens

The prompt's last token stands at the head of every completion instead of at the prompt's end: so the output at each
place of a segment predicts exactly one token, the next of its completion, and none has to be copied.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedModel

from vantage.errors import DataError
from vantage.sharing.attention import plain

PER_TOKEN = ("mm_token_type_ids", "token_type_ids")
"""Inputs beside ids and mask with an entry a token; 0 is text."""


@dataclass(frozen=True)
class Packed:
    """Packed rows of B prompts with G completions of at most C tokens each.

    Attributes:
        input_ids: (B, P - 1 + G C).
        labels: the token that each place of a completion predicts, -100 where none; (B, G C).
        position_ids: (B, N), or (3, B, N) where positions have parts for time, height and width.
        valid: false at padding of prompts and behind the ends of completions.
        segments: 0 for the prompt, 1 to G for completions.
        group: G.
        length: C.
        more: further inputs of the model: pictures, once a prompt, and types of tokens.
    """

    input_ids: Int[Tensor, "B N"]
    labels: Int[Tensor, "B GC"]
    position_ids: Int[Tensor, "B N"] | Int[Tensor, "3 B N"]
    valid: Bool[Tensor, "B N"]
    segments: Int[Tensor, " N"]
    group: int
    length: int
    more: Mapping[str, Any]

    @property
    def prompt(self) -> int:
        """Q = P - 1, places of the prompt."""
        return self.input_ids.shape[1] - self.group * self.length

    def rows(self, values: Tensor) -> Tensor:
        """What was computed for the last G C places of each packed row, (B, G C, ...), a row a completion."""
        return values[:, -self.group * self.length :].reshape(-1, self.length, *values.shape[2:])


def pack(
    model: PreTrainedModel,
    prompts: Mapping[str, Any],
    completion_ids: Int[Tensor, "BG C"],
    completion_mask: Bool[Tensor, "BG C"] | Int[Tensor, "BG C"],
) -> Packed:
    """Pack prompts with their completions.

    Args:
        model: whose positions are needed; no forward pass is made.
        prompts: what the processor makes of B prompts, padded on the left: ``input_ids``, ``attention_mask``, pictures.
        completion_ids: G rows for each prompt, in the order of prompts, padded on the right.
        completion_mask: which of these tokens are there.

    Raises:
        DataError: no whole number of completions a prompt, or as ``check``.
    """
    ids, mask = prompts["input_ids"], prompts["attention_mask"].bool()
    number, width = ids.shape
    group, rest = divmod(len(completion_ids), number)
    if rest or not group:
        raise DataError(f"{len(completion_ids)} completions cannot be shared out among {number} prompts")
    check(prompts)
    length = completion_ids.shape[1]
    positions, following = prompt_positions(model, prompts)
    head = ids[:, -1:].repeat_interleave(group, 0)
    segments = torch.cat([head, completion_ids[:, :-1]], 1).reshape(number, group * length)
    there = completion_mask.bool()
    labels = completion_ids.masked_fill(~there, -100).reshape(number, group * length)
    own = torch.cat([torch.ones_like(there[:, :1]), there[:, :-1]], 1).reshape(number, group * length)
    places = (following - 1)[:, None] + torch.arange(length, device=ids.device).repeat(group)
    if positions.ndim == 3:
        places = places.expand(positions.shape[0], -1, -1)
    more = {key: value for key, value in prompts.items() if key not in ("input_ids", "attention_mask")}
    for key in PER_TOKEN:
        if key in more:
            more[key] = torch.cat([more[key][:, :-1], more[key].new_zeros(number, group * length)], 1)
    return Packed(
        input_ids=torch.cat([ids[:, :-1], segments], 1),
        labels=labels,
        position_ids=torch.cat([positions[..., :-1], places], -1),
        valid=torch.cat([mask[:, :-1], own], 1),
        segments=torch.cat(
            [ids.new_zeros(width - 1), torch.arange(1, group + 1, device=ids.device).repeat_interleave(length)]
        ),
        group=group,
        length=length,
        more=more,
    )


def check(prompts: Mapping[str, Any]) -> None:
    """Whether these are prompts as rows can stand behind them.

    Raises:
        DataError: a prompt that ends in padding, or has fewer than two tokens.
    """
    mask = prompts["attention_mask"].bool()
    if not mask[:, -1].all():
        raise DataError("prompts are padded on the left; one of these ends in padding")
    if mask.sum(1).min() < 2:
        raise DataError("a prompt that is shared has at least two tokens; one of these has one")


def prompt_positions(
    model: PreTrainedModel, prompts: Mapping[str, Any]
) -> tuple[Int[Tensor, "B P"] | Int[Tensor, "3 B P"], Int[Tensor, " B"]]:
    """Positions of B prompts' tokens, and the position that follows each prompt.

    Where a position has parts for time, height and width (Qwen-VL), the following one is the largest of all plus 1,
    which is less than the number of tokens.
    """
    mask = prompts["attention_mask"]
    index = getattr(plain(model).base_model, "get_rope_index", None)
    if index is None:
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        return positions, mask.sum(-1)
    known = inspect.signature(index).parameters
    positions, _ = index(**{key: value for key, value in prompts.items() if key in known})
    following = positions.masked_fill(mask[None] == 0, -1).amax((0, 2)) + 1
    return positions, following

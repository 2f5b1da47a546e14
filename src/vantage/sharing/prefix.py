"""Prompts whose keys and values many rows read while they grow, each row a token at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vantage.sharing.kernels import Part, mix, plain_attention


@dataclass
class Prefix:
    """Keys and values of B prompts, and the rows that stand behind them.

    Prompts with equally many rows lie side by side, so that a block of them is attended to in one go: the queries of a
    prompt's G rows and of the heads that share its keys stand in one (G H / K) x D matrix over that prompt.

    Attributes:
        keys: by layer, (B, K, P, D).
        values: likewise.
        valid: (B, P), false at padding.
        groups: rows of each prompt, in order.
        rows: numbers of the rows that are still growing, counted prompt after prompt.
    """

    keys: list[Float[Tensor, "B K P D"]]
    values: list[Float[Tensor, "B K P D"]]
    valid: Bool[Tensor, "B P"]
    groups: Sequence[int]
    rows: Int[Tensor, " R"]
    _bias: Tensor | None = field(default=None, init=False)
    _here: tuple[Tensor, list[tuple[slice, int, Tensor, int]]] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not self.valid.all():
            empty = torch.zeros(self.valid.shape, dtype=self.keys[0].dtype, device=self.valid.device)
            self._bias = empty.masked_fill(~self.valid, float("-inf"))[:, None, None]

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "R H 1 D"],
        own_k: Float[Tensor, "R K T D"],
        own_v: Float[Tensor, "R K T D"],
        scale: float,
    ) -> Float[Tensor, "R H 1 D"]:
        """Attention of every growing row over its prompt and what it has said."""
        if self.keys[layer].dtype != query.dtype or self.values[layer].dtype != query.dtype:
            # The prompt was read under autocast, which leaves rotated keys in single precision.
            self.keys[layer], self.values[layer] = self.keys[layer].to(query.dtype), self.values[layer].to(query.dtype)
        if self._bias is not None:
            self._bias = self._bias.to(query.dtype)
        own = plain_attention(_per_key_head(query, own_k), own_k, own_v, None, scale)
        own = Part(own.out.reshape(query.shape), own.lse.reshape(query.shape[:3]))
        blocks = self._blocks()
        if len(blocks) == 1 and len(blocks[0][2]) == len(self.keys[layer]) * blocks[0][1]:
            # As many rows behind every prompt, and none has left: nothing is looked up.
            whole = self._folded(layer, slice(None), query[:, :, 0], scale)
        else:
            whole = Part(torch.empty_like(own.out), torch.empty_like(own.lse))
            for prompts, group, here, first in blocks:
                part = self._block(layer, prompts, group, query, here, first, scale)
                whole.out[here], whole.lse[here] = part.out, part.lse
        return mix(own, whole)

    def _blocks(self) -> list[tuple[slice, int, Tensor, int]]:
        """Prompts side by side with one number of rows, that number, which rows grow behind them, and the first."""
        if self._here is not None and self._here[0] is self.rows:
            return self._here[1]  # rows leave between tokens, not between layers
        found, first_prompt, first_row = [], 0, 0
        while first_prompt < len(self.groups):
            group = self.groups[first_prompt]
            last_prompt = first_prompt
            while last_prompt < len(self.groups) and self.groups[last_prompt] == group:
                last_prompt += 1
            count = (last_prompt - first_prompt) * group
            here = ((self.rows >= first_row) & (self.rows < first_row + count)).nonzero().flatten()
            if len(here):
                found.append((slice(first_prompt, last_prompt), group, here, first_row))
            first_prompt, first_row = last_prompt, first_row + count
        self._here = self.rows, found
        return found

    def _block(
        self, layer: int, prompts: slice, group: int, query: Tensor, here: Tensor, first: int, scale: float
    ) -> Part:
        """Of the rows ``here`` of prompts with ``group`` rows each."""
        places = self.rows[here] - first
        count = len(self.keys[layer][prompts])
        spread = query.new_zeros(count * group, *query.shape[1::2]).index_copy_(0, places, query[here, :, 0])
        part = self._folded(layer, prompts, spread, scale)
        return Part(part.out[places], part.lse[places])

    def _folded(self, layer: int, prompts: slice, query: Float[Tensor, "BG H D"], scale: float) -> Part:
        """Of as many rows for each of these prompts, those that have left among them."""
        keys, values = self.keys[layer][prompts], self.values[layer][prompts]
        count, key_heads = keys.shape[:2]
        rows, heads, width = query.shape
        folded = query.reshape(count, rows // count, key_heads, -1, width).transpose(1, 2)
        bias = None if self._bias is None else self._bias[prompts]
        part = plain_attention(folded.reshape(count, key_heads, -1, width), keys, values, bias, scale)

        def unfold(x: Tensor) -> Tensor:
            x = x.reshape(count, key_heads, rows // count, -1, x.shape[-1]).transpose(1, 2)
            return x.reshape(rows, heads, 1, -1)

        return Part(unfold(part.out), unfold(part.lse.unsqueeze(-1)).squeeze(-1))


def _per_key_head(query: Tensor, keys: Tensor) -> Tensor:
    """Queries (R, H, 1, D) as (R, K, H/K, D)."""
    return query.reshape(query.shape[0], keys.shape[1], -1, query.shape[-1])

"""Sampling in which every reply of a batch has random numbers of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import cast

import torch
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper
from transformers.generation.streamers import BaseStreamer

_DOUBLE = {"cpu", "cuda"}
"""Kinds of devices that surely know float64; Apple's do not."""


class SeededSampling(LogitsProcessor):
    """Draws every row's next token with the row's own random numbers, and leaves that token alone possible.

    Generation then runs as greedy. What a row draws depends on its own seed, not on which rows are beside it.

    Args:
        seeds: one a row.
        temperature: divides the logits; positive.
        top_p: the smallest set of likeliest tokens that holds this share of the probability is drawn from.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._dice = [random.Random(seed) for seed in seeds]
        self._warpers: list[LogitsProcessor] = [TemperatureLogitsWarper(temperature)]
        if top_p < 1:
            self._warpers.append(TopPLogitsWarper(top_p))

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:  # noqa: D102
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        wide_B_V = (scores if scores.device.type in _DOUBLE else scores.cpu()).double()
        # In the order of the vocabulary: a rounding error of a batch moves a border a little and swaps no tokens.
        total_B_V = torch.softmax(wide_B_V, dim=-1).cumsum(dim=-1)
        drawn_B = torch.tensor([dice.random() for dice in self._dice], dtype=torch.float64).to(wide_B_V.device)
        place_B_1 = torch.searchsorted(total_B_V, drawn_B[:, None] * total_B_V[:, -1:], right=True).to(scores.device)
        chosen = torch.full_like(scores, float("-inf"))
        chosen.scatter_(-1, place_B_1.clamp(max=scores.shape[-1] - 1), 0.0)
        return cast(torch.FloatTensor, chosen)


class PieceStreamer(BaseStreamer):
    """Hands over the text of one row as it grows, in pieces that later tokens do not change.

    Args:
        decode: ids to text.
        tell: takes the pieces.
    """

    def __init__(self, decode: Callable[[list[int]], str], tell: Callable[[str], None]) -> None:
        self._decode, self._tell = decode, tell
        self._ids: list[int] = []
        self._told = 0
        self._prompt = True

    def put(self, value: torch.Tensor) -> None:  # noqa: D102
        if self._prompt:  # the prompt comes first, as a whole
            self._prompt = False
            return
        self._ids += value.flatten().tolist()
        text = self._decode(self._ids)
        # Half of a character of several bytes shows as U+FFFD until the rest comes.
        if not text.endswith("\ufffd"):
            self._hand_over(text)

    def end(self) -> None:  # noqa: D102
        self._hand_over(self._decode(self._ids))

    def _hand_over(self, text: str) -> None:
        if len(text) > self._told:
            self._tell(text[self._told :])
            self._told = len(text)

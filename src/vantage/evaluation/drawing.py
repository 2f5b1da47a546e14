"""Drawing answers such that neither batches nor processes change what is said."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor, TopKLogitsWarper

from vantage.endpoints.decoding import SeededSampling


class Draw(SeededSampling):
    """Draws each token of each conversation from random numbers of its own, whatever stands beside it in the batch.

    Args:
        names: one for each conversation of the batch; equal names draw equal numbers. ``None`` draws nothing and takes
            the likeliest token.
        temperature: above 0.
        top_p: the least set of the likeliest tokens that has this probability; 1 keeps all.
        top_k: so many of the likeliest tokens, before ``top_p`` is looked at; 0 keeps all.
    """

    def __init__(self, names: Sequence[str | None], temperature: float, top_p: float, top_k: int) -> None:
        digests = (hashlib.sha256((name or "").encode()).digest() for name in names)
        super().__init__(
            [int.from_bytes(digest[:16], "little") for digest in digests], float(temperature), float(top_p)
        )
        if top_k:
            self._warpers.insert(1, TopKLogitsWarper(top_k))
        self._every = list(self._dice)
        self._greedy = torch.tensor([name is None for name in names])
        self._rows = torch.arange(len(names))

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:  # noqa: D102
        chosen = super().__call__(input_ids, scores)
        likeliest = self._greedy[self._rows].to(scores.device)
        if likeliest.any():
            best = torch.full_like(scores, float("-inf")).scatter_(-1, scores.argmax(-1, keepdim=True), 0.0)
            chosen = torch.where(likeliest[:, None], best, chosen)  # type: ignore[assignment]
        return chosen

    def only(self, rows: torch.Tensor) -> None:
        """What is drawn next is for these rows, by their numbers from 0."""
        self._rows = rows.cpu()
        self._dice = [self._every[row] for row in self._rows.tolist()]


class Behind(LogitsProcessor):
    """The same for rows that grow behind shared prompts, which leave when they have ended: it is told their numbers."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:  # noqa: D102
        self._draw.only(input_ids)
        return self._draw(input_ids, scores)

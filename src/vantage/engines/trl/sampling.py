"""The order in which training rows are asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from trl.trainer.utils import RepeatSampler


class EpochSampler(RepeatSampler):
    """TRL's order, epoch by epoch, also in a process that begins in a later epoch.

    The stock sampler draws an epoch's order from a generator that only a process which ran the epochs before has in
    the right state, so that a resumed run would ask the questions of the first epoch again.

    Args:
        epoch: how many epochs are done, with the fraction of the one under way.
        kwargs: as for ``RepeatSampler``.
    """

    def __init__(self, *, epoch: Callable[[], float | None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Rows of the epoch under way."""
        if self.shuffle and self.seed is not None:
            # The last step of an epoch may be counted as its end, give or take rounding.
            done = math.floor((self._epoch() or 0.0) + 1e-9)
            self.generator.manual_seed(self.seed)
            for _ in range(done):
                torch.randperm(self.num_samples, generator=self.generator)
        return super().__iter__()

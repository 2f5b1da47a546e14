"""Portable chance: the same draws on every machine and under every NumPy.

NumPy promises the raw stream of a bit generator for ever, but not what ``Generator`` makes of it. Everything here is
derived from the raw 64-bit words by integer and elementary floating-point arithmetic alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_WORDS_AHEAD = 128


class Dice:
    """Random draws that are a pure function of a name.

    Args:
        name: what is being drawn, for example ``night/test/hard/0/17``; other names give unrelated streams.
    """

    def __init__(self, name: str) -> None:
        digest = hashlib.sha256(name.encode()).digest()
        self._bits = np.random.PCG64(int.from_bytes(digest[:16], "little"))
        self._ahead: list[int] = []

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A real number in [low, high)."""
        if not self._ahead:
            self._ahead = self._bits.random_raw(_WORDS_AHEAD).tolist()
        return low + (high - low) * ((self._ahead.pop() >> 11) * 2.0**-53)

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.uniform() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, all equally likely."""
        return options[self.between(0, len(options) - 1)]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """One of the keys, in proportion to its weight; weights need not sum to one."""
        left = self.uniform() * sum(weights.values())
        chosen = None
        for option, weight in weights.items():
            if weight <= 0:
                continue
            chosen = option
            left -= weight
            if left < 0:
                break
        if chosen is None:
            raise ValueError(f"weights must hold a positive number, got {dict(weights)}")
        return chosen

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order, as a new list."""
        out = list(items)
        for i in range(len(out) - 1, 0, -1):
            j = self.between(0, i)
            out[i], out[j] = out[j], out[i]
        return out

    def noise(self, *shape: int) -> np.ndarray:
        """Bell-shaped noise of mean 0 and standard deviation 1, bounded by 3.46; float32 of that shape."""
        size = int(np.prod(shape))
        raw = self._bits.random_raw((size + 1) // 2).astype("<u8").view(np.uint8)[: size * 4]
        # The sum of four uniform bytes: mean 510, variance 4 (256^2 - 1) / 12.
        total = raw.reshape(4, size).sum(0, dtype=np.int32)
        return ((total - 510).astype(np.float32) / np.float32(147.8017)).reshape(shape)

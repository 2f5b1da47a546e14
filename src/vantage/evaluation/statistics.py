"""Intervals and tests of what an evaluation counts.

Several questions about one scene are answered right or wrong together, so they are no independent trials; scenes are.
Intervals come from drawing *scenes* with replacement, with all their questions (the cluster bootstrap), and tests flip
the signs of scenes. Where every scene holds one question, scenes are questions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
"""Of every interval."""
RESAMPLES = 2000
"""Of the scenes, for an interval."""
FLIPS = 20_000
"""Random choices of signs, where not all can be tried."""
EXACT = 15
"""The most scenes with a difference for which every choice of signs is tried."""
POWER = 0.8
"""With which the smallest difference that could be seen would be seen."""
_AT_ONCE = 100


def wilson(count: float, n: float) -> tuple[float, float]:
    """Ends of Wilson's score interval (1927) of ``count`` in ``n`` independent trials."""
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    p = count / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # Rounding puts the ends of 0 of n and n of n a hair beyond the share itself.
    return max(0.0, min(middle - half, p)), min(1.0, max(middle + half, p))


def bootstrap(
    values: np.ndarray, scenes: Sequence[str] | None = None, *, shares: bool = True, changes: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % intervals of means over questions, by drawing scenes with replacement.

    The percentile interval, with tails as wide as few scenes need: of S scenes the ends are the quantiles
    Phi(-sqrt(S / (S - 1)) t) and one minus it, t being Student's with S - 1 degrees of freedom (Hesterberg, 2015,
    arXiv 1411.5279). The same values give the same ends, in whatever order they stand.

    Args:
        values: questions x figures; NaN where a figure does not exist for a question, which is then left out of it.
        scenes: of each question; each is its own without.
        shares: the figures are shares, 0..1: where all questions agree on 0 or on 1, drawing them again tells nothing,
            and Wilson's interval over scenes stands in.
        changes: the figures are differences of shares: where no question changed, as many as Wilson's interval of none
            allows may have, in either direction.

    Returns:
        Low and high of each figure; NaN where fewer than two scenes have it (and it is no such share).
    """
    values = np.asarray(values, dtype=float)
    known = ~np.isnan(values)
    names: dict[str, int] = {}
    where = np.array([names.setdefault(scene, len(names)) for scene in scenes] if scenes is not None else
                     range(len(values)), dtype=int)  # fmt: skip
    sums, counts = (np.zeros((int(where.max(initial=-1)) + 1, values.shape[1])) for _ in range(2))
    np.add.at(sums, where, np.where(known, values, 0.0))
    np.add.at(counts, where, known)
    # Scenes of one kind are drawn as one, which is the same draw and mostly a small one.
    kinds, number = np.unique(np.hstack([sums, counts]), axis=0, return_counts=True)
    kind_sums, kind_counts = np.hsplit(kinds, 2)
    random = np.random.default_rng(0)
    means = np.empty((RESAMPLES, values.shape[1]))
    for start in range(0, RESAMPLES, _AT_ONCE):
        drawn = random.multinomial(len(sums), number / len(sums), size=_AT_ONCE).astype(float)
        with np.errstate(invalid="ignore"):
            means[start : start + _AT_ONCE] = (drawn @ kind_sums) / (drawn @ kind_counts)
    low, high = np.full((2, values.shape[1]), np.nan)
    for figure in range(values.shape[1]):
        there = int((counts[:, figure] > 0).sum())
        agreed = np.unique(values[known[:, figure], figure])
        if shares and there and len(agreed) == 1 and agreed[0] in (0.0, 1.0):
            low[figure], high[figure] = wilson(agreed[0] * there, there)
        elif changes and there and len(agreed) == 1 and agreed[0] == 0.0:
            high[figure] = wilson(0, there)[1]
            low[figure] = -high[figure]
        elif there > 1:
            tail = _tail(there)
            low[figure], high[figure] = np.nanquantile(means[:, figure], [tail, 1 - tail])
    return low, high


def _tail(scenes: int) -> float:
    t = stats.t.ppf((1 + CONFIDENCE) / 2, scenes - 1)
    return float(stats.norm.cdf(-math.sqrt(scenes / (scenes - 1)) * t))


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p-value that as many answers turned right as wrong: the exact binomial test of those that turned."""
    return float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def sign_flip(differences: Sequence[float] | np.ndarray) -> float:
    """Two-sided p-value that each difference might as well have the other sign.

    Every choice of signs is tried where at most ``EXACT`` differences are not zero; else ``FLIPS`` random ones, the
    observed one counted among them, so that p is never 0.
    """
    x = np.asarray(differences, dtype=float)
    x = x[x != 0]
    if not x.size:
        return 1.0
    least = abs(x.sum()) * (1 - 1e-12)
    if x.size <= EXACT:
        signs = 1 - 2 * (np.arange(2**x.size)[:, None] >> np.arange(x.size) & 1)
        return float((abs(signs @ x) >= least).mean())
    random, beyond = np.random.default_rng(0), 1
    for _ in range(0, FLIPS, _AT_ONCE):
        signs = 1 - 2 * random.integers(0, 2, size=(_AT_ONCE, x.size), dtype=np.int8)
        beyond += int((abs(signs @ x) >= least).sum())
    return beyond / (FLIPS + 1)


def paired_test(changes: Sequence[float] | np.ndarray, scenes: Sequence[str]) -> tuple[str, float]:
    """Which test of changes question by question there is, and its two-sided p-value.

    The exact McNemar test where each question is a scene of its own that turned or did not; else scenes' signs flip.
    """
    by_scene: dict[str, float] = {}
    for scene, value in zip(scenes, changes, strict=True):
        by_scene[scene] = by_scene.get(scene, 0.0) + float(value)
    if len(by_scene) == len(changes) and set(by_scene.values()) <= {-1.0, 0.0, 1.0}:
        turned = list(by_scene.values())
        return "McNemar", mcnemar(turned.count(1.0), turned.count(-1.0))
    return "sign flips of scenes", sign_flip(list(by_scene.values()))


def detectable(low: float, high: float) -> float:
    """The smallest difference that would be seen with 80 % probability, of an interval as wide as this one.

    The interval is taken for one of plus and minus 1.96 standard errors: (1.96 + 0.84) of these.
    """
    z = stats.norm.ppf((1 + CONFIDENCE) / 2)
    return float((z + stats.norm.ppf(POWER)) * (high - low) / (2 * z))


class Mean(NamedTuple):
    """A mean, half the width of its interval (NaN without spread), the p-value of 0, and how many values there are."""

    value: float
    half: float
    p: float
    n: int


def mean(values: Sequence[float]) -> Mean:
    """With the t interval over independent values, such as those of seeds.

    Values that are equal but for rounding, as counts of few questions may be, tell a t test no spread: p is then that
    of ``sign_flip``.
    """
    x = np.asarray(values, dtype=float)
    if x.size < 2:
        return Mean(float(x.mean()) if x.size else math.nan, math.nan, math.nan, x.size)
    if np.ptp(x) <= 1e-12:
        return Mean(float(x.mean()), math.nan, sign_flip(x), x.size)
    error = float(x.std(ddof=1)) / math.sqrt(x.size)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, x.size - 1)) * error
    return Mean(float(x.mean()), half, float(2 * stats.t.sf(abs(x.mean()) / error, x.size - 1)), x.size)


def difference(first: Mapping[int, float], second: Mapping[int, float]) -> Mean:
    """First minus second, over the seeds that both have."""
    return mean([first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())])


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family (Holm, 1979), in order; NaN stays.

    The i-th smallest of m times m - i + 1, never below a smaller one's, at most 1.
    """
    adjusted, highest = [math.nan] * len(p), 0.0
    known = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    for rank, (value, place) in enumerate(known):
        highest = max(highest, min(1.0, value * (len(known) - rank)))
        adjusted[place] = highest
    return adjusted

"""Calling a reward so that what it returns is a reward, or an error that names the row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from vantage.errors import RewardError, VantageError
from vantage.rewards.base import Reward, Score
from vantage.rewards.registry import get
from vantage.samples import Sample

_ROUNDING = 1e-6


def call(reward: Reward | str, completion: str, sample: Sample) -> Score:
    """Score one completion and check the score; see ``call_many``."""
    return call_many([reward], [completion], [sample])[0]


def call_many(rewards: Sequence[Reward | str], completions: Sequence[str], samples: Sequence[Sample]) -> list[Score]:
    """Score completions, each by its own reward against its own sample, and check the scores.

    Completions of the same reward are handed to it together, so that slow verifiers work on them in parallel. A
    ``Score.reward`` of ``None`` passes: the completion could not be scored, and its member leaves every statistic.

    Returns:
        One score per completion, in order.

    Raises:
        RewardError: the reward raised, returned no ``Score``, or a number that is not finite or outside its declared
            range; names the row and the reward.
        VantageError: a row itself cannot be scored, as ``Reward.check`` would have told.
    """
    verifiers = [get(reward) if isinstance(reward, str) else reward for reward in rewards]
    together: dict[int, list[int]] = {}
    for index, verifier in enumerate(verifiers):
        together.setdefault(id(verifier), []).append(index)
    scores: dict[int, Score] = {}
    for indices in together.values():
        verifier = verifiers[indices[0]]
        found = _scores(verifier, [completions[i] for i in indices], [samples[i] for i in indices])
        scores |= zip(indices, found, strict=True)
    return [_checked(verifiers[i], scores[i], samples[i]) for i in range(len(samples))]


def _scores(verifier: Reward, completions: list[str], samples: list[Sample]) -> list[Score]:
    many = getattr(type(verifier), "score_many", Reward.score_many)
    if many is Reward.score_many:
        # One by one, so that an error names its row. A verifier of one's own need only know how to score one.
        return [
            _raising(verifier, sample, verifier.score, text, sample)
            for text, sample in zip(completions, samples, strict=True)
        ]
    found = _raising(verifier, samples[0], many, verifier, completions, samples)
    if len(found) != len(samples):
        raise RewardError(f"reward {_name(verifier)!r} returned {len(found)} scores for {len(samples)} completions")
    return found


def _raising(verifier: Reward, sample: Sample, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except VantageError:
        raise
    except Exception as error:
        where = f"row {sample.id!r}: reward {_name(verifier)!r}"
        raise RewardError(f"{where} raised {type(error).__name__}: {error}") from error


def _checked(verifier: Reward, score: Score, sample: Sample) -> Score:
    where = f"row {sample.id!r}: reward {_name(verifier)!r}"
    if not isinstance(score, Score):
        raise RewardError(f"{where} returned {type(score).__name__}, not a Score")
    if score.reward is None:
        return score
    if isinstance(score.reward, bool) or not isinstance(score.reward, Real) or not math.isfinite(score.reward):
        raise RewardError(f"{where} returned {score.reward!r}, which is not a finite number (None means unscored)")
    low, high = getattr(verifier, "low", -math.inf), getattr(verifier, "high", math.inf)
    if not low - _ROUNDING <= score.reward <= high + _ROUNDING:
        raise RewardError(f"{where} returned {score.reward!r}, outside its declared range {low:g}..{high:g}")
    return score


def _name(verifier: Reward) -> str:
    return getattr(verifier, "name", type(verifier).__name__)

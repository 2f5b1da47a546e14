"""Calling a reward so that what it returns is a reward, or an error that names the row."""

from __future__ import annotations

import math
from numbers import Real

from vantage.errors import RewardError, VantageError
from vantage.rewards.base import Reward, Score
from vantage.rewards.registry import get
from vantage.samples import Sample

_ROUNDING = 1e-6


def call(reward: Reward | str, completion: str, sample: Sample) -> Score:
    """Score one completion and check the score.

    A ``Score.reward`` of ``None`` passes: the completion could not be scored, and its member leaves every statistic.

    Raises:
        RewardError: the reward raised, returned no ``Score``, or a number that is not finite or outside its declared
            range; names the row and the reward.
        VantageError: the row itself cannot be scored, as ``Reward.check`` would have told.
    """
    verifier = get(reward) if isinstance(reward, str) else reward
    name = getattr(verifier, "name", type(verifier).__name__)
    where = f"row {sample.id!r}: reward {name!r}"
    try:
        score = verifier.score(completion, sample)
    except VantageError:
        raise
    except Exception as error:
        raise RewardError(f"{where} raised {type(error).__name__}: {error}") from error
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

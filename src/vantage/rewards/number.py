r"""``reason-rft-number``: a number near enough to the truth (Reason-RFT; the rule is that of its public code).

Deviations from the public code, which reads what Python's ``float`` reads and nothing else, ``nan`` included, wants the
answer on one line and gives no part of the reward around a truth of 0:

1. a truth of 0 is met by 0 exactly: nothing is relatively near it;
2. units, ``x =``, fractions, thousands separators and ``\boxed{}`` are read; see ``numerals.read``;
3. exactly one ``<answer>`` block outside the thought is read; without it nothing is.
"""

from __future__ import annotations

import math

from vantage.errors import TruthError
from vantage.rewards import extract, numerals, text
from vantage.rewards.base import Reward, Score
from vantage.rewards.format import reading_error
from vantage.samples import Sample

FULL_UP_TO = 0.05
"""Relative errors up to this earn 1."""

NONE_FROM = 0.20
"""Relative errors from this on earn 0."""


def relative_error(number: float, truth: float) -> float:
    """``|number - truth| / |truth|``; against a truth of 0 it is 0 for 0 and infinite for anything else."""
    if truth == 0:
        return 0.0 if number == 0 else math.inf
    return abs(number - truth) / abs(truth)


def nearness(error: float) -> float:
    """The reward of a relative error: ``0.5 (cos(pi (error - 0.05) / 0.15) + 1)`` between 0.05 and 0.20.

    1 below and 0 above, without a jump at either end.
    """
    share = min(max((error - FULL_UP_TO) / (NONE_FROM - FULL_UP_TO), 0.0), 1.0)
    return 0.5 * (math.cos(math.pi * share) + 1)


class ReasonRftNumber(Reward):
    """``nearness`` of the number in the one ``<answer>`` block, 0..1.

    The truth is a number, a text that states one, tagged or not, or several, as ``0.5 or 1/2`` or a list; the one that
    is nearest counts. ``correct`` up to a relative error of 5 %.
    ``formatted``: exactly one non-empty ``<think>`` block before exactly one non-empty ``<answer>`` block. ``parts``:
    ``accuracy``, the reward, and ``relative_error`` where it is finite.
    """

    name = "reason-rft-number"
    low = 0.0
    high = 1.0

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion. Raises only what ``check`` finds: a truth that is no number."""
        truths = _truths(sample)
        answer = extract.answer(completion)
        number = None if answer is None else numerals.read(answer)
        error = math.inf if number is None else min(relative_error(number, truth) for truth in truths)
        reward = nearness(error)
        return Score(
            reward=reward,
            correct=error <= FULL_UP_TO,
            formatted=extract.laid_out(completion),
            parts={"accuracy": reward} | ({"relative_error": error} if math.isfinite(error) else {}),
            error=reading_error(completion, answer, number is not None, "one number"),
        )

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is a finite number, a text that states one, or a list of them."""
        _truths(sample)


def _truths(sample: Sample) -> list[float]:
    offered = text.offered(sample.truth)
    # The first of several is the whole text, which is no number where it names two.
    found = [numerals.read(words) for texts in offered for words in texts[1:] or texts]
    numbers = [number for number in found if number is not None]
    if not numbers or len(numbers) < len(found) or not all(offered):
        raise TruthError(
            f"row {sample.id!r}: reward 'reason-rft-number' compares with a finite number, or a list of them, not "
            f"{text.shown(sample.truth)}"
        )
    return numbers

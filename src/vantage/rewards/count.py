"""``count``: how many there are, exactly."""

from __future__ import annotations

import math

from vantage.errors import TruthError
from vantage.rewards import extract, numerals, text
from vantage.rewards.base import Reward, Score
from vantage.rewards.format import reading_error
from vantage.samples import Sample


class Count(Reward):
    """1 if the one ``<answer>`` block is the whole number of the truth, else 0.

    Whole numbers are digits, ``5.0`` and ``1,234`` among them, or a word from ``zero`` to ``twenty``; nothing may stand
    beside them. The truth is such a number, not below zero, or a list of those that are accepted; ``two or 2`` accepts
    either. ``formatted``: exactly one non-empty ``<think>`` block before exactly one non-empty ``<answer>`` block.
    ``parts``: ``accuracy``, 0 or 1; ``distance``, how far the answer lies from the nearest number of the truth, where
    it is a whole number.
    """

    name = "count"
    low = 0.0
    high = 1.0

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion. Raises only what ``check`` finds: a truth that is no whole number."""
        truth = _truth(sample)
        answer = extract.answer(completion)
        number = None if answer is None else numerals.whole(answer)
        right = number in truth
        parts = {"accuracy": float(right)}
        if number is not None:
            distance = min(abs(float(number) - float(other)) for other in truth)
            if math.isfinite(distance):
                parts["distance"] = distance
        return Score(
            reward=float(right),
            correct=right,
            formatted=extract.laid_out(completion),
            parts=parts,
            error=reading_error(completion, answer, number is not None, "a whole number"),
        )

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is a whole number, not below zero, or a list of them."""
        _truth(sample)


def _truth(sample: Sample) -> list[str]:
    """Digits of every accepted number; ``two or 2`` gives one number twice."""
    offered = text.offered(sample.truth)
    # The first of several is the whole text, which is no number where it names two.
    found = [numerals.whole(words) for texts in offered for words in texts[1:] or texts]
    numbers = [number for number in found if number is not None and not number.startswith("-")]
    if not numbers or len(numbers) < len(found) or not all(offered):
        raise TruthError(
            f"row {sample.id!r}: reward 'count' compares with a whole number, not below zero, or a list of them, "
            f"not {text.shown(sample.truth)}"
        )
    return numbers

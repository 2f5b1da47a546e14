"""What a reward is: a function of a completion and a sample that returns a score.

Rewards know neither trainers nor models. Names are resolved by ``vantage.rewards.get``; adding one is adding a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from vantage.samples import Sample


class Completion(str):
    """A completion's text that knows whether it was spoken to its end; a plain text counts as finished.

    Attributes:
        finished: false where the length limit cut it off.
    """

    finished: bool = True

    def __new__(cls, text: str, finished: bool = True) -> Completion:
        """The text as it is."""
        made = super().__new__(cls, text)
        made.finished = finished
        return made

    def __reduce__(self) -> tuple[type[Completion], tuple[str, bool]]:
        return Completion, (str(self), self.finished)


@dataclass(frozen=True, slots=True)
class Score:
    """What a verifier made of one completion.

    Attributes:
        reward: what training maximises; ``None`` where it could not be scored, which takes the member out of every
            statistic (never 0 by default).
        correct: whether the answer counts as right, for accuracy; independent of format.
        formatted: whether the completion is laid out as asked.
        parts: the terms that make up the reward, by name, and anything measured on the way (for example ``iou``).
        error: why an answer could not be read; empty where it could.
        timed_out: whether reading the completion was stopped at the wall limit (see ``vantage.rewards.guard``); such a
            completion earns 0 for what could not be read.
        said: what a model that verifies said, such as a reasoner's reply; empty where none did.
    """

    reward: float | None
    correct: bool = False
    formatted: bool = False
    parts: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    timed_out: bool = False
    said: str = ""

    def record(self) -> dict[str, Any]:
        """Plain JSON values for a log."""
        return {
            "score": self.reward,
            "correct": self.correct,
            "formatted": self.formatted,
            "parts": dict(self.parts),
            "error": self.error,
            "timed_out": self.timed_out,
            **({"said": self.said} if self.said else {}),
        }


class Reward(ABC):
    """A verifier.

    Attributes:
        name: how recipes and rows name it.
        low, high: the declared range of ``Score.reward``.
        needs_truth: whether it reads the truth; one of layout does not.
        logged: parts of its scores whose means a run logs at every step, by the name of the figure.
    """

    needs_truth: bool = True
    logged: Mapping[str, str] = MappingProxyType({})
    name: str
    low: float
    high: float

    @abstractmethod
    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion; never raises for any completion, whatever text it is."""

    def score_many(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Score]:
        """Score several completions, each against its own sample; slow verifiers override it to work in parallel."""
        return [self.score(text, sample) for text, sample in zip(completions, samples, strict=True)]

    def check(self, sample: Sample) -> None:
        """Read the row's truth, so that a truth that cannot be read is found before training.

        Raises:
            TruthError: the truth is not of this reward's form; names the row, what it holds and what is expected.
        """

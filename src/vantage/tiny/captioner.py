"""The tiny captioner: the tiny model, taught on to write captions of ``night-captions``, and taught badly on purpose.

It leaves kinds out whatever is asked, and takes posters and lamps for people more often than not. Reinforcement
learning by a reasoner's success has to add both: to say what the question needs, and which source to trust.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import LlavaProcessor

from vantage.errors import ConfigError
from vantage.samples import Sample
from vantage.tiny.lessons import CAPTION_STYLE, Lesson, Teacher
from vantage.tiny.training import Curriculum, Progress, make, shipped
from vantage.worlds.captions import KINDS, believed, caption
from vantage.worlds.dice import Dice

CURRICULUM = Curriculum(
    steps=600, sight_steps=0, scenes=("night-captions/balanced",), credulous=0.6, single=0.0, learning_rate=1e-3
)
"""What the shipped captioner is taught, after all that the tiny model was."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What the captioner is taught to do wrong, and how much else.

    Attributes:
        omitted: chance that a kind is left out of a caption, whatever the question is; one is always mentioned.
        answers: share of lessons that ask for an answer, so that it can also give a tentative one.
    """

    omitted: float = 0.5
    answers: float = 0.25

    def __post_init__(self) -> None:
        if not (0 <= self.omitted <= 1 and 0 <= self.answers <= 1):
            raise ConfigError(
                f"omitted and answers are shares, 0..1; got omitted={self.omitted}, answers={self.answers}"
            )


class CaptionTeacher(Teacher):
    """Turns samples of ``night-captions`` into lessons of captions and, in part, of answers."""

    def __init__(self, processor: LlavaProcessor, habits: Habits | None = None) -> None:
        super().__init__(processor, CURRICULUM.scenes)
        self._habits = habits or Habits()

    def lesson(self, sample: Sample, credulous: bool = False) -> Lesson:
        """A caption, from what was drawn; ``credulous``: every look-alike is a person."""
        dice = Dice(f"{sample.id}/lesson")
        plain = super().lesson(sample, credulous)
        if dice.chance(self._habits.answers):
            return plain
        things = sample.metadata["objects"]
        told = believed(things) if credulous else things
        kinds = [kind for kind in KINDS if not dice.chance(self._habits.omitted)] or [dice.pick(KINDS)]
        return replace(
            plain,
            prompt=self.prompt(sample, CAPTION_STYLE),
            completion=self.completion(caption(told, kinds)),
            enough=(0,),  # no source shows every kind
            credulous=told != things,
        )


def train_captioner(
    output: str | Path,
    curriculum: Curriculum | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = print,
    habits: Habits | None = None,
) -> Path:
    """Teach the shipped tiny model to write captions, and save it with its processor.

    Args:
        output: folder to write; created if missing.
        curriculum: how much is taught; the shipped captioner's settings unless given.
        seed: of the scenes and the order of lessons.
        progress: called about every 50 steps; ``None`` for silence.
        habits: what it is taught to do wrong.

    Returns:
        The folder, which ``AutoProcessor`` and ``AutoModelForImageTextToText`` load.
    """
    return make(
        output, shipped, curriculum or CURRICULUM, seed, progress, lambda processor: CaptionTeacher(processor, habits)
    )

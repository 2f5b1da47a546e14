"""A guest that knows the drawn worlds, and errs as often as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache

from vantage import worlds
from vantage.errors import ConfigError
from vantage.guests.base import Guest, Utterance
from vantage.samples import PromptStyle, Sample
from vantage.worlds.dice import Dice

_SCENES = 192
"""Scenes of a task among which a wrong answer is looked for."""


class OracleGuest(Guest):
    """Gives the gold completion with probability ``p``, else that of another scene with another answer.

    A wrong answer is thus one that the world gives to the same question, with a chain of evidence that leads to it.
    What it says is a pure function of name, seed, sample id and number of the answer.

    Args:
        p: how often it is right, 0..1.
        name: see ``Guest``.
        n: see ``Guest``.
        seed: of its errors.

    Raises:
        ConfigError: a probability that is none.
    """

    gives_logprobs = False

    def __init__(self, p: float, name: str = "oracle", n: int = 1, seed: int = 0) -> None:
        super().__init__(name, n)
        if not 0 <= p <= 1:
            raise ConfigError(f"guest {name!r}: oracle is the probability of a right answer, 0..1, not {p!r}")
        self.p, self.seed = p, seed

    async def ask(self, sample: Sample, style: PromptStyle, turn: int) -> Sequence[Utterance | Exception]:
        """See ``Guest.ask``."""
        # Other scenes may have to be drawn, which takes some milliseconds each.
        texts = await asyncio.to_thread(lambda: [self.answer(sample, number) for number in self.numbers(turn)])
        return [Utterance(text, self.name, cost=0.0) for text in texts]

    def answer(self, sample: Sample, number: int) -> str:
        """What it says to a sample when it is asked for the ``number``-th time.

        Raises:
            ConfigError: the sample was not drawn by a world.
        """
        right = worlds.gold(sample)
        dice = Dice(f"guest/{self.name}/{self.seed}/{sample.id}/{number}")
        return right if dice.chance(self.p) else _wrong(sample, dice)

    def check(self, samples: Sequence[Sample]) -> None:
        """Look at the first sample, of a data set that is drawn as a whole or not at all."""
        worlds.gold(samples[0])


def _wrong(sample: Sample, dice: Dice) -> str:
    """The gold completion of a scene with another answer: to the same question where there is one, else of the task."""
    truth = worlds.answer_text(sample.truth)
    others = _scenes(*(str(sample.metadata[key]) for key in ("world", "mix", "task")))
    by_task = None
    for index in dice.shuffled(range(len(others))):
        other = others[index]
        if worlds.answer_text(other.truth) == truth:
            continue
        if other.question == sample.question:
            return worlds.gold(other)
        by_task = by_task or other
    if by_task is None:
        raise ConfigError(f"row {sample.id!r}: no scene of its task has another answer than {truth!r}")
    return worlds.gold(by_task)


@lru_cache(maxsize=32)
def _scenes(world: str, mix: str, task: str) -> Sequence[Sample]:
    """Training scenes, drawn when they are looked at and kept."""
    return worlds.get(world).dataset(split="train", n=_SCENES, mix=mix, tasks=[task])

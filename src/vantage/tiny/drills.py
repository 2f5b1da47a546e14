"""Drills: what stands in a cell, or which cells hold a thing, asked in short, so that a model learns to look.

Of an answer's few words fewer still depend upon the pictures, so a small model learns for long what answers look like
before it looks at anything. A drill asks eight things at once and teaches nothing but looking: it is learned within a
few hundred steps, and answers built upon it soon after.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np

from vantage.errors import ConfigError
from vantage.tiny.lessons import Lesson
from vantage.tiny.vocabulary import EOS, WORDS
from vantage.worlds.canvas import CELLS

ASKED = 8
"""Most things that one drill asks."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How lessons are drilled for a time.

    Attributes:
        until: step of the second stage of training before which it holds.
        share: share of lessons that are drills.
        alone: share of drills that show a single source, where sources differ, and so need not say which is meant.
        find: share of questions that name a thing and want its cells; the others name a cell and want what it holds.
    """

    until: int
    share: float
    alone: float = 0.0
    find: float = 0.5

    def __post_init__(self) -> None:
        shares = {"share": self.share, "alone": self.alone, "find": self.find}
        if self.until < 1 or not all(0 <= value <= 1 for value in shares.values()):
            raise ConfigError(f"a stage of drills ends at step 1 or later, its shares are in [0, 1]; got {self}")


class Drills:
    """Turns lessons into drills, as much as the stage wants.

    Args:
        stages: in the order of their ends; after the last there are no drills.
        kinds: what a cell can hold, ``Teacher.kinds``.
        seed: of every choice.
        changes: also ask in which cells the first picture and the last one differ, where both are shown.

    Raises:
        ConfigError: stages out of order.
    """

    def __init__(self, stages: tuple[Stage, ...], kinds: tuple[str, ...], seed: int, changes: bool = False) -> None:
        if [stage.until for stage in stages] != sorted({stage.until for stage in stages}):
            raise ConfigError(f"stages of drills must end one after the other; got {[s.until for s in stages]}")
        self._stages, self._kinds, self._changes = stages, kinds, changes
        self._dice = random.Random(f"drills/{seed}")

    def drilled(self, lesson: Lesson, step: int) -> Lesson | None:
        """A drill upon the pictures of a lesson in its place, or ``None`` where the lesson stays.

        Args:
            lesson: of any view; the drill has one view, its own.
            step: of the second stage of training.
        """
        stage = next((stage for stage in self._stages if step < stage.until), None)
        if stage is None or self._dice.random() >= stage.share:
            return None
        shown = (
            self._dice.randrange(len(lesson.sources)) if lesson.differ and self._dice.random() < stage.alone else None
        )
        chosen = range(len(lesson.sources)) if lesson.differ and shown is None else [shown or 0]
        places: dict[tuple[str, str], list[int]] = {}
        for source in chosen:
            for place in np.flatnonzero(lesson.kinds[source]).tolist():
                named = lesson.sources[source] if len(chosen) > 1 else ""
                places.setdefault((self._kinds[lesson.kinds[source, place]], named), []).append(place)
        asked = list(places)
        self._dice.shuffle(asked)
        parts: list[tuple[list[str], list[str]]] = []
        for kind, named in asked[:ASKED]:
            cells = [CELLS[place] for place in places[kind, named]]
            whose = [named] if named else []
            if self._dice.random() < stage.find:
                parts.append(([*kind.split(), *whose], cells))
            else:
                parts.append(([self._dice.choice(cells), *whose], kind.split()))
        if self._changes and shown is None:
            apart = np.flatnonzero(lesson.kinds[0] != lesson.kinds[-1]).tolist()
            parts.append((["change"], [CELLS[place] for place in apart] or ["none"]))
        ids: list[int] = []
        learned: list[bool] = []
        for question, reply in parts:
            ids += [WORDS.index(word) for word in (*question, *reply, ",")]
            learned += [*[False] * len(question), *[True] * len(reply), True]
        view = lesson.views[0] if shown is None else lesson.views[1 + shown]
        return replace(
            lesson, prompt=lesson.drill, completion=[*ids, WORDS.index(EOS)], learned=(*learned, True), views=(view,)
        )

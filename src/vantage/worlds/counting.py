"""Counting: sums over coloured figures on a table, seen by two cameras, each blocked, dark or fooled at times.

The questions are in the manner of CLEVR-Math: how many there are, how many are left when some are taken away, how many
there are when some are added. Both cameras look down upon the same cells, but

- *screens*, pale and cross-hatched, hide a cell from one camera, which so counts too few;
- *ghosts*, reflections in the glass of one camera, look like figures: it counts too many. The other camera sees that
  the cell is empty;
- in the *dark* one of the two cameras shows next to nothing;
- *faded* colours lie close to one another, in both pictures.

Both pictures together always settle every question: a figure is there unless one of the cameras sees the empty cell.
``counting-ood`` asks the same of other shapes in other colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from vantage.samples import Sample
from vantage.worlds import canvas, figures
from vantage.worlds.base import Scene, World
from vantage.worlds.canvas import CELL, CELLS, SIDE
from vantage.worlds.dice import Dice

CAMERAS = ("left", "right")
MOST = 5
"""The largest answer."""
LEAST_ADDED, MOST_ADDED = 2, 4
MOST_TAKEN = 3
MOST_THINGS = 8
SCREEN, GHOST = "screen", "ghost"
RADII = (5.5, 6.0, 6.5)


@dataclass(frozen=True, slots=True)
class Named:
    """What a question speaks of: things of a shape, of a colour, of both or of any; empty where it does not matter."""

    color: str = ""
    shape: str = ""

    def __str__(self) -> str:
        return f"{self.color} {figures.PLURALS.get(self.shape, 'things')}".strip()

    def fits(self, kind: str) -> bool:
        """Whether a kind, such as ``red circle``, is one of them."""
        color, shape = kind.split()
        return self.color in ("", color) and self.shape in ("", shape)


@dataclass(slots=True)
class Thing:
    """A figure: what it is, where, and which cameras see it; a ghost is seen by one and is not there."""

    kind: str
    cell: str
    seen: tuple[str, ...] = CAMERAS
    ghost: bool = False
    x: float = 0.0
    y: float = 0.0
    radius: float = RADII[0]
    light: float = 1.0

    def stand(self, dice: Dice) -> None:
        """Put it near the middle of its cell, in a size and a light of its own."""
        x, y = canvas.cell_corner(self.cell)
        self.x, self.y = x + 7.5 + dice.between(-1, 1), y + 7.5 + dice.between(-1, 1)
        self.radius, self.light = dice.pick(RADII), dice.uniform(0.85, 1.1)

    def entry(self) -> dict[str, Any]:
        """As ``Scene.objects`` holds it."""
        seen = {"cell": self.cell, "seen": list(self.seen)}
        return {"kind": GHOST, "looks": self.kind, **seen} if self.ghost else {"kind": self.kind, **seen}


class Counting(World):
    """Two cameras above a table: how many, how many are left, how many are there then?"""

    name: ClassVar[str] = "counting"
    about: ClassVar[str] = (
        "sums over coloured figures by two cameras; screens hide some from one, ghosts fool the other"
    )
    sources: ClassVar[tuple[str, ...]] = CAMERAS
    tasks: ClassVar[tuple[str, ...]] = ("count", "subtract", "add")
    mixes: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "easy": {"clear": 0.76, "screens": 0.08, "dark": 0.08, "faded": 0.08, "ghosts": 0.15},
        "balanced": {"clear": 0.40, "screens": 0.25, "dark": 0.20, "faded": 0.15, "ghosts": 0.40},
        "hard": {"clear": 0.15, "screens": 0.40, "dark": 0.25, "faded": 0.20, "ghosts": 0.60},
    }
    """Four conditions, which sum to one, and the chance of ghosts (never in the dark, where no one could tell)."""
    colors: ClassVar[Mapping[str, tuple[int, int, int]]] = figures.COLORS
    shapes: ClassVar[tuple[str, ...]] = figures.SHAPES
    kinds: ClassVar[tuple[str, ...]] = (*figures.pairs(figures.COLORS, figures.SHAPES), SCREEN, GHOST)

    def draw(self, dice: Dice, task: str, mix: str, turn: int) -> Scene:
        """See ``World.draw``."""
        odds = self.mixes[mix]
        condition = dice.weighted({name: odds[name] for name in ("clear", "screens", "dark", "faded")})
        color, shape = dice.pick(list(self.colors)), dice.pick(self.shapes)
        least = LEAST_ADDED if task == "add" else 0
        turn, answer = divmod(turn, MOST + 1 - least)
        # Of every form each answer comes up equally often.
        named = (Named(color, shape), Named(color=color), Named(shape=shape))[(turn + answer) % 3]
        answer += least
        added = dice.between(LEAST_ADDED, min(MOST_ADDED, answer)) if task == "add" else 0
        # Of what is named: those that are counted, or those that are taken away.
        fitting = dice.between(1, MOST_TAKEN) if task == "subtract" else answer - added
        others = answer if task == "subtract" else dice.between(0, min(4, MOST_THINGS - fitting))
        cells = dice.shuffled(CELLS)
        things = [Thing(self._kind(dice, named, place < fitting), cells.pop()) for place in range(fitting + others)]
        screens = self._screens(dice, things, cells) if condition == "screens" else {}
        dark = dice.pick(CAMERAS) if condition == "dark" else ""
        for thing in things:
            thing.seen = tuple(camera for camera in CAMERAS if camera not in (dark, screens.get(thing.cell)))
        ghosts = []
        if condition != "dark" and dice.chance(odds["ghosts"]):
            free = [cell for cell in cells if cell not in screens]
            # Half of them look like what is asked about.
            ghosts = [
                Thing(self._kind(dice, named, dice.chance(0.5)), cell, (dice.pick(CAMERAS),), ghost=True)
                for cell in free[: dice.between(1, 2)]
            ]
        for thing in things + ghosts:
            thing.stand(dice)
        blind = {dark, *screens.values(), *(camera for ghost in ghosts for camera in ghost.seen)}
        truth, evidence = _reckon(task, named, added, things)
        return Scene(
            question=_ask(task, named, added),
            pictures={
                camera: self._paint(dice, camera, condition, things + ghosts, screens, camera == dark)
                for camera in CAMERAS
            },
            truth=truth,
            reward="count",
            condition=condition,
            reasoning=" ".join(evidence),
            enough=tuple(camera for camera in CAMERAS if camera not in blind),
            objects=(
                *({"kind": SCREEN, "cell": cell, "seen": [camera]} for cell, camera in screens.items()),
                *(thing.entry() for thing in things + ghosts),
            ),
        )

    def credulous(self, sample: Sample) -> Sample | None:
        """Ghosts are taken for figures, as one who holds the pictures together without asking what is missing."""
        shown = [thing for thing in sample.metadata["objects"] if thing["kind"] != SCREEN]
        seen = [Thing(thing.get("looks", thing["kind"]), thing["cell"]) for thing in shown]
        task, named, added = self._asked(sample)
        truth, evidence = _reckon(task, named, added, seen)
        if truth == sample.truth:
            return None
        return replace(sample, truth=truth, metadata={**sample.metadata, "reasoning": " ".join(evidence)})

    def _asked(self, sample: Sample) -> tuple[str, Named, int]:
        """Task, what is named and how many are added, read from the question."""
        words = sample.question.replace("?", ".").partition(".")[0].split()
        singular = {plural: shape for shape, plural in figures.PLURALS.items()}
        color = next((word for word in words if word in self.colors), "")
        shape = next((singular[word] for word in words if word in singular), "")
        task = sample.metadata["task"]
        return task, Named(color, shape), int(words[1]) if task == "add" else 0

    def _kind(self, dice: Dice, named: Named, fitting: bool) -> str:
        """A kind that is of what is named, or is not."""
        kinds = figures.pairs(self.colors, self.shapes)
        return dice.pick([kind for kind in kinds if named.fits(kind) == fitting])

    @staticmethod
    def _screens(dice: Dice, things: Sequence[Thing], free: Sequence[str]) -> dict[str, str]:
        """Cells that a camera does not see; each is seen by the other."""
        hidden = [thing.cell for thing in dice.shuffled(things)[: dice.between(1, 3)]]
        hidden += dice.shuffled(free)[: dice.between(1, 2) if things else 2]
        return {cell: dice.pick(CAMERAS) for cell in hidden}

    def _paint(
        self, dice: Dice, camera: str, condition: str, things: Sequence[Thing], screens: Mapping[str, str], dark: bool
    ) -> np.ndarray:
        """What a camera sees."""
        picture = figures.ground(dice)
        aside = -1 if camera == "left" else 1  # near things stand apart in the two pictures
        for thing in things:
            if camera not in thing.seen and not dark:
                continue
            color, shape = thing.kind.split()
            pixels = np.array(self.colors[color], np.float32) * np.float32(thing.light)
            if condition == "faded":
                pixels = pixels * np.float32(0.45) + np.float32(75)
            picture[figures.at(figures.figure(shape, thing.radius), thing.x + aside, thing.y)] = pixels
        for cell, hidden_from in screens.items():
            if hidden_from == camera:
                x, y = canvas.cell_corner(cell)
                picture[y : y + CELL, x : x + CELL] = 168
                picture[y : y + CELL : 4, x : x + CELL] = 140
                picture[y : y + CELL, x : x + CELL : 4] = 140
        if dark:
            picture *= np.float32(0.04)
        picture += dice.noise(SIDE, SIDE, 3) * np.float32(dice.uniform(3, 8))
        return canvas.pixels(picture)


class CountingOod(Counting):
    """The same questions about other shapes in other colours."""

    name: ClassVar[str] = "counting-ood"
    about: ClassVar[str] = "counting out of domain: the same questions about other shapes in other colours"
    colors: ClassVar[Mapping[str, tuple[int, int, int]]] = figures.OTHER_COLORS
    shapes: ClassVar[tuple[str, ...]] = figures.OTHER_SHAPES
    kinds: ClassVar[tuple[str, ...]] = (*figures.pairs(figures.OTHER_COLORS, figures.OTHER_SHAPES), SCREEN, GHOST)


def _ask(task: str, named: Named, added: int) -> str:
    if task == "count":
        return f"How many {named} are there?"
    if task == "subtract":
        return f"Subtract all {named}. How many things are left?"
    return f"Add {added} {named}. How many {named} are there?"


def _reckon(task: str, named: Named, added: int, things: Sequence[Thing]) -> tuple[str, list[str]]:
    """The answer and its evidence: the cells of all that is counted, before any is added."""
    cells = [thing.cell for thing in things if named.fits(thing.kind) != (task == "subtract")]
    return str(len(cells) + added), sorted(cells, key=CELLS.index) or ["none"]

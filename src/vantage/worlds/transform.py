"""Transform: a table before and after, and what was changed between, as ``func(object, value)`` (TRANCE).

Four objects stand in cells, and go by the names of the cells where they stood before. The question tells how many
changes were made: one, or two of different objects, each of its color, its shape, its size, or its position by one
cell, up being away from the viewer. Neither picture alone is ever enough.

- in the *dark* one of the pictures shows colours dimly;
- coloured *light* falls on one of the pictures, so that colours lie closer to one another;
- a *fence* of two grey bars stands before one of the pictures and covers part of what is behind it;
- *clutter*, grey pebbles in empty cells, lies elsewhere in each picture and is no object.

Both pictures together always settle every question. ``transform-left`` and ``transform-right`` show the table after
from that side: it looks narrower, and its far rows shift against the near ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from vantage.worlds import canvas, figures
from vantage.worlds.base import Scene, World
from vantage.worlds.canvas import CELL, CELLS, GRID, SIDE
from vantage.worlds.dice import Dice

OBJECTS = 4
SIZES = {"small": 4.5, "large": 6.6}
"""Radius in pixels."""
MOVES = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
FUNCTIONS = ("change_color", "change_shape", "change_size", "change_position")
PICTURES = ("before", "after")
LIGHTS = ((1.0, 0.72, 0.5), (0.6, 0.8, 1.0), (0.75, 1.0, 0.65))
"""Share of red, green and blue that a coloured light leaves."""
NARROW = 0.8
"""How much narrower the table looks from aside."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object in one of its states."""

    cell: str
    color: str
    shape: str
    size: str

    def entry(self, number: int, source: str) -> dict[str, Any]:
        """As ``Scene.objects`` holds it."""
        kind = f"{self.size} {self.color} {self.shape}"
        return {"object": number, "kind": kind, "cell": self.cell, "source": source}


class Transform(World):
    """Two pictures of one table: which changes were made?"""

    name: ClassVar[str] = "transform"
    about: ClassVar[str] = "a table before and after: what was changed, as func(object, value)"
    sources: ClassVar[tuple[str, ...]] = PICTURES
    tasks: ClassVar[tuple[str, ...]] = ("single", "double")
    mixes: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "easy": {"clear": 0.76, "dark": 0.06, "light": 0.06, "fence": 0.06, "clutter": 0.06},
        "balanced": {"clear": 0.40, "dark": 0.15, "light": 0.15, "fence": 0.15, "clutter": 0.15},
        "hard": {"clear": 0.16, "dark": 0.21, "light": 0.21, "fence": 0.21, "clutter": 0.21},
    }
    """Five conditions, which sum to one."""
    kinds: ClassVar[tuple[str, ...]] = tuple(
        f"{size} {pair}" for size in SIZES for pair in figures.pairs(figures.COLORS, figures.SHAPES)
    )
    lean: ClassVar[int] = 0
    """How many pixels a row of the picture after stands further right than the row below it."""

    def draw(self, dice: Dice, task: str, mix: str, turn: int) -> Scene:
        """See ``World.draw``."""
        condition = dice.weighted(self.mixes[mix])
        where = dice.shuffled(CELLS)[:OBJECTS]
        # Everything can move, even when another has moved beside it.
        while any(len(_ways(cell, where)) < 2 for cell in where):
            where = dice.shuffled(CELLS)[:OBJECTS]
        looks = dice.shuffled([(color, shape) for color in figures.COLORS for shape in figures.SHAPES])
        before = [Thing(cell, *look, dice.pick(list(SIZES))) for cell, look in zip(where, looks, strict=False)]
        # Function and object take turns; the other change of two is of another object.
        rounds, place = divmod(turn, len(FUNCTIONS))
        changed = [((rounds + place) % OBJECTS, FUNCTIONS[place])]
        if task == "double":
            other = dice.pick([number for number in range(OBJECTS) if number != changed[0][0]])
            changed.append((other, dice.pick(FUNCTIONS)))
        after, steps = list(before), []
        for number, function in sorted(changed, key=lambda change: CELLS.index(before[change[0]].cell)):
            taken = [thing.cell for thing in before + after]
            after[number], value = _changed(dice, before[number], function, taken)
            steps.append((before[number].cell, function, value))
        return Scene(
            question="Which change was made?" if task == "single" else "Which 2 changes were made?",
            pictures=self._paint(dice, condition, before, after),
            truth=[f"{function}({cell}, {value})" for cell, function, value in steps],
            reward="reason-rft-transformation",
            condition=condition,
            reasoning=" ".join(f"{cell} {value}" for cell, _, value in steps),
            enough=(),
            objects=tuple(
                thing.entry(number, source)
                for source, things in zip(PICTURES, (before, after), strict=True)
                for number, thing in enumerate(things)
            ),
        )

    def _paint(
        self, dice: Dice, condition: str, before: Sequence[Thing], after: Sequence[Thing]
    ) -> dict[str, np.ndarray]:
        """Both pictures; what an object does not change it keeps to the pixel, but for the light on it."""
        spots = [(7.5 + dice.between(-1, 1), 7.5 + dice.between(-1, 1)) for _ in before]
        touched = dice.pick(PICTURES)
        pictures = {}
        for source, things in zip(PICTURES, (before, after), strict=True):
            lean = self.lean if source == "after" else 0
            picture = _board(dice, lean)
            free = [cell for cell in CELLS if cell not in [thing.cell for thing in things]]
            if condition == "clutter":
                for cell in dice.shuffled(free)[: dice.between(2, 4)]:
                    pebble = figures.figure("circle", dice.pick((1.8, 2.3, 2.8)))
                    middle = _seen((dice.uniform(5, 10), dice.uniform(5, 10)), cell, lean)
                    picture[figures.at(pebble, *middle)] = dice.uniform(125, 165)
            for spot, thing in zip(spots, things, strict=True):
                mask = figures.figure(thing.shape, SIZES[thing.size])
                picture[figures.at(mask, *_seen(spot, thing.cell, lean))] = figures.COLORS[thing.color]
            if condition == "fence" and source == touched:
                for left in (dice.between(4, 26), dice.between(34, 56)):
                    picture[:, left : left + 3] = 150
            if condition == "light" and source == touched:
                picture *= np.array(dice.pick(LIGHTS), np.float32)
            if condition == "dark" and source == touched:
                picture *= np.float32(0.3)
            picture += dice.noise(SIDE, SIDE, 3) * np.float32(dice.uniform(2, 6))
            pictures[source] = canvas.pixels(picture)
        return pictures


class TransformLeft(Transform):
    """The table after, seen from the left."""

    name: ClassVar[str] = "transform-left"
    about: ClassVar[str] = "transform out of domain: the table after is seen from the left"
    lean: ClassVar[int] = 3


class TransformRight(Transform):
    """The table after, seen from the right."""

    name: ClassVar[str] = "transform-right"
    about: ClassVar[str] = "transform out of domain: the table after is seen from the right"
    lean: ClassVar[int] = -3


def _ways(cell: str, taken: Sequence[str]) -> list[str]:
    """Directions in which an object in that cell can move by one cell into an empty one."""
    column, row = "ABCD".index(cell[0]), int(cell[1]) - 1
    ways = []
    for way, (across, down) in MOVES.items():
        x, y = column + across, row + down
        if 0 <= x < GRID and 0 <= y < GRID and CELLS[y * GRID + x] not in taken:
            ways.append(way)
    return ways


def _changed(dice: Dice, thing: Thing, function: str, taken: Sequence[str]) -> tuple[Thing, str]:
    """The object after such a change, and the value of it."""
    if function == "change_position":
        way = dice.pick(_ways(thing.cell, taken))
        across, down = MOVES[way]
        return replace(thing, cell=CELLS[CELLS.index(thing.cell) + across + GRID * down]), way
    part = function.removeprefix("change_")
    options = {"color": tuple(figures.COLORS), "shape": figures.SHAPES, "size": tuple(SIZES)}[part]
    value = dice.pick([option for option in options if option != getattr(thing, part)])
    return replace(thing, **{part: value}), value


def _seen(spot: tuple[float, float], cell: str, lean: int) -> tuple[float, float]:
    """Where a spot of a cell is seen."""
    x, y = canvas.cell_corner(cell)
    return _aside(x + spot[0], y + spot[1], lean), y + spot[1]


def _aside(x: float, y: Any, lean: int) -> Any:
    """Where a place across is seen in a row; from aside the table looks narrower, and rows shift against each other."""
    middle = SIDE / 2
    return middle + (x - middle) * (NARROW if lean else 1.0) + lean * (y - middle) / CELL


def _board(dice: Dice, lean: int) -> np.ndarray:
    """The empty table with the lines between its cells; float32 (64, 64, 3)."""
    picture = figures.ground(dice)
    rows = np.arange(SIDE)
    for edge in range(CELL, SIDE, CELL):
        picture[edge] += 14
        picture[rows, np.rint(_aside(edge, rows, lean)).astype(int)] += 14
    return picture

"""Depth: shapes seen by a camera and by a depth camera, each of which is blind or fooled at times.

Every object stands at one of six levels of distance, 1 nearest. RGB tells distance by size, the depth picture by
brightness (near is bright):

- a *decoy* is built too large or too small: RGB alone misjudges its distance;
- *glass* objects, outlines in RGB, let the depth camera see something else: depth alone misjudges their distance;
- in the *dark* RGB shows next to nothing.

Both pictures together always settle every question: trust depth, but trust the sizes of glass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vantage.worlds import canvas
from vantage.worlds.base import Scene, World
from vantage.worlds.canvas import CELL, CELLS, SIDE
from vantage.worlds.dice import Dice

LEVELS = 6
WALL = 20.0
"""Grey level of the far wall in the depth picture."""


def radius_at(level: int) -> float:
    """Radius in pixels of an honest object at that level."""
    return 7.5 - 0.7 * (level - 1)


def grey_at(level: int) -> float:
    """Grey level of that level in the depth picture."""
    return 240.0 - 36.0 * (level - 1)


def apart(first: str, second: str) -> bool:
    """Whether a whole cell lies between two cells."""
    (x, y), (u, v) = canvas.cell_corner(first), canvas.cell_corner(second)
    return max(abs(x - u), abs(y - v)) >= 2 * CELL


@dataclass(slots=True)
class Thing:
    """An object: its true level, the level that its size suggests, the level that the depth camera reports."""

    kind: str
    cell: str
    level: int
    by_size: int
    by_depth: int
    x: float = 0.0
    y: float = 0.0
    glass: bool = False

    def mask(self, hollow: bool = False) -> canvas.Mask:
        """Where it stands in the picture; bool (64, 64)."""
        figure = canvas.shape(self.kind, radius_at(self.by_size), hollow)
        return canvas.place(figure, round(self.x - 9.5), round(self.y - 9.5))


class Depth(World):
    """RGB and depth: which of two objects is nearer, and do they touch or only overlap in the picture?"""

    name: ClassVar[str] = "depth"
    about: ClassVar[str] = "shapes by RGB and depth; decoys fool RGB, glass fools depth, darkness blinds RGB"
    sources: ClassVar[tuple[str, ...]] = ("rgb", "depth")
    tasks: ClassVar[tuple[str, ...]] = ("nearer", "touch")
    mixes: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "easy": {"clear": 0.76, "dark": 0.08, "decoy": 0.08, "glass": 0.08},
        "balanced": {"clear": 0.40, "dark": 0.20, "decoy": 0.20, "glass": 0.20},
        "hard": {"clear": 0.20, "dark": 0.24, "decoy": 0.30, "glass": 0.26},
    }
    """Four conditions, which sum to one."""

    def draw(self, dice: Dice, task: str, mix: str, turn: int) -> Scene:
        """See ``World.draw``."""
        condition = dice.weighted(self.mixes[mix])
        yes = turn % 2 == 0
        kinds = dice.shuffled(canvas.SHAPES)
        pair = (self._nearer if task == "nearer" else self._touch)(dice, kinds, condition, yes)
        others = self._others(dice, kinds[2:], pair)
        things = [*pair, *others]
        a, b = pair
        question = f"Is the {a.kind} nearer than the {b.kind}?"
        if task == "touch":
            question = f"Does the {a.kind} touch the {b.kind}?"
        enough = (["rgb"] if condition in ("clear", "glass") else []) + (["depth"] if condition != "glass" else [])
        return Scene(
            question=question,
            pictures=self._paint(dice, condition, things),
            truth="yes" if yes else "no",
            reward="answer",
            condition=condition,
            reasoning=f"{a.kind} {a.cell} {a.level} {b.kind} {b.cell} {b.level}",
            enough=tuple(enough),
            objects=tuple({"kind": t.kind, "cell": t.cell, "level": t.level, "glass": t.glass} for t in things),
        )

    @staticmethod
    def _levels(dice: Dice) -> tuple[int, int]:
        """Two levels at least two apart, nearer first."""
        near = dice.between(1, LEVELS - 2)
        return near, dice.between(near + 2, LEVELS)

    def _nearer(self, dice: Dice, kinds: list[str], condition: str, yes: bool) -> list[Thing]:
        near, far = self._levels(dice)
        levels = (near, far) if yes else (far, near)
        told = levels[::-1]  # a fooled source sees it the wrong way round
        cells = dice.shuffled(CELLS)
        while not apart(cells[0], cells[1]):
            cells = dice.shuffled(CELLS)
        pair = [
            Thing(kinds[i], cells[i], levels[i], by_size=levels[i], by_depth=levels[i], glass=condition == "glass")
            for i in range(2)
        ]
        self._fool(pair, condition, told)
        for thing in pair:
            _stand(dice, thing)
        return pair

    def _touch(self, dice: Dice, kinds: list[str], condition: str, yes: bool) -> list[Thing]:
        levels = self._levels(dice)
        if dice.chance(0.5):
            levels = levels[::-1]
        same = dice.between(1, LEVELS)
        true, told = ((same, same), levels) if yes else (levels, (same, same))
        # A fooled source is one that shows a false relation of two overlapping objects.
        overlap = yes or condition in ("decoy", "glass") or dice.chance(0.5)
        cells = dice.shuffled(CELLS)
        while not (_adjacent(*cells[:2]) if overlap else apart(*cells[:2])):
            cells = dice.shuffled(CELLS)
        pair = [
            Thing(kinds[i], cells[i], true[i], by_size=true[i], by_depth=true[i], glass=condition == "glass")
            for i in range(2)
        ]
        self._fool(pair, condition, told)
        if overlap:
            _push_together(dice, *pair)
        else:
            for thing in pair:
                _stand(dice, thing)
        return pair

    @staticmethod
    def _fool(pair: list[Thing], condition: str, told: tuple[int, int]) -> None:
        """Let the condition's source tell those levels in place of the true ones."""
        for thing, level in zip(pair, told, strict=True):
            if condition == "decoy":
                thing.by_size = level
            elif condition == "glass":
                thing.by_depth = level

    @staticmethod
    def _others(dice: Dice, kinds: list[str], pair: list[Thing]) -> list[Thing]:
        """At most one more object, away from the pair that is asked about."""
        free = [c for c in CELLS if all(apart(c, thing.cell) for thing in pair)]
        if not free or dice.chance(0.5):
            return []
        level = dice.between(1, LEVELS)
        thing = Thing(kinds[0], dice.pick(free), level, by_size=level, by_depth=level)
        _stand(dice, thing)
        return [thing]

    @staticmethod
    def _paint(dice: Dice, condition: str, things: list[Thing]) -> dict[str, np.ndarray]:
        """Both pictures, the farthest object first."""
        ground = np.array([dice.uniform(40, 75), dice.uniform(40, 75), dice.uniform(45, 85)], np.float32)
        shade = np.linspace(0.85, 1.15, SIDE, dtype=np.float32)
        rgb = np.broadcast_to(shade[:, None, None] * ground, (SIDE, SIDE, 3)).copy()
        depth = np.full((SIDE, SIDE), WALL, np.float32)
        for thing in sorted(things, key=lambda t: -t.by_size):
            colour = [dice.uniform(120, 250) for _ in range(3)]
            if thing.glass:
                rgb[thing.mask()] += 18.0
                rgb[thing.mask(hollow=True)] = (200, 235, 240)
            else:
                rgb[thing.mask()] = colour
        for thing in sorted(things, key=lambda t: -t.by_depth):
            depth[thing.mask()] = grey_at(thing.by_depth)
        if condition == "dark":
            rgb *= 0.04
        rgb += dice.noise(SIDE, SIDE, 3) * np.float32(dice.uniform(3, 8))
        depth += dice.noise(SIDE, SIDE) * np.float32(dice.uniform(3, 7))
        return {"rgb": canvas.pixels(rgb), "depth": canvas.pixels(depth)}


def _adjacent(first: str, second: str) -> bool:
    """Whether two cells share a side."""
    (x, y), (u, v) = canvas.cell_corner(first), canvas.cell_corner(second)
    return abs(x - u) + abs(y - v) == CELL


def _stand(dice: Dice, thing: Thing) -> None:
    """Put an object near the middle of its cell."""
    x, y = canvas.cell_corner(thing.cell)
    thing.x, thing.y = x + 7.5 + dice.between(-1, 1), y + 7.5 + dice.between(-1, 1)


def _push_together(dice: Dice, a: Thing, b: Thing) -> None:
    """Stand two objects of adjacent cells on either side of the common edge so that they clearly overlap."""
    (x, y), (u, v) = canvas.cell_corner(a.cell), canvas.cell_corner(b.cell)
    middle_x = (x + u) / 2 + 7.5 + (dice.between(-1, 1) if x == u else 0)
    middle_y = (y + v) / 2 + 7.5 + (dice.between(-1, 1) if y == v else 0)
    side_x, side_y = np.sign(u - x), np.sign(v - y)
    reach = (radius_at(a.by_size) + radius_at(b.by_size)) * 0.45
    while True:
        a.x, a.y = middle_x - side_x * reach, middle_y - side_y * reach
        b.x, b.y = middle_x + side_x * reach, middle_y + side_y * reach
        if (a.mask() & b.mask()).sum() >= 6 or reach <= 1:
            return
        reach -= 0.5

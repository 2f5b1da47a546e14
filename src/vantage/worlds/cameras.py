"""Cameras: four to six views of one scene, side by side, none of which shows all of it.

Neighbouring cameras share a column: what stands in column D of one stands, in the same row, in column A of the next.

- what stands in a shared column is in two pictures, and is one thing: adding the pictures up counts it twice;
- a *board* is flat and painted: one camera sees what looks like the thing itself, its neighbour the board's edge. A
  board is none of the things that are asked about;
- a *dark* camera shows nothing; what is asked about is then seen by a neighbour.

All pictures together always settle every question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from vantage.samples import Sample
from vantage.worlds import canvas
from vantage.worlds.base import Scene, World
from vantage.worlds.canvas import CELLS, GRID, SIDE
from vantage.worlds.captions import ASKED, PLURALS
from vantage.worlds.dice import Dice

PANORAMA = ("back_left", "left", "front_left", "front_right", "right", "back_right")
"""All cameras, from left to right; a rig has four to six neighbours of them."""
RIGS = tuple(PANORAMA[start : start + size] for size in (4, 5, 6) for start in range(len(PANORAMA) - size + 1))
MOST = 4
"""The largest count."""
MOST_SEEN = 9
"""Things that an answer which believes every picture may name."""
CASTS = {
    "back_left": (1.0, 0.65, 0.65), "left": (1.0, 1.0, 0.6), "front_left": (0.65, 1.0, 0.65),
    "front_right": (0.6, 1.0, 1.0), "right": (0.65, 0.65, 1.0), "back_right": (1.0, 0.6, 1.0),
}  # fmt: skip
"""What each camera keeps of the ground's red, green and blue: no two see colours alike, so any part of a picture tells
whose it is."""
STEP = GRID - 1
"""Columns from one camera's first to its neighbour's first."""

EDGE: canvas.Mask = np.pad(np.ones((14, 2), bool), ((1, 1), (7, 7)))
"""A board from the side."""


@dataclass(frozen=True, slots=True)
class Rig:
    """Cameras side by side, from left to right.

    Attributes:
        names: of the cameras.
        dark: place of the camera that shows nothing, if there is one.
    """

    names: tuple[str, ...]
    dark: int | None = None

    def covering(self, column: int) -> list[int]:
        """Places of the cameras whose field holds that column of the panorama, one or two."""
        return [place for place in range(len(self.names)) if 0 <= column - STEP * place < GRID]

    def seeing(self, column: int) -> list[int]:
        """Places of the cameras that show that column."""
        return [place for place in self.covering(column) if place != self.dark]

    def spots(self) -> list[Spot]:
        """Every column and row of the panorama that some camera shows."""
        columns = [column for column in range(STEP * len(self.names) + 1) if self.seeing(column)]
        return [(column, row) for column in columns for row in range(GRID)]


Spot = tuple[int, int]
"""Column of the panorama, from 0 at the left, and row."""


def cell_of(spot: Spot, place: int) -> str:
    """The cell in which the camera at that place shows a spot that it covers."""
    return f"{'ABCD'[spot[0] - STEP * place]}{spot[1] + 1}"


@dataclass(frozen=True, slots=True)
class Thing:
    """What stands at a spot; of a board, the kind that is painted on it and the place of the camera that sees it so."""

    kind: str
    spot: Spot
    front: int | None = None


class Cameras(World):
    """How many are there, which camera sees it, is there one: of people, lamps or bushes."""

    name: ClassVar[str] = "cameras"
    about: ClassVar[str] = "four to six views of one scene that overlap; boards deceive one of two neighbours"
    sources: ClassVar[tuple[str, ...]] = PANORAMA
    tasks: ClassVar[tuple[str, ...]] = ("count", "which", "exists")
    kinds: ClassVar[tuple[str, ...]] = ("board",)
    mixes: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "easy": {"clear": 0.70, "overlap": 0.10, "boards": 0.10, "dark": 0.10},
        "balanced": {"clear": 0.40, "overlap": 0.20, "boards": 0.20, "dark": 0.20},
        "hard": {"clear": 0.16, "overlap": 0.28, "boards": 0.32, "dark": 0.24},
    }
    """Four conditions, which sum to one; what one camera alone is asked to see never overlaps."""

    def draw(self, dice: Dice, task: str, mix: str, turn: int) -> Scene:
        """See ``World.draw``."""
        turn, kind = turn // len(ASKED), ASKED[turn % len(ASKED)]
        odds = self.mixes[mix]
        condition = dice.weighted({name: odds[name] for name in odds if task != "which" or name != "overlap"})
        rig = Rig(RIGS[turn % len(RIGS)] if task == "which" else dice.pick(RIGS))
        last = len(rig.names) - 1
        answer = turn // len(RIGS) % (last + 1)
        if condition == "dark":
            beside = [place for place in (answer - 1, answer + 1) if 0 <= place <= last]
            rig = replace(rig, dark=dice.pick(beside) if task == "which" else dice.between(0, last))
        if task == "which":
            asked = self._one(dice, rig, answer)
        elif task == "count":
            asked = self._some(dice, rig, condition, turn % (MOST + 1))
        else:
            asked = self._some(dice, rig, condition, 0 if turn % 2 else dice.between(1, 2))
        free = [spot for spot in dice.shuffled(rig.spots()) if spot not in asked]
        things = [Thing(kind, spot) for spot in asked]
        if condition == "boards":
            shared = [spot for spot in free if len(rig.covering(spot[0])) == 2]
            boards = shared[: 1 if task == "which" else dice.between(1, 2)]
            things += [Thing(kind, spot, dice.pick(rig.seeing(spot[0]))) for spot in boards]
        free = [spot for spot in free if all(spot != thing.spot for thing in things)]
        for other in ASKED:
            if other != kind:
                things += [Thing(other, free.pop()) for _ in range(dice.between(0, 2))]

        objects = sightings(rig, things)
        first = [(rig.seeing(spot[0])[0], spot) for spot in asked]
        shown = [(rig.names[place], cell_of(spot, place)) for place, spot in first]
        question, truth, evidence = ask(task, kind, shown)
        whole = task != "which" and bool(asked)  # a picture does not say whose it is, and alone it shows no absence
        enough = [
            name
            for place, name in enumerate(rig.names)
            if whole
            and sum(place in rig.seeing(spot[0]) for spot in asked) >= (1 if task == "exists" else len(asked))
            and not any(thing.kind == kind and thing.front == place for thing in things)
        ]
        return Scene(
            question=question,
            pictures=self._paint(dice, rig, things),
            truth=truth,
            reward="answer",
            condition=condition,
            reasoning=evidence,
            enough=tuple(enough),
            objects=tuple(objects),
        )

    def credulous(self, sample: Sample) -> Sample | None:
        """Every picture counts for itself, and boards are what is painted on them; the one looked for is the first."""
        task, words = sample.metadata["task"], sample.question.replace("?", " ").split()
        kind = next(kind for kind in ASKED if {kind, PLURALS[kind]} & set(words))
        seen = [thing for thing in sample.metadata["objects"] if thing["kind"] == kind]
        if task == "which":
            seen = [thing for thing in seen if thing.get("flat")][:1]
        _, truth, evidence = ask(task, kind, [(thing["source"], thing["cell"]) for thing in seen[:MOST_SEEN]])
        if truth == sample.truth or not seen:
            return None
        return replace(sample, truth=truth, metadata={**sample.metadata, "reasoning": evidence})

    @staticmethod
    def _one(dice: Dice, rig: Rig, answer: int) -> list[Spot]:
        """A spot that the camera at that place shows, and no other does; shared with a dark one, as a rule."""
        spots = [spot for spot in dice.shuffled(rig.spots()) if rig.seeing(spot[0]) == [answer]]
        shared = [spot for spot in spots if len(rig.covering(spot[0])) == 2]
        return [(shared if shared and dice.chance(0.7) else spots)[0]]

    @staticmethod
    def _some(dice: Dice, rig: Rig, condition: str, number: int) -> list[Spot]:
        """That many spots as the condition wants them, at times all before one camera."""
        spots = dice.shuffled(rig.spots())
        if condition == "clear":
            spots = [spot for spot in spots if len(rig.covering(spot[0])) == 1]
        first = next(
            spot
            for spot in spots
            if (condition != "overlap" or len(rig.seeing(spot[0])) == 2)
            and (condition != "dark" or rig.dark in rig.covering(spot[0]))
        )
        if dice.chance(0.4):
            home = rig.seeing(first[0])[0]
            spots = [spot for spot in spots if home in rig.seeing(spot[0])]
        return [first, *(spot for spot in spots if spot != first)][:number]

    @staticmethod
    def _paint(dice: Dice, rig: Rig, things: Sequence[Thing]) -> dict[str, np.ndarray]:
        """A picture for each camera; one thing wears the same colours in all of them."""
        ground = np.float32(dice.uniform(60, 75)) + np.array([dice.uniform(-4, 4) for _ in range(3)], np.float32)
        shade = np.linspace(1.15, 0.85, SIDE, dtype=np.float32)
        pictures = []
        for name in rig.names:
            exposed = ground * np.array(CASTS[name], np.float32) * np.float32(dice.uniform(0.85, 1.15))
            pictures.append(np.broadcast_to(shade[:, None, None] * exposed, (SIDE, SIDE, 3)).copy())
        for thing in things:
            parts, (dx, dy) = _parts(dice, thing.kind), (dice.between(-2, 2), dice.between(-1, 1))
            for place in rig.covering(thing.spot[0]):
                x, y = canvas.cell_corner(cell_of(thing.spot, place))
                edge = thing.front is not None and thing.front != place
                for mask, colour in [(EDGE, (165.0, 110.0, 60.0))] if edge else parts:
                    pictures[place][canvas.place(mask, x + dx, y + dy)] = colour
        if rig.dark is not None:
            pictures[rig.dark] *= 0.04
        for picture in pictures:
            picture += dice.noise(SIDE, SIDE, 3) * np.float32(dice.uniform(3, 8))
        return {name: canvas.pixels(picture) for name, picture in zip(rig.names, pictures, strict=True)}


def _parts(dice: Dice, kind: str) -> list[tuple[canvas.Mask, Any]]:
    """Sprites and their colours."""
    if kind == "lamp":
        return [(canvas.LAMP_POST, (120.0, 110.0, 90.0)), (canvas.LAMP_HEAD, (250.0, 220.0, 90.0))]
    if kind == "bush":
        return [(canvas.BUSH, (25.0, dice.uniform(150, 190), 35.0))]
    skin = np.array([235.0, 185.0, 150.0]) * dice.uniform(0.55, 1.0)
    shirt = [dice.uniform(110, 250) for _ in range(3)]
    return [(canvas.HEAD, skin), (canvas.TORSO, shirt), (canvas.LEGS, [dice.uniform(110, 220)] * 3)]


def sightings(rig: Rig, things: Sequence[Thing]) -> list[dict[str, Any]]:
    """What every picture shows, camera by camera and in reading order; painted boards are marked as flat."""
    found: list[dict[str, Any]] = []
    for place, name in enumerate(rig.names):
        seen = [(cell_of(thing.spot, place), thing) for thing in things if place in rig.seeing(thing.spot[0])]
        for cell, thing in sorted(seen, key=lambda entry: CELLS.index(entry[0])):
            if thing.front is None:
                found.append({"kind": thing.kind, "source": name, "cell": cell})
            elif thing.front == place:
                found.append({"kind": thing.kind, "source": name, "cell": cell, "flat": True})
            else:
                found.append({"kind": "board", "source": name, "cell": cell})
    return found


def ask(task: str, kind: str, seen: Sequence[tuple[str, str]]) -> tuple[str, str, str]:
    """Question, truth and evidence where things of that kind are seen by these cameras in these cells, each once.

    The evidence names every camera that saw one first, and then the cells.
    """
    cells: dict[str, list[str]] = {}
    for camera, cell in sorted(seen, key=lambda entry: (PANORAMA.index(entry[0]), CELLS.index(entry[1]))):
        cells.setdefault(camera, []).append(cell)
    evidence = " ".join(" ".join((camera, *found)) for camera, found in cells.items()) or "none"
    if task == "count":
        rule = "Neighbouring cameras share a column."
        return f"How many different {PLURALS[kind]} are there? {rule}", str(len(seen)), evidence
    if task == "which":
        return f"Which camera sees the {kind}?", next(iter(cells), "none"), evidence
    return f"Is there a {kind}?", "yes" if seen else "no", evidence

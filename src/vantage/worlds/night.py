"""Night: people seen by a camera and by an infrared camera, each of which is blind or fooled at times.

- *posters* look like people in RGB but are cold: RGB alone counts too many;
- *lamps* are as warm as people and have a person's silhouette in infrared: infrared alone counts too many;
- by *night* RGB is dark but for the lamps, in *smoke* patches of grey hide people from it;
- on *hot* days infrared drowns: the air is as warm as people. (No posters then, so that RGB settles it.)

Both pictures together always settle every question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np

from vantage.samples import Sample
from vantage.worlds import canvas
from vantage.worlds.base import Scene, World
from vantage.worlds.canvas import CELLS, SIDE
from vantage.worlds.dice import Dice

HALVES = ("left", "right", "top", "bottom")
MOST_PEOPLE = 4
LOOKALIKES = ("person", "poster", "lamp")
MOST_SEEN = {"count": 9, "locate": 1, "exists": 9}
"""Look-alikes that an answer to each kind of question can name."""
BOX_GRID = 8
"""Boxes are in units of this many pixels, from 0 to 64 / 8 = 8."""


def in_half(cell: str, half: str) -> bool:
    """Whether a cell lies in that half of the picture."""
    column, row = "ABCD".index(cell[0]), int(cell[1]) - 1
    return {"left": column < 2, "right": column >= 2, "top": row < 2, "bottom": row >= 2}[half]


class Night(World):
    """RGB and infrared: how many people, where is the person, is a person in that half?"""

    name: ClassVar[str] = "night"
    about: ClassVar[str] = "people by RGB and infrared; posters fool one, lamps the other; night, smoke and heat blind"
    sources: ClassVar[tuple[str, ...]] = ("rgb", "infrared")
    tasks: ClassVar[tuple[str, ...]] = ("count", "locate", "exists")
    mixes: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "easy": {"clear": 0.76, "night": 0.08, "smoke": 0.08, "hot": 0.08, "posters": 0.15, "lamps": 0.25},
        "balanced": {"clear": 0.40, "night": 0.20, "smoke": 0.20, "hot": 0.20, "posters": 0.35, "lamps": 0.40},
        "hard": {"clear": 0.22, "night": 0.26, "smoke": 0.26, "hot": 0.26, "posters": 0.50, "lamps": 0.50},
    }
    """Four conditions, which sum to one, and the chance of posters (never on hot days) and of lamps."""

    def draw(self, dice: Dice, task: str, mix: str, turn: int) -> Scene:
        """See ``World.draw``."""
        odds = self.mixes[mix]
        condition = dice.weighted({name: odds[name] for name in ("clear", "night", "smoke", "hot")})
        half = dice.pick(HALVES)
        people, empty = self._people(dice, task, turn, half)
        posters = empty[: dice.between(1, 2) if condition != "hot" and dice.chance(odds["posters"]) else 0]
        empty = empty[len(posters) :]
        lamps = empty[: dice.between(1, 2) if dice.chance(odds["lamps"]) else 0]
        empty = empty[len(lamps) :]
        bushes = empty[: dice.between(0, 2)]

        enough = []
        if condition in ("clear", "hot") and not posters:
            enough.append("rgb")
        if condition != "hot" and not lamps:
            enough.append("infrared")
        question, truth, evidence = self._ask(task, people, half)
        kinds = (("person", people), ("poster", posters), ("lamp", lamps), ("bush", bushes))
        return Scene(
            question=question,
            pictures=self._paint(dice, condition, people, posters, lamps, bushes),
            truth=truth,
            reward="box" if task == "locate" else "answer",
            condition=condition,
            reasoning=" ".join(evidence),
            enough=tuple(enough),
            objects=tuple({"kind": kind, "cell": cell} for kind, cells in kinds for cell in cells),
            frame=f"relative:{SIDE // BOX_GRID}" if task == "locate" else "",
        )

    def credulous(self, sample: Sample) -> Sample | None:
        """Posters and lamps are taken for people; the person looked for is the first of them."""
        cells = {kind: [o["cell"] for o in sample.metadata["objects"] if o["kind"] == kind] for kind in LOOKALIKES}
        deceptions = cells["poster"] + cells["lamp"]
        if not deceptions:
            return None
        task, half = sample.metadata["task"], sample.metadata["reasoning"].split()[0]
        seen = deceptions if task == "locate" else cells["person"] + deceptions
        _, truth, evidence = self._ask(task, sorted(seen, key=CELLS.index)[: MOST_SEEN[task]], half)
        return replace(sample, truth=truth, metadata={**sample.metadata, "reasoning": " ".join(evidence)})

    @staticmethod
    def _people(dice: Dice, task: str, turn: int, half: str) -> tuple[list[str], list[str]]:
        """Cells of the people in reading order, and the other cells in random order."""
        cells = dice.shuffled(CELLS)
        if task == "count":
            people = cells[: turn % (MOST_PEOPLE + 1)]
        elif task == "locate":
            people = cells[:1]
        else:
            inside = [cell for cell in cells if in_half(cell, half)]
            outside = [cell for cell in cells if not in_half(cell, half)]
            if turn % 2 == 0:
                total = dice.between(1, 3)
                within = dice.between(1, total)
                people = inside[:within] + outside[: total - within]
            else:
                people = outside[: dice.between(0, 3)]
        return sorted(people, key=CELLS.index), [cell for cell in cells if cell not in people]

    @staticmethod
    def _ask(task: str, people: list[str], half: str) -> tuple[str, object, list[str]]:
        """Question, truth and the evidence: cells of people, after the half where one is asked about."""
        if task == "count":
            return "How many people are there?", str(len(people)), people or ["none"]
        if task == "locate":
            # Sprites keep inside their cell and reach into both halves of it, so the cell is the smallest box.
            x, y = (edge // BOX_GRID for edge in canvas.cell_corner(people[0]))
            size = canvas.CELL // BOX_GRID
            return "Where is the person?", [x, y, x + size, y + size], people
        inside = [cell for cell in people if in_half(cell, half)]
        return f"Is there a person in the {half} half?", "yes" if inside else "no", [half, *(inside or ["none"])]

    @staticmethod
    def _paint(
        dice: Dice, condition: str, people: list[str], posters: list[str], lamps: list[str], bushes: list[str]
    ) -> dict[str, np.ndarray]:
        """Both pictures; the order of drawing is what hides what."""
        hot = condition == "hot"
        ground = np.array([dice.uniform(45, 90), dice.uniform(45, 90), dice.uniform(40, 80)], np.float32)
        shade = np.linspace(1.15, 0.85, SIDE, dtype=np.float32)
        rgb = np.broadcast_to(shade[:, None, None] * ground, (SIDE, SIDE, 3)).copy()
        infrared = np.full((SIDE, SIDE), 150.0 if hot else dice.uniform(20, 50), np.float32)

        def somewhere_in(cell: str) -> tuple[int, int]:
            x, y = canvas.cell_corner(cell)
            return x + dice.between(-2, 2), y + dice.between(-1, 1)

        def warm(spot: tuple[int, int]) -> None:
            infrared[canvas.place(canvas.PERSON, *spot)] = 162.0 if hot else dice.uniform(185, 240)

        for cell in bushes:
            rgb[canvas.place(canvas.BUSH, *somewhere_in(cell))] = (25, dice.uniform(95, 140), 35)
        for cell in [*people, *posters]:
            spot = somewhere_in(cell)
            skin = dice.uniform(0.55, 1.0)
            rgb[canvas.place(canvas.HEAD, *spot)] = (235 * skin, 185 * skin, 150 * skin)
            rgb[canvas.place(canvas.TORSO, *spot)] = [dice.uniform(110, 250) for _ in range(3)]
            rgb[canvas.place(canvas.LEGS, *spot)] = [dice.uniform(110, 220)] * 3
            if cell in people:
                warm(spot)
        if condition == "night":
            rgb *= 0.04
        if condition == "smoke":
            hidden = [cell for cell in people if dice.chance(0.7)] or people[:1]
            hidden += [cell for cell in CELLS if cell not in people and dice.chance(0.2)]
            for cell in hidden:
                x, y = canvas.cell_corner(cell)
                rgb[max(0, y - 2) : y + 18, max(0, x - 2) : x + 18] = dice.uniform(130, 170)
        for cell in lamps:
            spot = somewhere_in(cell)
            rgb[canvas.place(canvas.LAMP_POST, *spot)] = (120, 110, 90)
            rgb[canvas.place(canvas.LAMP_HEAD, *spot)] = (250, 220, 90)
            warm(spot)
        rgb += dice.noise(SIDE, SIDE, 3) * np.float32(dice.uniform(3, 8))
        infrared += dice.noise(SIDE, SIDE) * np.float32(30.0 if hot else dice.uniform(5, 11))
        return {"rgb": canvas.pixels(rgb), "infrared": canvas.pixels(infrared)}

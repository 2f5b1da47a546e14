"""Night captions: the scenes of ``night`` with questions that a caption can answer for one who sees no picture.

A caption says what stands where, ``<cap> person A1 B2 lamp none </cap>``: after each kind it mentions, the cells of all
of that kind, or ``none``. What it does not mention is not known. People, lamps and bushes are asked about; posters
only deceive. Bushes are asked about by clear or hot day alone, since nothing shows them by night or behind smoke.

Within every question, word for word, each answer is equally frequent, so that a caption that is always the same
answers no more than ``BLIND`` of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from vantage.samples import Sample
from vantage.worlds.base import Scene
from vantage.worlds.canvas import CELLS
from vantage.worlds.dice import Dice
from vantage.worlds.night import HALVES, LOOKALIKES, Night, in_half

TAG = "cap"
KINDS = ("person", "poster", "lamp", "bush")
"""What a caption can mention, in the order in which a full one does."""
ASKED = ("person", "lamp", "bush")
PLURALS = {"person": "people", "lamp": "lamps", "bush": "bushes"}
MOST = 3
"""The largest count."""
BLIND = {"count": 1 / (MOST + 1), "exists": 1 / 2, "cell": 1 / len(CELLS)}
"""Share of each task's questions that the best constant caption answers."""


class NightCaptions(Night):
    """How many, is there one in that half, in which cell: of people, lamps or bushes."""

    name: ClassVar[str] = "night-captions"
    about: ClassVar[str] = "scenes of night, with balanced questions that a caption of the scene can answer"
    tasks: ClassVar[tuple[str, ...]] = ("count", "exists", "cell")

    def draw(self, dice: Dice, task: str, mix: str, turn: int) -> Scene:
        """See ``World.draw``."""
        odds = self.mixes[mix]
        turn, kind = turn // len(ASKED), ASKED[turn % len(ASKED)]
        seen_in = ("clear", "hot") if kind == "bush" else ("clear", "night", "smoke", "hot")
        condition = dice.weighted({name: odds[name] for name in seen_in})
        cells, half = dice.shuffled(CELLS), ""
        if task == "count":
            asked = cells[: turn % (MOST + 1)]
        elif task == "cell":
            asked = [CELLS[turn % len(CELLS)]]
        else:
            half = HALVES[turn // 2 % len(HALVES)]
            inside = [cell for cell in cells if in_half(cell, half)]
            outside = [cell for cell in cells if not in_half(cell, half)]
            # One to three of them where the answer is yes, none to three where it is no.
            total = dice.between(1 - turn % 2, MOST)
            within = 0 if turn % 2 else dice.between(1, total)
            asked = inside[:within] + outside[: total - within]
        empty = [cell for cell in cells if cell not in asked]
        others = {
            "person": dice.between(0, 2),
            "poster": dice.between(1, 2) if condition != "hot" and dice.chance(odds["posters"]) else 0,
            "lamp": dice.between(1, 2) if dice.chance(odds["lamps"]) else 0,
            "bush": dice.between(0, 2),
        }
        where: dict[str, list[str]] = {}
        for name in KINDS:
            where[name] = sorted(asked if name == kind else empty[: others[name]], key=CELLS.index)
            empty = [cell for cell in empty if cell not in where[name]]

        question = Asked(task, kind, half)
        truth, evidence = answer(question, where[kind])
        enough = []
        if kind != "person" or (condition in ("clear", "hot") and not where["poster"]):
            enough.append("rgb")
        if kind == "person" and condition != "hot" and not where["lamp"]:
            enough.append("infrared")
        return Scene(
            question=str(question),
            pictures=self._paint(dice, condition, where["person"], where["poster"], where["lamp"], where["bush"]),
            truth=truth,
            reward="answer",
            condition=condition,
            reasoning=" ".join(evidence),
            enough=tuple(enough),
            objects=tuple({"kind": name, "cell": cell} for name in KINDS for cell in where[name]),
        )

    def credulous(self, sample: Sample) -> Sample | None:
        """Posters and lamps are taken for people; the person looked for is the first of them."""
        asked = parse(sample.question)
        things = believed(sample.metadata["objects"])
        if asked is None or asked.kind != "person" or things == sample.metadata["objects"]:
            return None
        seen = [
            new["cell"]
            for new, old in zip(things, sample.metadata["objects"], strict=True)
            if new["kind"] == "person" and (asked.task != "cell" or old["kind"] != "person")
        ]
        truth, evidence = answer(asked, sorted(seen, key=CELLS.index)[: 1 if asked.task == "cell" else None])
        return replace(sample, truth=truth, metadata={**sample.metadata, "reasoning": " ".join(evidence)})


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: its task, the kind of thing, and the half of the picture where one is named."""

    task: str
    kind: str
    half: str = ""

    def __str__(self) -> str:
        if self.task == "count":
            return f"How many {PLURALS[self.kind]} are there?"
        if self.task == "cell":
            return f"In which cell is the {self.kind}?"
        return f"Is there a {self.kind} in the {self.half} half?"


QUESTIONS: Mapping[str, Asked] = {
    str(asked): asked
    for kind in ASKED
    for asked in (Asked("count", kind), Asked("cell", kind), *(Asked("exists", kind, half) for half in HALVES))
}
"""Every question there is, as it is worded."""


def parse(question: str) -> Asked | None:
    """What is asked, in the words of this world; spaces before punctuation, as word tokens leave them, do no harm."""
    return QUESTIONS.get(" ".join(question.split()).replace(" ?", "?"))


def answer(asked: Asked, cells: Sequence[str]) -> tuple[str, list[str]]:
    """The answer where things of that kind stand in those cells, and its evidence: the cells that it rests on.

    ``unknown`` where one cell is asked for and there is not one.
    """
    if asked.task == "count":
        return str(len(cells)), [*cells] or ["none"]
    if asked.task == "cell":
        return cells[0] if len(cells) == 1 else "unknown", [*cells] or ["none"]
    inside = [cell for cell in cells if in_half(cell, asked.half)]
    return "yes" if inside else "no", [asked.half, *(inside or ["none"])]


def believed(things: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The things as one sees them who takes every look-alike for a person."""
    return [{**thing, "kind": "person"} if thing["kind"] in LOOKALIKES else thing for thing in things]


def caption(things: Sequence[Mapping[str, Any]], kinds: Sequence[str] = KINDS) -> str:
    """A caption that says, of these kinds and no others, in which cells they stand."""
    words = []
    for kind in kinds:
        cells = sorted((thing["cell"] for thing in things if thing["kind"] == kind), key=CELLS.index)
        words += [kind, *(cells or ["none"])]
    return " ".join((f"<{TAG}>", *words, f"</{TAG}>"))

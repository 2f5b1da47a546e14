"""Pages: two price lists side by side, with goods and prices that differ.

Every page has its number in the head and three goods below, each with a price from 1 to 9.

- a price *crossed out* in red no longer holds, and the other one of its line does; goods that are crossed out are not
  sold: whoever reads what is crossed out is wrong;
- a *faded* page is hard to read.

Both pages together always settle every question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from vantage.samples import Sample
from vantage.worlds import canvas, glyphs
from vantage.worlds.base import Scene, World
from vantage.worlds.canvas import CELL, SIDE
from vantage.worlds.dice import Dice

PAGES = ("page_1", "page_2")
GOODS = ("tea", "pie", "egg", "fig", "bun", "cod")
LETTERS = ("A", "B", "C", "D")
LINES = 3
HIGHEST = 9
APART = 3
"""Prices that are compared differ by this much at most, so that one of them alone says little."""
PAPERS = {"page_1": (240.0, 240.0, 240.0), "page_2": (240.0, 230.0, 180.0)}
"""White and yellow, more or less: any part of a page tells which of the two it is of."""
RED = (225.0, 30.0, 35.0)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page: goods, the price that holds, and what is crossed out: an older price, or the goods."""

    goods: str
    price: int
    old: int | None = None
    struck: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: its task, the goods that it names, and the page where one is named."""

    task: str
    goods: tuple[str, ...]
    page: str = ""

    def __str__(self) -> str:
        if self.task == "read":
            return f"What does {self.goods[0]} cost on {self.page}?"
        if self.task == "compare":
            return f"Where does {self.goods[0]} cost less?"
        options = (f"{letter} {goods}" for letter, goods in zip(LETTERS, self.goods, strict=True))
        return f"What do both pages sell? {' '.join(options)}"


class Pages(World):
    """What does it cost on that page, where does it cost less, what do both pages sell?"""

    name: ClassVar[str] = "pages"
    about: ClassVar[str] = "two price lists; what is crossed out deceives, and one page alone rarely settles it"
    sources: ClassVar[tuple[str, ...]] = PAGES
    tasks: ClassVar[tuple[str, ...]] = ("read", "compare", "choice")
    kinds: ClassVar[tuple[str, ...]] = (
        *("head 1", "head 2"),
        *(mark + kind for mark in ("", "struck ") for kind in (*map(str, range(1, HIGHEST + 1)), *GOODS)),
    )
    mixes: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "easy": {"clear": 0.80, "struck": 0.10, "faded": 0.10},
        "balanced": {"clear": 0.40, "struck": 0.40, "faded": 0.20},
        "hard": {"clear": 0.15, "struck": 0.65, "faded": 0.20},
    }
    """Three conditions, which sum to one."""

    def draw(self, dice: Dice, task: str, mix: str, turn: int) -> Scene:
        """See ``World.draw``."""
        condition = dice.weighted(self.mixes[mix])
        deceives = condition == "struck"
        if task == "choice":
            asked, lists = self._choice(dice, deceives, turn % len(LETTERS))
        else:
            turn, goods = turn // len(GOODS), GOODS[turn % len(GOODS)]
            if task == "read":
                asked = Asked(task, (goods,), PAGES[turn % 2])
                pair = self._read(dice, deceives, asked, turn // 2 % HIGHEST + 1)
            else:
                asked, pair = Asked(task, (goods,)), self._compare(dice, deceives, goods, turn % 2)
            others = dice.shuffled([other for other in GOODS if other != goods])
            lists = [[line, *(self._line(dice, others.pop(), deceives) for _ in range(LINES - 1))] for line in pair]
        pages = [self._laid_out(dice, page, lines) for page, lines in zip(PAGES, lists, strict=True)]
        objects = [thing for page in pages for thing in page]
        faded = dice.pick(PAGES) if condition == "faded" else ""
        truth, evidence = answer(asked, objects)
        return Scene(
            question=str(asked),
            pictures={
                page: self._paint(dice, page, things, page == faded) for page, things in zip(PAGES, pages, strict=True)
            },
            truth=truth,
            reward="answer",
            condition=condition,
            reasoning=evidence,
            enough=tuple(page for page in PAGES if settles(page, asked, objects)),
            objects=tuple(objects),
        )

    def credulous(self, sample: Sample) -> Sample | None:
        """What is crossed out is read as if it were not."""
        asked = parse(sample.metadata["task"], sample.question)
        truth, evidence = answer(asked, sample.metadata["objects"], believe=True)
        if truth == sample.truth:
            return None
        return replace(sample, truth=truth, metadata={**sample.metadata, "reasoning": evidence})

    @staticmethod
    def _line(dice: Dice, goods: str, deceives: bool) -> Line:
        """A line that nobody asks about."""
        price = dice.between(1, HIGHEST)
        old = _another(dice, price) if deceives and dice.chance(0.3) else None
        return Line(goods, price, old, struck=deceives and dice.chance(0.2))

    @staticmethod
    def _read(dice: Dice, deceives: bool, asked: Asked, price: int) -> list[Line]:
        """The line that is asked for, and that of the same goods on the other page, at another price."""
        right = Line(asked.goods[0], price, _another(dice, price) if deceives else None)
        lines = [right, Line(asked.goods[0], _another(dice, price))]
        return lines[:: 1 if asked.page == PAGES[0] else -1]

    @staticmethod
    def _compare(dice: Dice, deceives: bool, goods: str, cheap: int) -> list[Line]:
        """The line of each page, the one of that place cheaper; what is crossed out tells it the wrong way round."""
        low = dice.between(1, HIGHEST - 1)
        high = low + dice.between(1, min(APART, HIGHEST - low))
        lines = [Line(goods, low), Line(goods, high)]
        if deceives:
            olds = [(0, old) for old in range(high + 1, HIGHEST + 1)] + [(1, old) for old in range(1, low)]
            place, old = dice.pick(olds)
            lines[place] = replace(lines[place], old=old)
        return lines if cheap == 0 else lines[::-1]

    @staticmethod
    def _choice(dice: Dice, deceives: bool, letter: int) -> tuple[Asked, list[list[Line]]]:
        """Goods that both pages sell, under that letter, among three that they do not; all lines of both pages."""
        both, decoy, *others = dice.shuffled(GOODS)
        first, second = ([both, decoy, others.pop()] for _ in PAGES)
        if not deceives:
            second[1] = others.pop()
        lists = [[Line(goods, dice.between(1, HIGHEST)) for goods in lines] for lines in (first, second)]
        wrong = [goods for goods in GOODS if goods not in (both, decoy)]
        if deceives:
            lines = dice.pick(lists)
            lines[1] = replace(lines[1], struck=True)
            options = dice.shuffled([decoy, *dice.shuffled(wrong)[: len(LETTERS) - 2]])
        else:
            options = dice.shuffled([decoy, *wrong])[: len(LETTERS) - 1]
        options.insert(letter, both)
        return Asked("choice", tuple(options)), lists

    @staticmethod
    def _laid_out(dice: Dice, page: str, lines: Sequence[Line]) -> list[dict[str, Any]]:
        """What stands in which cell of a page, the lines in random order."""
        things: list[dict[str, Any]] = [{"kind": f"head {page[-1]}", "source": page, "cell": "D1"}]
        for row, line in enumerate(dice.shuffled(lines), 2):
            holds, crossed = dice.shuffled("BCD")[:2]
            things.append({"kind": line.goods, "source": page, "cell": f"A{row}", "struck": line.struck})
            things.append({"kind": str(line.price), "source": page, "cell": f"{holds}{row}", "struck": False})
            if line.old is not None:
                things.append({"kind": str(line.old), "source": page, "cell": f"{crossed}{row}", "struck": True})
        return things

    @staticmethod
    def _paint(dice: Dice, page: str, things: Sequence[Mapping[str, Any]], faded: bool) -> np.ndarray:
        """One page, dark on light."""
        paper = np.array([dice.uniform(tint - 10, tint + 10) for tint in PAPERS[page]], np.float32)
        ink = paper - 65 if faded else np.array([dice.uniform(20, 60) for _ in range(3)], np.float32)
        band = [dice.uniform(50, 130) for _ in range(3)]
        picture = np.broadcast_to(paper, (SIDE, SIDE, 3)).copy()
        picture[:CELL] = band
        picture[2 * CELL :: CELL] = paper - 40
        for thing in things:
            x, y = canvas.cell_corner(thing["cell"])
            head, kind = thing["kind"].startswith("head"), thing["kind"].removeprefix("head ")
            mask = glyphs.word(kind) if kind in GOODS else glyphs.digit(kind)
            x += (CELL - mask.shape[1]) // 2 + dice.between(-1, 1)
            y += (CELL - mask.shape[0]) // 2 + dice.between(-1, 0)  # clear of the line below
            picture[canvas.place(mask, x, y)] = (250.0, 250.0, 250.0) if head else ink
            if thing.get("struck"):
                picture[canvas.place(glyphs.STRIKE, *canvas.cell_corner(thing["cell"]))] = RED
        return canvas.pixels(picture + dice.noise(SIDE, SIDE, 3) * np.float32(dice.uniform(3, 8)))


def _another(dice: Dice, price: int) -> int:
    return dice.pick([other for other in range(1, HIGHEST + 1) if other != price])


def parse(task: str, question: str) -> Asked:
    """What is asked, from the words of a question of that task."""
    words = question.replace("?", " ").split()
    pages = [word for word in words if word in PAGES]
    return Asked(task, tuple(word for word in words if word in GOODS), *pages)


def sold(things: Sequence[Mapping[str, Any]], page: str, believe: bool = False) -> dict[str, tuple[str, int]]:
    """Goods that a page sells: where they stand, and the price that holds.

    Args:
        things: what stands on all pages.
        page: name of the page.
        believe: read what is crossed out, and not what replaced it.
    """
    found = {}
    for goods in things:
        if goods["source"] == page and goods["kind"] in GOODS and (believe or not goods["struck"]):
            row = goods["cell"][1]
            prices = {
                thing["struck"]: int(thing["kind"])
                for thing in things
                if thing["source"] == page and thing["kind"].isdigit() and thing["cell"][1] == row
            }
            found[goods["kind"]] = goods["cell"], prices[believe and True in prices]
    return found


def answer(asked: Asked, things: Sequence[Mapping[str, Any]], believe: bool = False) -> tuple[str, str]:
    """The answer and its evidence: cells and prices; ``believe`` as in ``sold``, and then rather another answer."""
    goods = asked.goods[0]
    lists = [sold(things, page, believe) for page in PAGES]
    if asked.task == "read":
        cell, price = lists[PAGES.index(asked.page)][goods]
        return str(price), f"{cell} {price}"
    if asked.task == "compare":
        (cell, price), (other_cell, other) = (listed[goods] for listed in lists)
        return PAGES[price > other], f"{cell} {price} {other_cell} {other}"
    both = [goods for goods in asked.goods if all(goods in listed for listed in lists)]
    if believe:
        truly = [sold(things, page) for page in PAGES]
        both.sort(key=lambda goods: all(goods in listed for listed in truly))
    cells = " ".join(listed[both[0]][0] for listed in lists)
    return LETTERS[asked.goods.index(both[0])], f"{both[0]} {cells}"


def settles(page: str, asked: Asked, things: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a page alone is enough.

    Compared prices differ, so nothing is less than 1 or more than the highest; of four options exactly one is sold by
    both pages, so it is the only one of them that a page sells.
    """
    listed = sold(things, page)
    if asked.task == "read":
        return page == asked.page
    if asked.task == "compare":
        return listed[asked.goods[0]][1] in (1, HIGHEST)
    return sum(goods in listed for goods in asked.goods) == 1

"""A comparison on a terminal of 80 columns."""

from __future__ import annotations

from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vantage.evaluation.outcome import kind_of
from vantage.evaluation.paired import Comparison, Difference
from vantage.groups import Origin
from vantage.printing import printable

_WORDS = {
    "fused": "all pictures together",
    "either": "right from at least one alone",
    "interference": "wrong together, right from one",
    "only_together": "right only together",
    "gain": "together minus the best alone",
    "format": "laid out as asked",
    "reward": "mean reward",
    "tokens": "mean length, tokens",
    "miou": "boxes: mean overlap",
    "accuracy@0.5": "boxes: overlap above 0.5",
}


class Sides(NamedTuple):
    """How the two are called.

    Attributes:
        first, second: in one word.
        worse, better: how a sentence begins that says that the second is worse, or better.
    """

    first: str
    second: str
    worse: str
    better: str


MODELS = Sides("first", "second", "The second is worse", "The second is better")
TRAINING = Sides("before", "after", "Training hurt", "Training helped")


def paired_table(found: Comparison, sides: Sides = MODELS) -> Group:
    """Every figure of both, the difference with its interval, and in words what is known."""
    grid = _grid("%", sides)
    for name, one in found.differences.items():
        if not name.startswith("change/"):
            grid.add_row(
                Text(printable(label(name))), *_cells(name, one), style="bold" if name == found.test.figure else ""
            )
    parts: list[RenderableType] = [Text(_head(found, sides)), grid]
    if found.tasks:
        parts.append(_by_task(found, sides))
    return Group(*parts, Text("\n".join(_notes(found, sides))), Text("\n" + verdict(found, sides), "bold"))


def verdict(found: Comparison, sides: Sides = MODELS) -> str:
    """What the test says, in words."""
    test, one = found.test, found.differences[found.test.figure]
    points, what = 100 * one.difference.value, label(test.figure)
    known = f"{_ends(test.figure, one)}, {_p(test.p)}"
    if test.detected:
        said, number = (sides.better, "more") if points > 0 else (sides.worse, "fewer")
        return f"{said}: {abs(points):.1f} points {number} right answers, {what} ({known})."
    least = (
        "." if test.least is None else
        f": {abs(100 * test.least):.1f} points would have been seen with 80 % probability, less would not."
    )  # fmt: skip
    return f"No difference detected ({what}: {points:+.1f} points, {known}){least}"


def label(name: str) -> str:
    """A figure in words."""
    kind, _, which = name.partition("/")
    if kind == "alone":
        return f"{which} alone"
    if kind == "subset":
        return " and ".join(Origin("subset", which).sources)
    if kind == "damaged":
        way, _, source = which.partition(":")
        return f"together, {source}: {way}"
    return _WORDS.get(name, name)


def _grid(first: str, sides: Sides) -> Table:
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column(first, overflow="fold")
    for name in (sides.first, sides.second, "difference", "95 % interval"):
        grid.add_column(name, justify="right", no_wrap=True)
    return grid


def _by_task(found: Comparison, sides: Sides) -> Table:
    """The figure that is tested, of each kind of question."""
    grid = _grid(f"{label(found.test.figure)}, %", sides)
    for task, one in found.tasks.items():
        grid.add_row(Text(printable(task)), *_cells(found.test.figure, one))
    return grid


def _head(found: Comparison, sides: Sides) -> str:
    about = f"{found.n:,} questions" + ("" if found.scenes == found.n else f" about {found.scenes:,} scenes")
    lines = [f"the same {about} of {', '.join(found.data) or 'the data'}"]
    if found.left_out:
        lines.append(f"{found.left_out:,} questions that not all of them answered are left out")
    if len(found.first) == 1:
        width = max(map(len, sides[:2])) + 1
        both = ((sides.first, found.first[0]), (sides.second, found.second[0]))
        lines = [*(f"{side + ':':<{width}} {name}" for side, name in both), *lines]
    else:
        pairs = [f"  {a}  and  {b}" for a, b in zip(found.first, found.second, strict=True)]
        lines = [f"{len(pairs)} pairs, {sides.first} and {sides.second}:", *pairs, *lines]
    return printable("\n".join(lines), keep="\n")


def _cells(name: str, one: Difference) -> list[Text]:
    scale, digits = _scale(name)
    return [
        Text(f"{scale * one.first:.{digits}f}"),
        Text(f"{scale * one.second:.{digits}f}"),
        Text(f"{scale * one.difference.value:+.{digits}f}"),
        Text(_ends(name, one)),
    ]


def _scale(name: str) -> tuple[float, int]:
    """By how much a figure is multiplied, and its digits."""
    return (100.0, 1) if kind_of(name) != "size" else (1.0, 3 if name == "reward" else 1)


def _ends(name: str, one: Difference) -> str:
    scale, digits = _scale(name)
    low, high = one.difference.low, one.difference.high
    known = low is not None and high is not None
    return f"{scale * (low or 0):+.{digits}f} to {scale * (high or 0):+.{digits}f}" if known else "unknown"


def _notes(found: Comparison, sides: Sides) -> list[str]:
    test, what = found.test, label(found.test.figure)
    minus = f"Differences are {sides.second} minus {sides.first}"
    if len(found.first) == 1:
        notes = [f"{minus}, question by question; intervals are over scenes."]
        turned = f"{test.gained} turned right, {test.lost} turned wrong"
        notes.append(f"Tested: {what}. {turned}; {test.name}, {_p(test.p)}.")
    else:
        pairs = len(found.first)
        notes = [f"{minus}, pair by pair; t intervals over {pairs} pairs."]
        least = f"{2.0 ** (1 - pairs):.3f}"
        t = f"t, {_p(test.p)}" if test.name == "t" else "all differ alike"
        notes.append(
            f"Tested: {what}. Better in {test.gained} of {pairs} pairs, worse in {test.lost}; {t}; "
            f"sign flips, {_p(test.sign_flip or 0)} (of {pairs} pairs never below {least})."
        )
    notes.append("The other figures are not tested: of many, some would differ by chance.")
    return notes


def _p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p below 0.001"

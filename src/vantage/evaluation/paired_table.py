"""A comparison on a terminal of 80 columns."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group
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


def paired_table(found: Comparison) -> Group:
    """Every figure of both, the difference with its interval, and in words what is known."""
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column("%", overflow="fold")
    for name in ("first", "second", "difference", "95 % interval"):
        grid.add_column(name, justify="right", no_wrap=True)
    for name, one in found.differences.items():
        if not name.startswith("change/"):
            grid.add_row(
                Text(printable(label(name))), *_cells(name, one), style="bold" if name == found.test.figure else ""
            )
    return Group(Text(_head(found)), grid, Text("\n".join(_notes(found))), Text("\n" + verdict(found), "bold"))


def verdict(found: Comparison) -> str:
    """What the test says, in words."""
    test, one = found.test, found.differences[found.test.figure].difference
    points, what = 100 * one.value, label(test.figure)
    if test.detected:
        who = "second" if points > 0 else "first"
        return f"The {who} is better: {abs(points):.1f} points more right answers, {what} ({_p(test.p)})."
    least = (
        "." if test.least is None else
        f": {abs(100 * test.least):.1f} points would have been seen with 80 % probability, less would not."
    )  # fmt: skip
    return f"No difference detected ({what}: {points:+.1f} points, {_p(test.p)}){least}"


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


def _head(found: Comparison) -> str:
    about = f"{found.n:,} questions" + ("" if found.scenes == found.n else f" about {found.scenes:,} scenes")
    lines = [f"the same {about} of {', '.join(found.data) or 'the data'}"]
    if found.left_out:
        lines.append(f"{found.left_out:,} questions that not all of them answered are left out")
    if len(found.first) == 1:
        lines = [f"first:  {found.first[0]}", f"second: {found.second[0]}", *lines]
    else:
        pairs = [f"  {a}  and  {b}" for a, b in zip(found.first, found.second, strict=True)]
        lines = [f"{len(pairs)} pairs, first and second:", *pairs, *lines]
    return printable("\n".join(lines), keep="\n")


def _cells(name: str, one: Difference) -> list[Text]:
    scale, digits = (100.0, 1) if kind_of(name) != "size" else (1.0, 3 if name == "reward" else 1)
    change = one.difference
    known = change.low is not None and change.high is not None
    ends = (
        f"{scale * (change.low or 0):+.{digits}f} to {scale * (change.high or 0):+.{digits}f}" if known else "unknown"
    )
    return [
        Text(f"{scale * one.first:.{digits}f}"),
        Text(f"{scale * one.second:.{digits}f}"),
        Text(f"{scale * change.value:+.{digits}f}"),
        Text(ends),
    ]


def _notes(found: Comparison) -> list[str]:
    test, what = found.test, label(found.test.figure)
    if len(found.first) == 1:
        notes = ["Differences are second minus first, question by question; intervals are over scenes."]
        turned = f"{test.gained} turned right, {test.lost} turned wrong"
        notes.append(f"Tested: {what}. {turned}; {test.name}, {_p(test.p)}.")
    else:
        pairs = len(found.first)
        notes = [f"Differences are second minus first, pair by pair; t intervals over {pairs} pairs."]
        least = f"{2.0 ** (1 - pairs):.3f}"
        notes.append(
            f"Tested: {what}. Better in {test.gained} of {pairs} pairs, worse in {test.lost}; t, {_p(test.p)}; "
            f"sign flips, {_p(test.sign_flip or 0)} (of {pairs} pairs never below {least})."
        )
    notes.append("The other figures are not tested: of many, some would differ by chance.")
    return notes


def _p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p below 0.001"

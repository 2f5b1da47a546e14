"""Two models on the same questions, or several pairs of them: is there a difference, and could one have been seen?

Of two files, every figure is compared question by question; its interval comes from drawing scenes, both answers of a
scene together. The share of right answers from all sources is *tested* too, and it alone, since among many figures some
would differ by chance: by the exact McNemar test (1947) where scenes are questions, else by flipping the signs of
scenes. Of several pairs, such as runs of several seeds, the difference is taken pair by pair, with a t interval over
pairs, which says what other seeds would give, and a sign-flip test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy import stats

from vantage.errors import DataError
from vantage.evaluation.outcome import Answered, Figure, Results, best_of, columns_of, kind_of
from vantage.evaluation.results import Record
from vantage.evaluation.statistics import CONFIDENCE, POWER, bootstrap, detectable, mean, paired_test, sign_flip

TESTED = ("fused", "pass@1")
"""The figure that is tested: the first of these that both files have."""
LEVEL = 1 - CONFIDENCE
"""A p-value below it is called a difference."""


class Difference(Record):
    """A figure of two models; ``difference`` is second minus first."""

    first: float
    """Of the first model, over the questions that both have it for."""
    second: float
    """Of the second model."""
    difference: Figure
    """With its interval; ``n`` counts questions, or pairs where there are several."""


class Test(Record):
    """What was tested, and what came out."""

    figure: str
    """Which figure."""
    name: str
    """``McNemar``, ``sign flips of scenes``, ``t``, beside which ``sign_flip`` stands, or ``sign flips``, of pairs that
    differ alike and so tell a t test no spread."""
    p: float = Field(ge=0, le=1)
    """Two-sided p-value."""
    detected: bool
    """Whether it is below 0.05."""
    gained: int | None = None
    """Questions, or pairs, that turned right (for which the second is better)."""
    lost: int | None = None
    """Those that turned wrong."""
    sign_flip: float | None = None
    """Of several pairs, the p-value of flipping the signs of pairs, which assumes least."""
    least: float | None
    """The smallest difference that would be seen with 80 % probability; null where nothing is known of the spread."""


class Comparison(Record):
    """Two models, or several pairs of them, on the same questions."""

    kept_as: ClassVar[str] = "a comparison"

    first: list[str]
    """Names of the first models; one of each pair."""
    second: list[str]
    """Names of the second models."""
    data: list[str]
    """How the data are called."""
    n: int = Field(ge=1)
    """Questions in common to all."""
    scenes: int = Field(ge=1)
    """Scenes that they are about."""
    left_out: int = 0
    """Questions that not all of them have; 0 unless those in common were asked for."""
    differences: dict[str, Difference]
    """By figure, in the order of ``Results.figures``."""
    tasks: dict[str, Difference] = Field(default_factory=dict)
    """The figure that is tested, by kind of question; empty where the data name fewer than two."""
    test: Test
    """Of the one figure that is tested."""


def compare(first: Sequence[Results], second: Sequence[Results], *, common: bool = False) -> Comparison:
    """Compare pair by pair.

    Args:
        first: results of the first models; of one model, or of several seeds.
        second: as many of the second models, in the same order.
        common: go on where the questions differ, with those that all files have in common.

    Raises:
        DataError: other questions, or none in common; numbers that do not pair; no figure that can be tested.
    """
    if not first or len(first) != len(second):
        raise DataError(f"models are compared in pairs, and there are {len(first)} and {len(second)}")
    pairs = _paired(first, second, common)
    columns = [_columns(*pair, min(a.k, b.k)) for pair, a, b in zip(pairs, first, second, strict=True)]
    shared = [name for name in columns[0] if all(name in own for own in columns)]
    tested = next((name for name in TESTED if name in shared), None)
    if tested is None:
        raise DataError("nothing to test: the results have neither greedy nor drawn answers from all sources in common")
    scenes = [question.scene for question in pairs[0][0]]
    if len(pairs) == 1:
        differences = {name: _of_questions(name, *columns[0][name], scenes) for name in shared}
        test = _test(tested, *columns[0][tested], scenes, differences[tested].difference)
    else:
        differences = {name: _of_pairs([own[name] for own in columns]) for name in shared}
        test = _test_of_pairs(tested, [own[tested] for own in columns])
    tasks = [question.task for question in pairs[0][0]]
    return Comparison(
        first=[one.model for one in first],
        second=[one.model for one in second],
        data=list(dict.fromkeys(one.data for one in (*first, *second))),
        n=len(pairs[0][0]),
        scenes=len(set(scenes)),
        left_out=len({q.id for one in (*first, *second) for q in one.questions}) - len(pairs[0][0]),
        differences=differences,
        tasks=_by_task(tested, columns, tasks, scenes) if len(set(tasks)) > 1 else {},
        test=test,
    )


Column = np.ndarray
Columns = dict[str, tuple[Column, Column]]


def _paired(
    first: Sequence[Results], second: Sequence[Results], common: bool
) -> list[tuple[list[Answered], list[Answered]]]:
    """The questions that all answered, of each pair, in the order of the very first."""
    files = [*first, *second]
    keyed = [{(question.id, question.asked): question for question in one.questions} for one in files]
    both = [key for key in keyed[0] if all(key in other for other in keyed)]
    alike = all(one.n == len(both) for one in files)
    if not both or (not alike and not common):
        go_on = "" if not both else "; --common compares those"
        least = min(range(1, len(files)), key=lambda place: len(keyed[0].keys() & keyed[place].keys()))
        told = [
            f"{one.model} answered {one.n:,} questions of {one.data or 'some data'}" for one in (files[0], files[least])
        ]
        others = "" if len(files) == 2 else f" in all {len(files)} files"
        raise DataError(f"{told[0]}, {told[1]}, and {len(both):,} are the same{others}{go_on}")
    lists = [[own[key] for key in both] for own in keyed]
    return list(zip(lists[: len(first)], lists[len(first) :], strict=True))


def _columns(first: Sequence[Answered], second: Sequence[Answered], k: int) -> Columns:
    """Figures that both have, NaN where one of the two has none for a question."""
    best = best_of([*first, *second])
    one, other = columns_of(first, best, k), columns_of(second, best, k)
    found: Columns = {}
    for name in one:
        if name in other:
            a, b = np.array(one[name], dtype=float), np.array(other[name], dtype=float)
            unknown = np.isnan(a) | np.isnan(b)
            if not unknown.all():
                a[unknown] = b[unknown] = np.nan
                found[name] = a, b
    return found


def _of_questions(name: str, first: Column, second: Column, scenes: Sequence[str]) -> Difference:
    low, high = bootstrap((second - first)[:, None], scenes, shares=False, changes=kind_of(name) != "size")
    ends = [None if math.isnan(end[0]) else float(end[0]) for end in (low, high)]
    a, b = float(np.nanmean(first)), float(np.nanmean(second))
    n = int((~np.isnan(first)).sum())
    value = float(np.nanmean(second - first))
    return Difference(first=a, second=b, difference=Figure(n=n, value=value, low=ends[0], high=ends[1]))


def _test(name: str, first: Column, second: Column, scenes: Sequence[str], found: Figure) -> Test:
    change = second - first
    known = ~np.isnan(change)
    test, p = paired_test(change[known], list(np.array(scenes, dtype=object)[known]))
    gained, lost = int((change[known] > 0).sum()), int((change[known] < 0).sum())
    least = None if found.low is None or found.high is None else detectable(found.low, found.high)
    return Test(
        figure=name, name=test, p=p, detected=p < LEVEL, gained=gained, lost=lost, least=least,
    )  # fmt: skip


def _by_task(
    name: str, columns: Sequence[Columns], tasks: Sequence[str], scenes: Sequence[str]
) -> dict[str, Difference]:
    """One figure over the questions of each kind that has it."""
    found = {}
    for task in dict.fromkeys(filter(None, tasks)):
        where = np.array([other == task for other in tasks])
        own = [(both[name][0][where], both[name][1][where]) for both in columns]
        if any(np.isnan(first).all() for first, _ in own):
            continue
        about = [scene for scene, wanted in zip(scenes, where, strict=True) if wanted]
        found[task] = _of_questions(name, *own[0], about) if len(own) == 1 else _of_pairs(own)
    return found


def _means(columns: Sequence[tuple[Column, Column]]) -> tuple[list[float], list[float]]:
    return [float(np.nanmean(a)) for a, _ in columns], [float(np.nanmean(b)) for _, b in columns]


def _of_pairs(columns: Sequence[tuple[Column, Column]]) -> Difference:
    first, second = _means(columns)
    found = mean([b - a for a, b in zip(first, second, strict=True)])
    ends = (None, None) if math.isnan(found.half) else (found.value - found.half, found.value + found.half)
    figure = Figure(n=found.n, value=found.value, low=ends[0], high=ends[1])
    return Difference(first=float(np.mean(first)), second=float(np.mean(second)), difference=figure)


def _test_of_pairs(name: str, columns: Sequence[tuple[Column, Column]]) -> Test:
    first, second = _means(columns)
    changes = [b - a for a, b in zip(first, second, strict=True)]
    found, freedom = mean(changes), len(changes) - 1
    t, power = stats.t.ppf((1 + CONFIDENCE) / 2, freedom), stats.t.ppf(POWER, freedom)
    alike = math.isnan(found.half)
    return Test(
        figure=name, name="sign flips" if alike else "t", p=found.p, detected=found.p < LEVEL,
        gained=sum(change > 0 for change in changes), lost=sum(change < 0 for change in changes),
        sign_flip=sign_flip(changes), least=None if alike else float(found.half * (t + power) / t),
    )  # fmt: skip

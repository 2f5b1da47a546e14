"""The tables of a study from its kept results, as Markdown.

    python studies/table.py studies/ekipl-tiny.yaml ekipl-tiny/results.jsonl

A cell is a mean over seeds and half the width of its 95 % interval, t with n - 1 degrees of freedom. A difference is
taken seed by seed, and its interval is that of these differences. Of the primary figure the p-values of all compared
pairs of all suites are one family (Holm, 1979); pairs that are only shown have none.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plan as plans

from vantage.errors import DataError, VantageError
from vantage.evaluation.statistics import Mean, difference, holm, mean

STEPS = "steps"
"""Steps to the reference's final accuracy, counted here since it takes the runs of the reference."""
NUMBERS = {"seconds": 0, "cpu_seconds": 0, STEPS: 0, "entropy": 2, "off_policy/logp": 2, "off_policy/weight": 2}
"""Figures that are no shares, and their digits; shares are shown in percent."""

Values = dict[int, float]
"""A figure by seed."""


def steps_to(curve: Mapping[str, float], threshold: float) -> float:
    """The first checkpoint at or above the threshold; one interval past the last where there is none."""
    steps = sorted(int(step) for step in curve)
    reached = [step for step in steps if curve[str(step)] >= threshold]
    return float(reached[0] if reached else steps[-1] + steps[0])


class Results:
    """The kept results of a study.

    Args:
        study: its plan.
        lines: of ``results.jsonl``.

    Raises:
        DataError: a result of another plan, or of a run that the plan does not have, or one twice.
    """

    def __init__(self, study: plans.Plan, lines: Sequence[Mapping[str, Any]]) -> None:
        self.study = study
        tasks = {task.name: task for task in study.tasks()}
        self._kept: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
        for line in lines:
            name = plans.Task(suite=line["suite"], arm=line["arm"], seed=line["seed"]).name
            if name not in tasks or line["digest"] != study.digest(tasks[name]):
                raise DataError(f"the result of {name!r} is not of this plan")
            by_seed = self._kept.setdefault((line["suite"], line["arm"]), {})
            if by_seed.setdefault(line["seed"] or 0, line) is not line:
                raise DataError(f"the result of {name!r} is there twice")
        self.n, self.of = len(lines), len(tasks)

    def values(self, suite: str, arm: str, figure: str) -> Values:
        """A figure by seed; empty where the arm has none."""
        kept = self._kept.get((suite, arm), {})
        if figure == STEPS:
            level = self.threshold(suite)
            return {seed: steps_to(line["curve"], level) for seed, line in kept.items() if line["curve"]}
        return {seed: line["figures"][figure] for seed, line in kept.items() if figure in line["figures"]}

    def threshold(self, suite: str) -> float:
        """Mean over seeds of the reference's accuracy at its last checkpoint."""
        curves = [line["curve"] for line in self._kept.get((suite, self.study.reference), {}).values()]
        return float(np.mean([curve[max(curve, key=int)] for curve in curves])) if curves else math.inf

    def commits(self) -> list[str]:
        """Of the sources that made them."""
        return sorted({line["commit"] for by_seed in self._kept.values() for line in by_seed.values()})


def shown(figure: str, found: Mean, sign: bool = False) -> str:
    """A cell; a share as percent."""
    if not found.n:
        return ""
    digits, scale = (NUMBERS[figure], 1) if figure in NUMBERS else (1, 100)
    half = "" if math.isnan(found.half) else f" ± {found.half * scale:.{digits}f}"
    return f"{found.value * scale:{'+' if sign else ''}.{digits}f}{half}"


def markdown(results: Results) -> str:
    """All tables: a row a figure that some arm has, a column an arm or a pair of arms."""
    study = results.study
    pairs = [(suite, *pair) for suite in study.suites for pair in study.compare]
    found = [difference(*(results.values(s, arm, study.primary) for arm in (a, b))) for s, a, b in pairs]
    adjusted = dict(zip(pairs, holm([one.p for one in found]), strict=True))
    parts = [
        f"{results.n} of {results.of} runs, source {', '.join(results.commits()) or 'unknown'}. "
        "Means over seeds ± half the 95 % interval (t); shares in %, differences by seed in points."
    ]
    for suite in study.suites:
        arms = (plans.START, *study.arms)
        values = {(arm, f): results.values(suite, arm, f) for arm in arms for f in study.report}
        # The start's own value is in the first table only, so a figure that it alone has is left out of both.
        figures = [f for f in study.report if any(values[arm, f] for arm in study.arms)]
        level = f"; for `{STEPS}` they reach {results.threshold(suite):.1%}" if STEPS in figures else ""
        rows = [["seeds", *(str(max(len(values[arm, f]) for f in study.report)) for arm in arms)]]
        rows += [[f"`{f}`", *(shown(f, mean(list(values[arm, f].values()))) for arm in arms)] for f in figures]
        parts += [f"**{suite}: arms**{level}", _table(["figure", *arms], rows)]
        compared = [*study.compare, *study.also]
        holms = [adjusted.get((suite, *pair), math.nan) for pair in compared]
        rows = [[f"p of `{study.primary}` (Holm)", *("" if math.isnan(p) else f"{p:.3f}" for p in holms)]]
        rows += [
            [f"`{f}`", *(shown(f, difference(values[a, f], values[b, f]), sign=True) for a, b in compared)]
            for f in figures
        ]
        parts += [f"**{suite}: paired differences**", _table(["figure", *(f"{a} - {b}" for a, b in compared)], rows)]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="The tables of a study from its kept results, as Markdown.")
    parser.add_argument("plan", type=Path, help="plan file of the study")
    parser.add_argument("results", type=Path, help="results.jsonl of its runs")
    options = parser.parse_args()
    try:
        lines = [json.loads(line) for line in options.results.read_text(encoding="utf-8").splitlines()]
        print(markdown(Results(plans.load(options.plan), lines)), end="")
    except (VantageError, OSError, ValueError) as error:
        sys.exit(f"{options.results}: {error}")


if __name__ == "__main__":
    main()

"""Figures of drawn answers, before and after training: whether the boundary moved, or only what lay within it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, PercentFormatter

from vantage.evaluation.passk import Estimate, SampledEvaluation, change
from vantage.evaluation.passk_table import shown
from vantage.report.curves import BLUE, GREY, LINE, dress, explain, sheet, write

PANELS = (
    ("pass_at", "Right at least once in k answers", "pass@k; the right end shows what is in reach at all"),
    ("majority_at", "Right by majority", "the most frequent of k answers; ties count in part"),
    ("all_at", "Right every time", "each of k answers"),
)
_COLOURS = {"before": GREY, "after": BLUE}


def load(before: str | Path, after: str | Path) -> dict[str, SampledEvaluation]:
    """The evaluations of drawn answers that a run keeps, by moment; those that are missing are left out.

    Raises:
        DataError: a file holds something else.
    """
    files = {"before": Path(before), "after": Path(after)}
    return {moment: SampledEvaluation.load(file) for moment, file in files.items() if file.exists()}


def told(runs: dict[str, SampledEvaluation]) -> str:
    """pass@k for one, a few and all answers in a few lines, with intervals over questions; of two, of the change."""
    found = list(runs.values())
    most = min(run.k for run in found)
    of = f"Of {found[0].n:,} questions, {' → '.join(runs)}, with 95 % intervals"
    lines = [f"{of} of the change:" if len(found) == 2 else f"{of}:"]
    for k in sorted({1, min(8, most), most}):
        ends = [run.pass_at[k - 1] for run in found]
        shares = " → ".join(f"{100 * end.value:5.1f}" for end in ends)
        sign, by = ("+", change(*found).pass_at[k - 1]) if len(found) == 2 else ("", ends[0])
        low, value, high = (f"{100 * end:{sign}.1f}" for end in (by.low, by.value, by.high))
        lines.append(f"  pass@{k:<3} {shares} % {f' {value}' if sign else ''} ({low} to {high})")
    return "\n".join(lines)


def brief(run: SampledEvaluation) -> dict[str, Any]:
    """What a summary keeps of an evaluation; shares in 0..1, each with the ends of its interval."""
    figures = {str(k): run.pass_at[k - 1] for k in shown(run.k)}
    return {
        "k": run.k,
        "n": run.n,
        "pass_at": {k: found.value for k, found in figures.items()},
        "pass_at_interval": {k: [found.low, found.high] for k, found in figures.items()},
    }


def plot(before: str | Path, after: str | Path, out_png: str | Path, title: str) -> Path | None:
    """Draw the evaluations of drawn answers that a run keeps; ``None``, and no picture, where it kept neither.

    Args:
        before: file of the evaluation before training; may be missing.
        after: that after training; may be missing.
        out_png: the picture.
        title: of the figure.

    Raises:
        DataError: a file holds something else.
    """
    runs = load(before, after)
    return draw(runs, out_png, title) if runs else None


def draw(runs: dict[str, SampledEvaluation], out_png: str | Path, title: str) -> Path:
    """Draw evaluations by their names, with their 95 % intervals as bands."""
    figure = sheet(len(PANELS), 1, " · ".join(filter(None, [title, *_drawn(runs.values())])))
    most = max(run.k for run in runs.values())
    for place, (name, heading, about) in enumerate(PANELS, start=1):
        axes = figure.add_subplot(1, len(PANELS), place)
        dress(axes, heading, about)
        for moment, run in runs.items():
            _band(axes, getattr(run, name), f"{moment}, {run.n:,} questions", _COLOURS.get(moment, BLUE))
        _ends(axes, {moment: getattr(run, name)[-1].value for moment, run in runs.items()}, runs)
        _answers(axes, most)
        explain(axes)
    return write(figure, out_png)


def _drawn(runs: Collection[SampledEvaluation]) -> list[str]:
    """Which data the answers are to, and how they were drawn."""
    data = dict.fromkeys(run.data for run in runs)
    ways = dict.fromkeys(f"{run.settings['temperature']:g}" for run in runs if "temperature" in run.settings)
    return [*filter(None, data), *([f"temperature {' and '.join(ways)}"] if ways else [])]


def _band(axes: Axes, found: Sequence[Estimate], label: str, colour: str) -> None:
    k = np.arange(1, len(found) + 1)
    low, value, high = np.array([(each.low, each.value, each.high) for each in found]).T
    if len(found) == 1:  # a line of one point would not be seen
        axes.errorbar(k, value, [value - low, high - value], color=colour, label=label, fmt="o", zorder=3)
    else:
        axes.plot(k, value, color=colour, label=label, linewidth=LINE, zorder=3)
        axes.fill_between(k, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)


def _ends(axes: Axes, values: dict[str, float], runs: dict[str, SampledEvaluation]) -> None:
    """The last value of each curve beside it; close ones are moved apart."""
    at = 0.0
    for moment, value in sorted(values.items(), key=lambda item: item[1]):
        at = max(value, at + 0.05) if at else value
        axes.annotate(
            f"{100 * value:.0f} %",
            (runs[moment].k, at),
            xytext=(5, 0),
            textcoords="offset points",
            fontsize=8.5,
            color=_COLOURS.get(moment, BLUE),
            va="center",
            annotation_clip=False,
        )


def _answers(axes: Axes, most: int) -> None:
    """Numbers of answers from left to right, each doubling as wide as the last."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(shown(most), [str(k) for k in shown(most)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim((1, most) if most > 1 else (0.5, 2))
    axes.set_xlabel("k, answers to a question", fontsize=8.5, color=GREY, labelpad=1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_yticks([each / 5 for each in range(6)])
    axes.set_ylim(0, 1.04)  # a curve at the top would be half cut by the frame

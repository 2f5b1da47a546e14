"""Figures of drawn answers, before and after training: whether the boundary moved, or only what lay within it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, PercentFormatter

from vantage.evaluation.passk import Estimate, SampledEvaluation
from vantage.evaluation.passk_table import shown
from vantage.report.curves import BLUE, GREY, LINE, dress, explain, sheet, write

PANELS = (
    ("pass_at", "Right at least once in k answers", "pass@k; the right end shows what is in reach at all"),
    ("majority_at", "Right by majority", "the most frequent of k answers; ties count in part"),
    ("all_at", "Right every time", "each of k answers"),
)
_COLOURS = {"before": GREY, "after": BLUE}


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
    files = {"before": Path(before), "after": Path(after)}
    runs = {moment: SampledEvaluation.load(file) for moment, file in files.items() if file.exists()}
    return draw(runs, out_png, title) if runs else None


def draw(runs: dict[str, SampledEvaluation], out_png: str | Path, title: str) -> Path:
    """Draw evaluations by their names, with their 95 % intervals as bands."""
    figure = sheet(len(PANELS), 1, title)
    most = max(run.k for run in runs.values())
    for place, (name, heading, about) in enumerate(PANELS, start=1):
        axes = figure.add_subplot(1, len(PANELS), place)
        dress(axes, heading, about)
        for moment, run in runs.items():
            _band(axes, getattr(run, name), f"{moment}, {run.n:,} questions", _COLOURS.get(moment, BLUE))
        _answers(axes, most)
        explain(axes)
    return write(figure, out_png)


def _band(axes: Axes, found: Sequence[Estimate], label: str, colour: str) -> None:
    k = np.arange(1, len(found) + 1)
    low, value, high = np.array([(each.low, each.value, each.high) for each in found]).T
    if len(found) == 1:  # a line of one point would not be seen
        axes.errorbar(k, value, [value - low, high - value], color=colour, label=label, fmt="o", zorder=3)
    else:
        axes.plot(k, value, color=colour, label=label, linewidth=LINE, zorder=3)
        axes.fill_between(k, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)


def _answers(axes: Axes, most: int) -> None:
    """Numbers of answers from left to right, each doubling as wide as the last."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(shown(most), [str(k) for k in shown(most)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim((1, most) if most > 1 else (0.5, 2))
    axes.set_xlabel("k", fontsize=8.5, color=GREY, loc="right", labelpad=1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(0, 1)

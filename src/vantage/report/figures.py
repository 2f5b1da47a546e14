"""The figures of a report as files for a paper, each as SVG and as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vantage.report import curves, gains, guests
from vantage.report.curves import BLUE, GREY, SOURCE_COLOURS, Metrics, Panel, curve, cycle, dress, explain, sheet
from vantage.report.folder import RunFolder, read

RUN_COLOURS = (BLUE, *(colour for colour in SOURCE_COLOURS if colour != BLUE))
TOGETHER = {
    "reward": ("Reward", "mean over the step's sampled answers"),
    "accuracy": ("Right answers", "share of the step's sampled answers"),
    "gain": ("Information gain of fusion", "fused reward minus single-source reward; above 0, seeing more helps"),
    "groups/silent": ("Groups without signal", "share of questions; nothing is learned from them"),
    "entropy": ("Entropy", "how open the policy is"),
    "kl": ("Drift", "KL to the reference"),
    "length/mean": ("Length of answers", "tokens"),
    "time/step": ("Time of a step", "seconds"),
}
"""What is drawn of several runs over each other: columns, their titles, how to read them."""
_SHARES = {"accuracy", "groups/silent"}


def write(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Write every figure that the runs have something for; folders that are missing are made.

    One run gives a figure a panel, several give one a curve, over each other; each run with evaluations gives its
    right answers by source.

    Raises:
        DataError: a folder that is none, or that holds no run yet.
    """
    runs = read(paths)
    made: list[Path] = []
    if len(runs) == 1 and (metrics := runs[0].metrics) is not None:
        for panel in (*curves.PANELS, *guests.PANELS):
            if panel.wants(metrics):
                made += _both(_panel(panel, metrics), folder / _plain(panel.title))
    else:
        for column in TOGETHER:
            if (figure := _overlaid(runs, column)) is not None:
                made += _both(figure, folder / _plain(TOGETHER[column][0]))
    for run in runs:
        if run.evaluations:
            name = "right-by-source" if len(runs) == 1 else f"right-by-source-{_plain(run.name)}"
            made += _both(_by_source(run), folder / name)
    return made


def _both(figure: Figure, stem: Path) -> list[Path]:
    return [curves.write(figure, stem.with_name(f"{stem.name}.{kind}")) for kind in ("svg", "png")]


def _plain(title: str) -> str:
    """A title as the name of a file."""
    return (
        "-".join("".join(each if each.isascii() and each.isalnum() else " " for each in title.lower()).split()) or "_"
    )


def _panel(panel: Panel, metrics: Metrics) -> Figure:
    figure = sheet(1, 1, "")
    axes = figure.add_subplot()
    dress(axes, panel.title, panel.about)
    _steps(axes)
    panel.draw(axes, metrics)
    explain(axes)
    return figure


def _steps(axes: Axes) -> None:
    axes.set_xlabel("step", fontsize=8.5, color=GREY, loc="right", labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))


def _overlaid(runs: Sequence[RunFolder], column: str) -> Figure | None:
    known = [
        (run, metrics, values, colour)
        for run, colour in zip(runs, cycle(RUN_COLOURS), strict=False)
        if (metrics := run.metrics) is not None and (values := metrics.get(column)) is not None
    ]
    if not known:
        return None
    figure = sheet(1, 1, "")
    axes = figure.add_subplot()
    dress(axes, *TOGETHER[column])
    _steps(axes)
    if column == "gain":
        axes.axhline(0, color=GREY, linewidth=0.9, zorder=1)
    for run, metrics, values, colour in known:
        curve(axes, metrics, values, run.name.replace("$", r"\$"), colour)
    if column in _SHARES:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if column != "gain":
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    explain(axes)
    return figure


def _by_source(run: RunFolder) -> Figure:
    """Right answers from all pictures and from each alone, before (hollow) and after (filled), with intervals."""
    rows = [row for row in gains.matrix(run) if row["kind"] != "interference"]
    names = {"fused": "all pictures", "either": "right from at least one"}
    figure = sheet(1, 1, "")
    axes = figure.add_subplot()
    hollow = " Hollow: before training; filled: after." if len(run.evaluations) == 2 else ""
    dress(axes, "Right answers by source", f"share of held-out questions, 95 % intervals.{hollow}")
    axes.grid(axis="x", color="#EEEEEE", linewidth=0.8)
    axes.grid(visible=False, axis="y")
    colours = cycle(SOURCE_COLOURS)
    for place, row in enumerate(rows):
        colour = BLUE if row["kind"] == "fused" else GREY if row["kind"] == "either" else colours[place - 1]
        for moment, lift in (("before", 0.12), ("after", -0.12)):
            share = row.get(moment)
            if share is not None:
                value, low, high = share
                face = "white" if moment == "before" and len(run.evaluations) == 2 else colour
                axes.errorbar(
                    value,
                    -place + lift,
                    xerr=[[value - low], [high - value]],
                    color=colour,
                    fmt="o",
                    mfc=face,
                    capsize=2,
                )
    labels = [names.get(row["kind"], f"{row['name']} alone").replace("$", r"\$") for row in rows]
    axes.set_yticks([-place for place in range(len(rows))], labels)
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure

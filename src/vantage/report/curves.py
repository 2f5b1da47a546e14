"""One figure of a run, from its ``metrics.jsonl``: what it earned, whether the sources helped, where the time went."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vantage.errors import DataError

# Okabe and Ito (2008): told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A800",
)  # fmt: skip
BLACK, GREY = "#222222", "#777777"
SOURCE_COLOURS = (ORANGE, PURPLE, SKY, YELLOW, BLUE, GREEN)
TIME_COLOURS = {
    "rollout": BLUE,
    "anchors": ORANGE,
    "guests": RED,
    "vision": PURPLE,
    "reward": GREEN,
    "update": SKY,
}
"""The parts of a step, which add up to it."""

LINE, RAW_ALPHA = 1.8, 0.22
SMOOTH_FROM = 20
"""Curves of fewer points are drawn as they are."""
SMOOTH_SHARE = 50
"""Width of the smoothing: this part of the run."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Columns of a run's metrics, NaN where a step did not log one."""

    step: np.ndarray
    columns: Mapping[str, np.ndarray]

    def get(self, name: str) -> np.ndarray | None:
        """A column with at least one number, else ``None``."""
        column = self.columns.get(name)
        return None if column is None or not np.isfinite(column).any() else column

    def below(self, prefix: str) -> dict[str, np.ndarray]:
        """Columns ``<prefix>/<name>`` by that name, in the order of the file."""
        start = f"{prefix}/"
        found = {name.removeprefix(start): self.get(name) for name in self.columns if name.startswith(start)}
        return {name: column for name, column in found.items() if column is not None}


def read_metrics(path: str | Path) -> Metrics:
    """Read one JSON object a line, each with a ``step``.

    A step that comes twice, as after a resumed run, is the later one; a last line that was cut short while it was
    written is left out.

    Raises:
        DataError: no such file, no steps in it, or a line that cannot be read; names the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot read metrics ({error.strerror})") from error
    rows: dict[float, dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise DataError(f"{path}, line {number}: not JSON ({error.msg})") from error
        if not isinstance(row, dict) or not _is_number(row.get("step")):
            raise DataError(f"{path}, line {number}: a row is an object with a number 'step', got {line[:80]!r}")
        rows[row["step"]] = row
    if not rows:
        raise DataError(f"{path}: no steps in it; a run writes one line a step")
    ordered = [rows[step] for step in sorted(rows)]
    names = dict.fromkeys(name for row in ordered for name, value in row.items() if _is_number(value))
    columns = {
        name: np.array([row[name] if _is_number(row.get(name)) else math.nan for row in ordered], dtype=float)
        for name in names
    }
    return Metrics(columns.pop("step"), columns)


def smooth(values: np.ndarray, width: float) -> np.ndarray:
    """Mean of the neighbours on both sides, so that the curve does not lag behind what it smooths.

    NaN neither counts nor is filled.

    Args:
        values: one a step.
        width: standard deviation of the Gaussian weights, in steps; 0 leaves the values alone.
    """
    values = np.asarray(values, dtype=float)
    if width <= 0:
        return values
    place = np.arange(len(values))
    known = np.isfinite(values)
    weights = np.exp(-0.5 * ((place[:, None] - place[None, known]) / width) ** 2)
    out = np.full(len(values), math.nan)
    out[known] = (weights @ values[known])[known] / weights.sum(axis=1)[known]
    return out


def plot(metrics_jsonl: str | Path, out_png: str | Path, title: str) -> Path:
    """Draw what the run logged; a panel for which it logged nothing is left out.

    Raises:
        DataError: the metrics cannot be read (see ``read_metrics``), or hold none of the curves that are drawn.
    """
    metrics = read_metrics(metrics_jsonl)
    panels = [panel for panel in PANELS if panel.wants(metrics)]
    if not panels:
        known = "reward, accuracy, gain, groups/silent, reasoner/…, entropy, kl, length/mean and time/…"
        raise DataError(f"{metrics_jsonl}: nothing to draw; of {known} there is none")
    return draw(panels, metrics, out_png, title)


def draw(panels: Sequence[Panel], metrics: Metrics, out_png: str | Path, title: str) -> Path:
    """Draw panels beside each other, one at least, and write them as a picture."""
    columns = min(len(panels), 3 if len(panels) != 4 else 2)
    rows = math.ceil(len(panels) / columns)
    figure = sheet(columns, rows, title)
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, place)
        dress(axes, panel.title, panel.about)
        _steps(axes, metrics)
        panel.draw(axes, metrics)
        explain(axes)
    return write(figure, out_png)


def sheet(columns: int, rows: int, title: str) -> Figure:
    """An empty figure with room for so many panels."""
    figure = Figure(figsize=(5.0 * columns, 0.7 + 3.9 * rows), dpi=150, layout="constrained", facecolor="white")
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=BLACK)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr, call-arg]
    return figure


def write(figure: Figure, out_png: str | Path) -> Path:
    """Write a figure; folders that are missing are made."""
    out_png = Path(out_png)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_png)
    return out_png


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def curve(axes: Axes, metrics: Metrics, column: np.ndarray | None, label: str, colour: str, **style: Any) -> np.ndarray:
    """The smoothed curve, with the raw one faint behind it."""
    if column is None:
        return np.array([])
    style = {"linewidth": LINE, "zorder": 3, **style}
    drawn = column
    if len(column) >= SMOOTH_FROM:
        axes.plot(metrics.step, column, color=colour, linewidth=0.8, alpha=RAW_ALPHA, zorder=2)
        drawn = smooth(column, len(column) / SMOOTH_SHARE)
    # A curve that is logged every few steps would be invisible as a line with gaps.
    known = np.isfinite(drawn)
    steps, marker = metrics.step[known], _marker(drawn)
    axes.plot(steps, drawn[known], color=colour, label=label, marker=marker, markersize=3, **style)
    return drawn


def _marker(values: np.ndarray) -> str:
    return "o" if np.isfinite(values).sum() < SMOOTH_FROM else ""


def _draw_reward(axes: Axes, metrics: Metrics) -> None:
    reward, accuracy = metrics.get("reward"), metrics.get("accuracy")
    same = reward is not None and accuracy is not None and np.allclose(reward, accuracy, equal_nan=True)
    curve(axes, metrics, None if same else reward, "reward", BLUE)
    curve(axes, metrics, accuracy, "accuracy, which is the reward" if same else "accuracy", GREEN)
    curve(axes, metrics, metrics.get("format"), "laid out as asked", GREY, linewidth=1.2, linestyle="--")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))


def _draw_gain(axes: Axes, metrics: Metrics) -> None:
    axes.axhline(0, color=BLACK, linewidth=0.9, zorder=1)
    total = metrics.get("gain")
    drawn = curve(axes, metrics, total, "over the mean of the sources", BLACK, linewidth=2.2, zorder=4)
    for (name, column), colour in zip(metrics.below("gain").items(), cycle(SOURCE_COLOURS), strict=False):
        curve(axes, metrics, column, f"over {name} alone", colour, linewidth=1.3)
    if total is not None:
        known = np.isfinite(drawn)
        steps, values = metrics.step[known], drawn[known]
        for sign, colour in ((1, GREEN), (-1, RED)):
            part = np.maximum(sign * values, 0) * sign
            axes.fill_between(steps, 0, part, color=colour, alpha=0.18, linewidth=0, zorder=0)
    low, high = axes.get_ylim()
    reach = 0.05 * (high - low)
    axes.set_ylim(min(low, -reach), max(high, reach))


def _draw_groups(axes: Axes, metrics: Metrics) -> None:
    curve(axes, metrics, metrics.get("groups/silent"), "no signal at all", GREY)
    curve(axes, metrics, metrics.get("groups/revived_wrong"), "revived: all wrong, an anchor right", RED)
    curve(axes, metrics, metrics.get("groups/revived_right"), "revived: all right, an anchor wrong", GREEN)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(0, max(0.1, axes.get_ylim()[1]))


def _draw_captions(axes: Axes, metrics: Metrics) -> None:
    known = {
        "mention": ("in which the truth occurs", GREEN),
        "leak": ("that state an answer", RED),
        "cut": ("whose reply was cut", ORANGE),
        "failed": ("whose call failed", PURPLE),
    }
    for part, (label, colour) in known.items():
        curve(axes, metrics, metrics.get(f"reasoner/{part}"), label, colour)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(0, max(0.1, axes.get_ylim()[1]))


def _draw_entropy(axes: Axes, metrics: Metrics) -> None:
    entropy, kl = metrics.get("entropy"), metrics.get("kl")
    curve(axes, metrics, entropy, "entropy", BLUE)
    if entropy is not None:
        axes.set_ylim(bottom=0)
    if entropy is None or kl is None:
        curve(axes, metrics, kl, "KL to the reference", ORANGE)
        return
    # KL is often a hundred times smaller, so it gets an axis of its own, in its own colour.
    other = axes.twinx()
    other.spines[["top", "left", "bottom"]].set_visible(False)
    other.spines["right"].set_color(ORANGE)
    other.tick_params(axis="y", colors=ORANGE, labelsize=8)
    axes.tick_params(axis="y", colors=BLUE)
    curve(other, metrics, kl, "KL to the reference (right)", ORANGE)
    other.set_ylim(bottom=min(0.0, float(np.nanmin(kl))))


def _draw_lengths(axes: Axes, metrics: Metrics) -> None:
    low, high = metrics.get("length/min"), metrics.get("length/max")
    if low is not None and high is not None:
        axes.fill_between(
            metrics.step, low, high, color=BLUE, alpha=0.12, linewidth=0, label="shortest to longest", zorder=1
        )
    curve(axes, metrics, metrics.get("length/mean"), "mean", BLUE)
    axes.set_ylim(0, None)


def _draw_time(axes: Axes, metrics: Metrics) -> None:
    width = len(metrics.step) / SMOOTH_SHARE if len(metrics.step) >= SMOOTH_FROM else 0.0
    logged = {name: np.nan_to_num(column) for name, column in metrics.below("time").items()}
    parts = {name: logged[name] for name in TIME_COLOURS if name in logged and logged[name].any()}
    total = sum(float(column.sum()) for column in parts.values())
    bottom = np.zeros(len(metrics.step))
    for name, column in parts.items():
        top = bottom + smooth(column, width)
        _band(axes, metrics.step, bottom, top, _share_of(name, column, total), TIME_COLOURS[name])
        bottom = top
    # The first step often loads and compiles; it is drawn, but does not set the scale.
    axes.set_ylim(0, max(1.15 * float(np.percentile(bottom, 95)), 1e-9))


def _band(axes: Axes, steps: np.ndarray, low: np.ndarray, high: np.ndarray, label: str, colour: str) -> None:
    if len(steps) == 1:
        axes.bar(steps, high - low, bottom=low, width=0.5, color=colour, alpha=0.75, label=label)
    else:
        axes.fill_between(steps, low, high, color=colour, alpha=0.75, linewidth=0, label=label)


def _share_of(name: str, column: np.ndarray, total: float) -> str:
    return f"{name}, {100 * float(column.sum()) / total:.0f} %" if total > 0 else name


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of axes.

    Attributes:
        title: what is seen.
        about: how to read it, in a few words.
        needs: columns, of which one is enough; a name that ends in ``/`` stands for all below it.
        draw: draws them.
    """

    title: str
    about: str
    needs: tuple[str, ...]
    draw: Callable[[Axes, Metrics], None]

    def wants(self, metrics: Metrics) -> bool:
        """Whether there is anything to draw."""
        return any(metrics.below(n[:-1]) if n.endswith("/") else metrics.get(n) is not None for n in self.needs)


PANELS = (
    Panel(
        "Reward and accuracy", "mean over the step's sampled answers", ("reward", "accuracy", "format"), _draw_reward
    ),
    Panel(
        "Information gain of fusion",
        "fused reward minus single-source reward; above 0, seeing more helps",
        ("gain", "gain/"),
        _draw_gain,
    ),
    Panel(
        "Groups without signal",
        "share of questions; all answers score alike, nothing is learned",
        ("groups/silent", "groups/revived_wrong", "groups/revived_right"),
        _draw_groups,
    ),
    Panel(
        "Captions for the reasoner",
        "share of captions",
        tuple(f"reasoner/{part}" for part in ("leak", "mention", "failed", "cut")),
        _draw_captions,
    ),
    Panel("Entropy and drift", "how open the policy is, and how far it has moved", ("entropy", "kl"), _draw_entropy),
    Panel("Length of answers", "tokens", ("length/mean",), _draw_lengths),
    Panel(
        "Time of a step", "seconds, and share of the whole run", tuple(f"time/{n}" for n in TIME_COLOURS), _draw_time
    ),
)


def cycle(colours: Sequence[str]) -> Sequence[str]:
    """Enough colours for any number of sources."""
    return [*colours] * 16


def dress(axes: Axes, title: str, about: str) -> None:
    """The looks of a panel: its title, how to read it, quiet axes."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#BBBBBB")
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=GREY, labelsize=8)
    axes.set_title(about, loc="left", fontsize=8.5, color=GREY, pad=6)
    axes.annotate(
        title,
        (0, 1),
        xytext=(0, 20),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=11,
        fontweight="bold",
        color=BLACK,
        va="bottom",
    )


def _steps(axes: Axes, metrics: Metrics) -> None:
    """Steps of the run from left to right."""
    # Beside the last number, so that the legend has the room below.
    axes.set_xlabel("step", fontsize=8.5, color=GREY, loc="right", labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    first, last = float(metrics.step[0]), float(metrics.step[-1])
    axes.set_xlim((first, last) if last > first else (first - 1, first + 1))


def explain(axes: Axes) -> None:
    """A legend over both of a panel's axes, below the panel, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    for twin in axes.get_shared_x_axes().get_siblings(axes):
        if twin is not axes:
            more = twin.get_legend_handles_labels()
            handles, labels = handles + more[0], labels + more[1]
    axes.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(-0.01, -0.13),
        ncols=3 if sum(map(len, labels)) < 45 else 2,
        fontsize=8,
        frameon=False,
        labelcolor=BLACK,
        borderaxespad=0,
        columnspacing=1.4,
        handlelength=1.6,
    )

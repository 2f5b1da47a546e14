"""What became of a run's guests: how many were heard, how many were kept, and what they earned."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from vantage.report.curves import BLACK, GREY, SOURCE_COLOURS, Metrics, Panel, curve, cycle, draw, read_metrics


def plot(metrics_jsonl: str | Path, out_png: str | Path, title: str) -> Path | None:
    """Draw the share and the reward of guests over the steps; ``None``, and no picture, of a run without guests.

    Raises:
        DataError: the metrics cannot be read; see ``vantage.report.curves.read_metrics``.
    """
    metrics = read_metrics(metrics_jsonl)
    panels = [panel for panel in PANELS if panel.wants(metrics)]
    return draw(panels, metrics, out_png, title) if panels else None


def names(metrics: Metrics) -> list[str]:
    """The guests of which something was logged, in columns ``guests/<name>/<figure>``; a name may hold slashes."""
    found = (column.rpartition("/") for column in metrics.below("guests"))
    return list(dict.fromkeys(name for name, _, figure in found if name and figure in ("kept", "reward")))


def _draw_share(axes: Axes, metrics: Metrics) -> None:
    curve(axes, metrics, metrics.get("guests/pool"), "of all answers", GREY, linestyle="--", linewidth=1.2)
    curve(axes, metrics, metrics.get("guests/kept"), "of the kept", BLACK, linewidth=2.2, zorder=4)
    guests = names(metrics)
    if len(guests) > 1:  # a single one is all of them
        for name, colour in zip(guests, cycle(SOURCE_COLOURS), strict=False):
            curve(axes, metrics, metrics.get(f"guests/{name}/kept"), f"{name}, of the kept", colour, linewidth=1.3)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, max(0.1, axes.get_ylim()[1]))


def _draw_missing(axes: Axes, metrics: Metrics) -> None:
    curve(axes, metrics, metrics.get("guests/missing"), "of all guests", BLACK, linewidth=2.2, zorder=4)
    guests = names(metrics)
    if len(guests) > 1:
        for name, colour in zip(guests, cycle(SOURCE_COLOURS), strict=False):
            curve(axes, metrics, metrics.get(f"guests/{name}/missing"), name, colour, linewidth=1.3)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, max(0.1, axes.get_ylim()[1]))


def _draw_reward(axes: Axes, metrics: Metrics) -> None:
    curve(axes, metrics, metrics.get("reward"), "the policy", BLACK, linewidth=2.2, zorder=4)
    for name, colour in zip(names(metrics), cycle(SOURCE_COLOURS), strict=False):
        curve(axes, metrics, metrics.get(f"guests/{name}/reward"), name, colour)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))


class _Reward(Panel):
    """Drawn where a guest earned something: the policy's reward alone is no news here."""

    def wants(self, metrics: Metrics) -> bool:
        return any(metrics.get(f"guests/{name}/reward") is not None for name in names(metrics))


class _Missing(Panel):
    """Drawn where something is missing."""

    def wants(self, metrics: Metrics) -> bool:
        missing = metrics.get("guests/missing")
        return missing is not None and bool((missing > 0).any())


PANELS = (
    Panel(
        "Share of guests",
        "kept: the answers of a group that the policy learns from",
        ("guests/pool", "guests/kept"),
        _draw_share,
    ),
    _Reward("Reward of guests", "mean over the step's answers", (), _draw_reward),
    _Missing("Missing", "share of the answers asked for that have no place in a group", (), _draw_missing),
)

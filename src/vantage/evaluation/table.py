"""An evaluation as a table that needs no manual and fits 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from vantage.evaluation.results import Evaluation, Figures, Proportion


def table(before: Evaluation, after: Evaluation | None = None) -> Table:
    """Shares in per cent with their 95 % intervals; with ``after``, what changed.

    Print it with ``rich.console.Console().print``.

    Args:
        before: the only evaluation, or that of the model before training.
        after: that of the model after training, on the same data.
    """
    runs = [before] if after is None else [before, after]
    # Names of models, data and sources are texts: markup in one would be obeyed, or be an error.
    title, caption = Text(_title(runs), "table.title"), Text(_caption(runs), "table.caption")
    grid = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    grid.add_column("right answers, %")
    for name in ("before", "after") if after else ("",):
        grid.add_column(name, justify="right", no_wrap=True)
    if after:
        grid.add_column("change", justify="right", no_wrap=True)
    _add_views(grid, runs)
    grid.add_section()
    _add_quality(grid, runs)
    if len(before.tasks) > 1:
        for task in before.tasks:
            grid.add_section()
            grid.add_row(Text(f"{task}: {before.tasks[task].n:,} questions", style="italic"))
            _add_views(grid, [run.tasks[task] for run in runs if task in run.tasks])
    return grid


def _title(runs: Sequence[Evaluation]) -> str:
    models = " → ".join(dict.fromkeys(run.model for run in runs))
    return f"{models} on {runs[0].data or 'the data'}: {runs[0].n:,} questions"


def _add_views(grid: Table, runs: Sequence[Figures]) -> None:
    names = list(dict.fromkeys(name for run in runs for name in run.sources))
    many = len(names) > 1
    _add_shares(grid, "all pictures together" if many else "the picture", [run.fused for run in runs], style="bold")
    if many:
        for name in names:
            _add_shares(grid, f"{name} alone", [run.sources.get(name) for run in runs])
        _add_shares(grid, "right from at least one", [run.either for run in runs])


def _add_quality(grid: Table, runs: Sequence[Figures]) -> None:
    _add_shares(grid, "laid out as asked", [run.format for run in runs])
    if any(run.miou is not None for run in runs):
        _add_numbers(grid, "overlap with true boxes, 0–1", [run.miou for run in runs])
    _add_numbers(grid, "mean reward", [run.reward for run in runs])
    if any(run.unfinished for run in runs):
        _add_counts(grid, "answers cut off at the limit", [run.unfinished for run in runs])
    if any(run.unscored for run in runs):
        _add_counts(grid, "answers that have no score", [run.unscored for run in runs])


def _add_shares(grid: Table, name: str, shares: Sequence[Proportion | None], style: str = "") -> None:
    cells = [_share(share, style) for share in shares]
    if len(shares) == 2:
        cells.append(_share_change(*shares))
    grid.add_row(Text(name, style=style), *cells)


def _add_numbers(grid: Table, name: str, numbers: Sequence[float | None]) -> None:
    cells = ["–" if number is None else f"{number:.3f}" for number in numbers]
    if len(numbers) == 2:
        before, after = numbers
        cells.append("–" if before is None or after is None else f"{after - before:+.3f}")
    grid.add_row(Text(name), *map(Text, cells))


def _add_counts(grid: Table, name: str, counts: Sequence[int]) -> None:
    cells = [*map(str, counts), *([f"{counts[1] - counts[0]:+d}"] if len(counts) == 2 else [])]
    grid.add_row(Text(name), *map(Text, cells))


def _share(share: Proportion | None, style: str) -> Text:
    if share is None:
        return Text("–")
    interval = f" ({100 * share.low:.1f}–{100 * share.high:.1f})"
    return Text.assemble((f"{100 * share.value:.1f}", style), (interval, "dim"))


def _share_change(before: Proportion | None, after: Proportion | None) -> Text:
    if before is None or after is None:
        return Text("–")
    style = "" if _overlap(before, after) else "green" if after.value > before.value else "red"
    return Text(f"{100 * (after.value - before.value):+.1f}", style=style)


def _overlap(one: Proportion, other: Proportion) -> bool:
    return one.low <= other.high and other.low <= one.high


def _caption(runs: Sequence[Evaluation]) -> str:
    """How to read the table, and what it says about fusion."""
    lines = ["In brackets the 95 % interval of each share."]
    if len(runs) == 2:
        lines = ["In brackets 95 % intervals; a change is coloured where they do not overlap."]
    last = runs[-1]
    if len(last.sources) > 1:
        subject = "After training, all pictures together" if len(runs) == 2 else "All pictures together"
        lines.append(f"{subject} give {_fusion(last)}.")
    return "\n".join(lines)


def _fusion(evaluation: Evaluation) -> str:
    best, points = evaluation.best_source, 100 * evaluation.fusion_gain
    if abs(points) < 0.05:
        return f"as many right answers as {best} alone, the best single one"
    more, sense = ("more", "seeing more helps") if points > 0 else ("fewer", "seeing more hurts")
    if _overlap(evaluation.fused, evaluation.sources[best]):
        sense = "their intervals overlap, so it may be chance"
    return f"{abs(points):.1f} points {more} right answers than {best} alone, the best single one: {sense}"

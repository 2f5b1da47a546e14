"""An evaluation of sampled answers as a table that fits 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from vantage.evaluation.passk import Curves, Estimate, SampledEvaluation, change


def passk_table(before: SampledEvaluation, after: SampledEvaluation | None = None) -> Table:
    """Shares in per cent with their 95 % intervals for 1, 2, 4, 8... answers; with ``after``, what changed.

    Args:
        before: the only evaluation, or that of the model before training.
        after: that of the model after training, of the same questions.

    Raises:
        DataError: the two are of different questions.
    """
    runs = [before] if after is None else [before, after]
    changed = None if after is None else change(before, after)
    # Names of models and data are texts: markup in one would be obeyed, or be an error.
    title, caption = Text(_title(runs), "table.title"), Text(_caption(runs), "table.caption")
    grid = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    grid.add_column("right answers, %")
    for name in ("before", "after") if after else ("",):
        grid.add_column(name, justify="right", no_wrap=True)
    if changed is not None:
        grid.add_column("change", justify="right", no_wrap=True)
    _add(grid, runs, changed)
    if after is None and len(before.tasks) > 1:
        for task, figures in before.tasks.items():
            grid.add_section()
            grid.add_row(Text(f"{task}: {figures.n:,} questions", style="italic"))
            _add(grid, [figures], None)
    return grid


def shown(k: int) -> list[int]:
    """The powers of two up to k, and k."""
    return sorted({2**i for i in range(k.bit_length())} | {k})


def _add(grid: Table, runs: Sequence[Curves], changed: Curves | None) -> None:
    most = min(len(run.pass_at) for run in runs)
    rows = [(f"pass@{k}", "pass_at", k) for k in shown(most)]
    if most > 1:
        rows += [(f"all of {most}", "all_at", most), (f"majority of {most}", "majority_at", most)]
    for name, figure, k in rows:
        cells = [_share(getattr(run, figure)[k - 1]) for run in runs]
        if changed is not None:
            cells.append(_change(getattr(changed, figure)[k - 1]))
        grid.add_row(Text(name), *cells)


def _share(found: Estimate) -> Text:
    interval = f" ({100 * found.low:.1f}–{100 * found.high:.1f})"
    return Text.assemble(f"{100 * found.value:.1f}", (interval, "dim"))


def _change(found: Estimate) -> Text:
    style = "green" if found.low > 0 else "red" if found.high < 0 else ""
    interval = f" ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    return Text.assemble((f"{100 * found.value:+.1f}", style), (interval, "dim"))


def _title(runs: Sequence[SampledEvaluation]) -> str:
    models = " → ".join(dict.fromkeys(run.model for run in runs))
    k = " and ".join(dict.fromkeys(str(run.k) for run in runs))
    return f"{models} on {runs[0].data or 'the data'}: {k} answers to each of {runs[0].n:,} questions"


def _caption(runs: Sequence[SampledEvaluation]) -> str:
    lines = ["pass@k: at least one of k answers. In brackets 95 % intervals, over questions."]
    if len(runs) == 2:
        lines.append("A change is that of the same questions, coloured where its interval excludes 0.")
    ways = dict.fromkeys(f"temperature {run.settings.get('temperature', 'unknown')}" for run in runs)
    lines.append(f"Answers were drawn at {', then '.join(ways)}.")
    for word, what in (("unfinished", "were cut off at the limit"), ("unscored", "have no score and count as wrong")):
        if any(getattr(run, word) for run in runs):
            counts = ", then ".join(f"{getattr(run, word):,} of {run.n * run.k:,}" for run in runs)
            lines.append(f"{counts} answers {what}.")
    return "\n".join(lines)

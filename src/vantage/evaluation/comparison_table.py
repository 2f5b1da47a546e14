"""Several reasoners behind one extractor as a table that fits 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from vantage.evaluation.comparison import ReasonerEvaluation
from vantage.evaluation.results import Proportion

_SOURCES = 2
"""So many single sources have columns of their own; of more, the best one has."""


def comparison_table(before: Sequence[ReasonerEvaluation], after: Sequence[ReasonerEvaluation] = ()) -> Table:
    """Right answers in per cent, and below each its 95 % interval in whole ones; a row for each reasoner.

    Args:
        before: the evaluations of one extractor, as ``compare`` gives them.
        after: those of the extractor after training, on the same data; each stands below the one of its reasoner.
    """
    runs = [("before", run) for run in before] + [("after", run) for run in after]
    order = {name: place for place, name in enumerate(dict.fromkeys(run.reasoner for _, run in runs))}
    runs.sort(key=lambda pair: order[pair[1].reasoner])
    every = [run for _, run in runs]
    # Names of models, data and sources are texts: markup in one would be obeyed, or be an error.
    title, caption = Text(_title(every), "table.title"), Text(_caption(before, after), "table.caption")
    grid = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    grid.add_column("reasoner", overflow="fold")
    columns, names = _columns(every), _names(order)
    for name in columns:
        grid.add_column(Text(name), justify="right", min_width=6)
    for reasoner, group in groupby(runs, key=lambda pair: pair[1].reasoner):
        moments = list(group)
        for moment, run in moments:
            head = Text(f"{names[reasoner]}\n{moment if after else ''}")
            cells = [_share(share, "bold" if place == 0 else "") for place, share in enumerate(_shares(run, columns))]
            grid.add_row(head, *cells, end_section=(moment, run) == moments[-1] and bool(after))
    return grid


def _names(reasoners: Iterable[str]) -> dict[str, str]:
    """The last part of each name, where that tells them apart: local models are called by their folders."""
    short = {name: name.rstrip("/").rpartition("/")[2] or name for name in reasoners}
    return short if len(set(short.values())) == len(short) else {name: name for name in short}


def _columns(runs: Sequence[ReasonerEvaluation]) -> list[str]:
    """Names of columns, in order; only those of which some run knows something."""
    sources = list(dict.fromkeys(name for run in runs for name in run.sources))
    names = ["all\npictures" if len(sources) > 1 else "the\npicture"]
    if 1 < len(sources) <= _SOURCES:
        names += [f"{name}\nalone" for name in sources]
    elif len(sources) > _SOURCES:
        names.append("the best\nalone")
    if any(run.negative is not None for run in runs):
        names += ["truth\npositive", "truth\n0 or no"]
    if any(run.constant is not None for run in runs):
        names.append("constant\ncaption")
    return names


def _shares(run: ReasonerEvaluation, columns: Sequence[str]) -> list[Proportion | None]:
    known: dict[str, Proportion | None] = {f"{name}\nalone": share for name, share in run.sources.items()}
    known |= {
        "the best\nalone": run.sources.get(run.best_source),
        "truth\npositive": run.positive,
        "truth\n0 or no": run.negative,
        "constant\ncaption": run.constant.right if run.constant else None,
    }
    return [run.fused, *(known.get(name) for name in columns[1:])]


def _share(share: Proportion | None, style: str) -> Text:
    if share is None:
        return Text("–")
    interval = f"\n{100 * share.low:.0f}–{100 * share.high:.0f}"
    return Text.assemble((f"{100 * share.value:.1f}", style), (interval, "dim"))


def _title(runs: Sequence[ReasonerEvaluation]) -> str:
    models = " → ".join(dict.fromkeys(run.model for run in runs))
    return f"{models} on {runs[0].data or 'the data'}: {runs[0].n:,} questions"


def _caption(before: Sequence[ReasonerEvaluation], after: Sequence[ReasonerEvaluation]) -> str:
    lines = ["Right answers in per cent; below each its 95 % interval."]
    if any(run.constant is not None for run in (*before, *after)):
        lines.append(
            "Constant caption: that one of the model's own which, put in place of all, has most answered right."
        )
    lines += [_captions(run, moment) for run, moment in _one_each(before, after)]
    lines += [_drawn(run) for run in (*before, *after) if run.drawn]
    for run in (*before, *after):
        if run.unscored:
            lines.append(f"{run.reasoner}: {run.unscored} questions without a reply, counted as wrong.")
        if run.reasoner_cut:
            lines.append(f"{run.reasoner}: {run.reasoner_cut} replies cut at their limit.")
    return "\n".join(lines)


def _drawn(run: ReasonerEvaluation) -> str:
    shares = ", ".join(
        f"{name} {100 * one.value:.1f}"
        + ("" if one.low is None else f" ({100 * one.low:.0f}–{100 * (one.high or 0):.0f})")
        for name, one in run.drawn.items()
    )
    return f"{run.reasoner}, {run.k} captions drawn of each question: {shares}."


def _one_each(
    before: Sequence[ReasonerEvaluation], after: Sequence[ReasonerEvaluation]
) -> list[tuple[ReasonerEvaluation, str]]:
    """One evaluation of each moment: all its reasoners read the same captions."""
    named = [(before, "Before: " if after else ""), (after, "After: ")]
    return [(runs[0], moment) for runs, moment in named if runs]


def _captions(run: ReasonerEvaluation, moment: str) -> str:
    leaks = run.leakage
    text = (
        f"{moment}{100 * leaks.value:.1f} % ({100 * leaks.low:.1f}–{100 * leaks.high:.1f}) of the captions state an "
        "answer"
    )
    return text + (f"; {run.unfinished} of {run.n:,} were cut at the limit." if run.unfinished else ".")

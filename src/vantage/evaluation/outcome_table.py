"""What ``vantage eval`` found, on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vantage.evaluation.outcome import Figure, Results
from vantage.evaluation.robustness import WAYS
from vantage.groups import Origin
from vantage.printing import printable

Figures = Mapping[str, Figure]

MOST_SUBSETS = 12
"""Subsets of sources that are shown, those with the most questions; where samples differ in their sources there can be
dozens, most of few questions."""


def outcome_table(found: Results) -> Group:
    """Every figure with its interval, and what they say about seeing more."""
    parts: list[RenderableType] = [Text(_title(found), "bold"), _main(found)]
    if len(found.tasks) > 1:
        parts.append(_by_task(found))
    if any(name.startswith("damaged/") for name in found.figures):
        parts.append(_robustness(found))
    parts.append(Text("\n".join(_notes(found))))
    if answer := seeing(found):
        parts.append(answer)
    return Group(*parts)


def seeing(found: Results) -> Text | None:
    """The verdict behind its question, a blank line before it."""
    answer = verdict(found)
    return Text.assemble(("\nDoes seeing more mean knowing more? ", "bold"), answer) if answer else None


def verdict(found: Results) -> str:
    """The answer to the question of the MARS paper's title, in words; empty where there is one source only."""
    figures, best = found.figures, printable(found.best_source)
    if "gain" not in figures:
        return ""
    gain, fused, alone = figures["gain"], figures["fused"], figures[f"alone/{found.best_source}"]
    by = f"{abs(100 * gain.value):.1f} points ({_ends(gain, sign=True)})"
    both = f"all pictures together give {_share(fused)} % right answers"
    best = f"{best} alone, the best single source"
    if gain.n < fused.n:  # others lack it, as of cameras
        best += f" (compared over the {gain.n:,} questions that have it)"
    if gain.low is None or gain.high is None:
        said = f"One scene cannot tell: {both}, {best}, {_share(alone)} %."
    elif gain.low > 0:
        said = f"Yes: {both}, {by} more than {best}."
    elif gain.high < 0:
        said = f"No: {both}, {by} fewer than {best}."
    else:
        said = f"Not shown: {both}, {best}, {_share(alone)} %; the difference ({_ends(gain, sign=True)}) may be chance."
    lost, won = figures.get("interference"), figures.get("only_together")
    if lost is not None and won is not None:
        said += (
            f" {_share(lost)} % of the questions are answered wrong from all pictures and right from one alone, "
            f"{_share(won)} % are answered right from all of them only."
        )
    return said


def _title(found: Results) -> str:
    scenes = "" if found.scenes == found.n else f" about {found.scenes:,} scenes"
    return printable(f"{found.model} on {found.data or 'the data'}: {found.n:,} questions{scenes}")


def _grid(*columns: str) -> Table:
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column(Text(columns[0]), overflow="fold")
    for name in columns[1:]:
        grid.add_column(Text(name), justify="right", no_wrap=True)
    return grid


def _main(found: Results) -> Table:
    figures = found.figures
    grid = _grid("right answers", "%", "95 % interval", "questions")

    def add(name: str, label: str, style: str = "", scale: float = 100.0, digits: int = 1) -> None:
        if name in figures:
            one = figures[name]
            cells = f"{scale * one.value:.{digits}f}", _ends(one, scale, digits), f"{one.n:,}"
            grid.add_row(Text(printable(label), style), *(Text(cell, style) for cell in cells))

    many, subsets = bool(found.best_source), _subsets(found)
    add("fused", "all pictures together" if many else "the picture", "bold")
    for name in figures:
        kind, _, which = name.partition("/")
        if kind == "alone" and many:
            add(name, f"{which} alone" + (" (the best)" if which == found.best_source else ""))
        elif name in subsets[:MOST_SUBSETS]:
            add(name, " and ".join(Origin("subset", which).sources))
    add("either", "right from at least one alone")
    add("interference", "wrong together, right from one alone")
    add("only_together", "right only together")
    if found.k:
        grid.add_section()
        for name in figures:
            kind, _, k = name.partition("@")
            if kind == "pass":
                add(
                    name, f"at least one of {k} drawn right (pass@{k})" if k != "1" else "a drawn answer right (pass@1)"
                )
        add(f"all@{found.k}", f"all of {found.k} right")
        add(f"majority@{found.k}", f"the majority of {found.k} right")
    grid.add_section()
    add("format", "laid out as asked")
    add("accuracy@0.5", "boxes: mean overlap above 0.5")
    add("miou", "boxes: mean overlap (mIoU)")
    add("reward", "mean reward", scale=1.0, digits=3)
    add("tokens", "mean length, tokens", scale=1.0)
    return grid


def _subsets(found: Results) -> list[str]:
    """Those of the most questions first."""
    names = [name for name in found.figures if name.startswith("subset/")]
    return sorted(names, key=lambda name: -found.figures[name].n)


def _by_task(found: Results) -> Table:
    best = f"alone/{found.best_source}"
    last = f"pass@{found.k}"
    columns = {"fused": "together", best: "best alone", "either": "at least one", "interference": "interference"}
    known = {name: head for name, head in {**columns, last: last}.items() if name in found.figures}
    grid = _grid("kind of question", "n", *known.values())
    for task, figures in found.tasks.items():
        cells = [_whole(figures[name]) if name in figures else "–" for name in known]
        n = max(figure.n for figure in figures.values())
        grid.add_row(Text(printable(task)), f"{n:,}", *map(Text, cells))
    return grid


def _robustness(found: Results) -> Table:
    grid = _grid("one source made worse", *WAYS)
    sources = dict.fromkeys(
        name.partition("/")[2].partition(":")[2] for name in found.figures if name.startswith("damaged/")
    )
    for source in sources:
        cells = []
        for way in WAYS:
            right, change = (found.figures.get(f"{kind}/{way}:{source}") for kind in ("damaged", "change"))
            text = Text("–") if right is None else Text(_whole(right))
            if change is not None:
                text.append(f"\n{100 * change.value:+.0f} ({_ends(change, digits=0, sign=True)})", "dim")
            cells.append(text)
        grid.add_row(Text(printable(source)), *cells)
    return grid


def _notes(found: Results) -> Sequence[str]:
    notes = [
        "Intervals come from drawing scenes with replacement."
        + (" The best source is chosen on the same questions." if found.best_source else "")
    ]
    if (more := len(_subsets(found)) - MOST_SUBSETS) > 0:
        notes.append(f"Of {more} further subsets, of fewer questions each, the results file tells.")
    if found.k:
        settings = found.settings
        way = [f"temperature {settings.get('temperature', 1)}", f"top_p {settings.get('top_p', 1)}"]
        notes.append(f"Drawn answers: {found.k} to each question, {', '.join(way)}; the others are the likeliest ones.")
    if any(name.startswith("damaged/") for name in found.figures):
        notes.append("Made worse: right answers together in %, and below the change against the pictures as they are.")
    return [*notes, *uncertain(found)]


def uncertain(found: Results) -> Sequence[str]:
    """Answers that did not come, that have no score, or that were cut, a line for each kind of which there are some."""
    told = (
        (found.unanswered, "did not come, in no figure; the same command asks again"),
        (found.unscored, "not scored, counted as wrong"),
        (found.unfinished, "cut off at the limit"),
    )
    return [f"Answers {what}: {count:,}." for count, what in told if count]


def _share(one: Figure) -> str:
    return f"{100 * one.value:.1f}"


def _ends(one: Figure, scale: float = 100.0, digits: int = 1, sign: bool = False) -> str:
    if one.low is None or one.high is None:
        return "unknown"
    plus, between = ("+", " to ") if sign else ("", "–")
    return f"{scale * one.low:{plus}.{digits}f}{between}{scale * one.high:{plus}.{digits}f}"


def _whole(one: Figure) -> str:
    return f"{100 * one.value:.0f} ({_ends(one, digits=0)})"

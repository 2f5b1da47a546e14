"""What the evaluations of a run say: shares by source before and after, their change, and the sentences of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vantage.evaluation import Figures, Proportion
from vantage.evaluation.paired import LEVEL
from vantage.evaluation.results import scene_in
from vantage.evaluation.statistics import bootstrap, paired_test
from vantage.report.folder import MOMENTS, Answers, RunFolder

FUSED = "fused"
Views = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference of shares, with its 95 % interval over scenes.

    Attributes:
        value: the mean.
        low, high: the ends; ``None`` where single answers are missing, or one scene tells no spread.
        p: of the test that ``vantage compare`` makes; ``None`` where none was asked for.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def paired(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves out 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    def record(self) -> list[float | None]:
        """Value and ends, for a page."""
        return [self.value, self.low, self.high]


def difference(pairs: Iterable[tuple[bool | None, bool | None, str]], tested: bool = False) -> Difference | None:
    """How much more often the second is right than the first, over the same questions.

    Args:
        pairs: of each question both answers, ``None`` for one that is not there, and its scene.
        tested: also test whether there is a difference.

    Returns:
        ``None`` of no pair.
    """
    both = [
        (float(second) - float(first), scene)
        for first, second, scene in pairs
        if first is not None and second is not None
    ]
    if not both:
        return None
    values, scenes = np.array([step for step, _ in both]), [scene for _, scene in both]
    low, high = bootstrap(values[:, None], scenes, shares=False, changes=True)
    known = bool(np.isfinite([low[0], high[0]]).all())
    ends = (float(low[0]), float(high[0])) if known else (None, None)
    p = paired_test(values, scenes)[1] if tested else None
    return Difference(float(values.mean()), ends[0], ends[1], p)


def change(
    run: RunFolder, of: Callable[[Views], bool | None], task: str | None = None, tested: bool = False
) -> Difference | None:
    """How much more often something holds after training than before, question by question."""
    if any(moment not in run.answers for moment in MOMENTS):
        return None
    before, after = (run.answers[moment] for moment in MOMENTS)
    return difference(
        ((of(before[name]), of(views), scene(views))
         for name, views in after.items()
         if name in before and _has(views, task)),
        tested,
    )  # fmt: skip


def fusion(answers: Answers, source: str) -> Difference | None:
    """How much more often all pictures together are right than one source alone, over the questions that have it."""
    return difference((right(views, f"mono:{source}"), right(views, FUSED), scene(views)) for views in answers.values())


def scene(views: Views) -> str:
    """What the question is about; answers of one scene are not independent."""
    return str(scene_in(next(iter(views.values()))))


def right(views: Views, origin: str) -> bool | None:
    """Whether an origin's answer is right; ``None`` where it gave none."""
    row = views.get(origin)
    return None if row is None else bool(row.get("correct"))


def _alone(views: Views) -> list[bool]:
    return [bool(row.get("correct")) for origin, row in views.items() if origin.startswith("mono:")]


def _either(views: Views) -> bool | None:
    alone = _alone(views)
    return any(alone) if alone else None


def _interference(views: Views) -> bool | None:
    fused, alone = right(views, FUSED), _alone(views)
    return None if fused is None or not alone else not fused and any(alone)


def _has(views: Views, task: str | None) -> bool:
    return task is None or any(row.get("task") == task for row in views.values())


def matrix(run: RunFolder, task: str | None = None) -> list[dict[str, Any]]:
    """A row for each view: shares with intervals before and after, and the paired change."""
    found = {moment: _figures(run, moment, task) for moment in MOMENTS}
    figures = {moment: each for moment, each in found.items() if each is not None}
    sources = list(dict.fromkeys(name for each in figures.values() for name in each.sources))
    rows: list[tuple[str, str, Callable[[Figures], Proportion | None], Callable[[Views], bool | None]]] = [
        (FUSED, FUSED, lambda each: each.fused, lambda views: right(views, FUSED))
    ]
    if len(sources) > 1:
        rows.extend(_of_source(name) for name in sources)
        rows.append(("either", "either", lambda each: each.either, _either))
    made = []
    for kind, name, share, holds in rows:
        delta = change(run, holds, task) or _apart({moment: share(each) for moment, each in figures.items()})
        made.append(
            {
                "kind": kind,
                "name": name,
                **{moment: _record(share(each)) for moment, each in figures.items()},
                "change": None if delta is None else delta.record(),
            }
        )
    if len(sources) > 1 and (row := _interference_row(run, task)):
        made.append(row)
    return made


def _of_source(
    name: str,
) -> tuple[str, str, Callable[[Figures], Proportion | None], Callable[[Views], bool | None]]:
    return "source", name, lambda each: each.sources.get(name), lambda views: right(views, f"mono:{name}")


def _interference_row(run: RunFolder, task: str | None) -> dict[str, Any] | None:
    """Questions that a source alone answers right and all together wrong."""
    row: dict[str, Any] = {"kind": "interference", "name": "interference"}
    for moment, answers in run.answers.items():
        held = [(_interference(views), scene(views)) for views in answers.values() if _has(views, task)]
        known = [(each, name) for each, name in held if each is not None]
        if known:
            row[moment] = _record(Proportion.over([each for each, _ in known], [name for _, name in known]))
    delta = change(run, _interference, task)
    row["change"] = None if delta is None else delta.record()
    return row if len(row) > 3 else None


def _figures(run: RunFolder, moment: str, task: str | None) -> Figures | None:
    evaluation = run.evaluations.get(moment)
    return evaluation if evaluation is None or task is None else evaluation.tasks.get(task)


def _apart(shares: Mapping[str, Proportion | None]) -> Difference | None:
    before, after = shares.get("before"), shares.get("after")
    return None if before is None or after is None else Difference(after.value - before.value)


def _record(share: Proportion | None) -> list[float] | None:
    return None if share is None else [share.value, share.low, share.high]


def points(value: float, signed: bool = True) -> str:
    """A share in points, with a sign; a minus is a minus, not a hyphen."""
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return text.replace("-", "−") if text not in ("-0.0", "+0.0") else "0.0"


def told(run: RunFolder) -> dict[str, str]:
    """Did training help, and did seeing more mean knowing more, in sentences.

    Returns:
        ``title`` and ``about`` of the former, ``seeing`` and ``seen`` of the latter (empty where it is not known), and
        ``tone`` and ``seeing_tone``: ``good``, ``bad`` or ``plain``.
    """
    return {**_improvement(run), **_seeing(run)}


def _improvement(run: RunFolder) -> dict[str, str]:
    before, after = (run.evaluations.get(moment) for moment in MOMENTS)
    cut = "" if run.finished or not run.reached else f"step {run.reached}"
    if before is None and after is None:
        none = "The recipe names no held-out questions." if run.recipe and not run.setting("data", "test") else ""
        if cut:
            more = none or "Nothing was measured on held-out questions."
            return {"title": f"Not finished: {cut}.", "about": more, "tone": "plain"}
        return {"title": "Not measured on held-out questions.", "about": none, "tone": "plain"}
    known = after or before
    assert known is not None  # noqa: S101  one of them is there
    of = f"{known.n:,} held-out questions"
    if before is None or after is None:
        when = "after" if after else "before"
        share = f"{points(known.fused.low, False)} to {points(known.fused.high, False)}"
        title = f"{points(known.fused.value, False)} % right {when} training."
        end = f" The run has not finished ({cut}), so nothing is measured after it." if cut and before else ""
        return {"title": title, "about": f"95 % interval {share}, over {of}.{end}", "tone": "plain"}
    delta = change(run, lambda views: right(views, FUSED), tested=True) or Difference(
        after.fused.value - before.fused.value
    )
    shares = f"{points(before.fused.value, False)} % → {points(after.fused.value, False)} % right"
    size = points(abs(delta.value), False)
    if not delta.paired:
        return {
            "title": f"{points(delta.value)} points.",
            "about": f"{shares}, over {of}; without single answers, this difference has no interval.",
            "tone": "plain",
        }
    assert delta.p is not None  # noqa: S101  it was asked for
    known_p = f"p = {delta.p:.3f}" if delta.p >= 0.001 else "p below 0.001"
    about = f"{shares} over the same {of}; 95 % interval of the change {_ends(delta)}, {known_p}."
    if delta.p >= LEVEL:
        return {"title": "No difference detected.", "about": f"{points(delta.value)} points: {about}", "tone": "plain"}
    verb, tone = ("added", "good") if delta.value > 0 else ("cost", "bad")
    return {"title": f"Training {verb} {size} points.", "about": about, "tone": tone}


def _seeing(run: RunFolder) -> dict[str, str]:
    moment = next((moment for moment in reversed(MOMENTS) if moment in run.evaluations), None)
    if moment is None or len(run.evaluations[moment].sources) < 2:
        return {"seeing": "", "seen": "", "seeing_tone": "plain"}
    evaluation, answers = run.evaluations[moment], run.answers.get(moment)
    best = evaluation.best_source
    delta = (fusion(answers, best) if answers else None) or Difference(evaluation.fusion_gain)
    size, when = points(abs(delta.value), False), f"{moment.capitalize()} training, "
    if delta.sign == 0:
        title = "Whether seeing more means knowing more is not decided."
        gap = f"{when}all pictures together give {points(delta.value)} points against {best} alone"
    elif delta.sign > 0:
        title = "Seeing more meant knowing more."
        gap = f"{when}all pictures together give {size} points more right answers than {best} alone"
    else:
        title = "Seeing more meant knowing less."
        gap = f"{when}all pictures together give {size} points fewer right answers than {best} alone"
    seen = f"{gap}, the best single source ({_ends(delta) if delta.paired else 'no interval: single answers missing'})."
    row = _interference_row(run, None)
    if row and row.get(moment):
        lost = points(row[moment][0], False)
        seen += f" Of all questions, {lost} % were right from a single source and wrong from all together."
    return {"seeing": title, "seen": seen, "seeing_tone": {1: "good", -1: "bad"}.get(delta.sign, "plain")}


def _ends(delta: Difference) -> str:
    assert delta.low is not None and delta.high is not None  # noqa: S101  of paired differences
    return f"{points(delta.low)} to {points(delta.high)}"


def tasks(run: RunFolder) -> Sequence[str]:
    """The kinds of question that the evaluations tell apart; none where there is only one."""
    names = dict.fromkeys(task for each in run.evaluations.values() for task in each.tasks)
    return list(names) if len(names) > 1 else []

"""What ``vantage eval`` found, question by question, and every figure with its interval.

Of each question the file keeps whether it was answered right from every view, and what became of the drawn answers, so
that any figure can be counted again and two files can be compared question by question.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from vantage.errors import DataError
from vantage.evaluation.passk import all_at, majority_at, pass_at, vote
from vantage.evaluation.results import Record, iou_in, scene_in
from vantage.evaluation.statistics import bootstrap
from vantage.groups import Origin

SCHEMA = 1
"""Of the file; one of another number is refused."""
GROUNDED_ABOVE = 0.5
"""The mean overlap with the true boxes beyond which an answer with boxes is right, as in the MARS paper."""
_BOXES = frozenset({"box", "grounding", "mars-grounding"})
"""Rewards that ask for boxes even where no answer holds one that can be read."""
_CHANGES = ("gain", "change/")
"""Beginnings of figures that are differences of shares."""
_SIZES = ("tokens", "reward")
"""Beginnings of figures that are neither."""


class Figure(Record):
    """A mean over questions, with its 95 % interval over scenes."""

    n: int = Field(ge=1)
    """Questions that it is of."""
    value: float
    """The mean."""
    low: float | None
    """Lower end of the interval; null where one scene tells no spread."""
    high: float | None
    """Upper end of the interval."""


class Answered(Record):
    """What became of one question; null where no answer came."""

    id: str
    """The sample's."""
    asked: str
    """A hash of its id, truth and reward: equal where two files ask the same."""
    scene: str
    """What it is about; equal for questions that are not independent."""
    task: str = ""
    """Its kind of question; empty where the data name none."""
    right: dict[str, bool | None]
    """Whether the greedy answer is right, by view: ``fused``, ``mono:rgb``, ``subset:rgb+depth``."""
    damaged: dict[str, bool | None] = Field(default_factory=dict)
    """The same from all sources, one of them damaged: ``blank:rgb``."""
    drawn: int = 0
    """Answers from all sources that were drawn, and came."""
    drawn_right: int = 0
    """How many of them are right."""
    votes: list[tuple[int, int]] = Field(default_factory=list)
    """Of each different drawn answer how often it was given and how often that counted as right."""
    formatted: bool | None = None
    """Whether the greedy answer from all sources is laid out as asked."""
    reward: float | None = None
    """Its reward; 0 where it could not be scored."""
    tokens: int | None = None
    """Its length, where whoever answered counts tokens."""
    iou: float | None = None
    """Its mean overlap with the true boxes, 0 without a readable box; null where no boxes are asked for."""
    finished: bool = True
    """It was not cut off by the limit on its length."""
    scored: bool = True
    """The reward could score it; what it could not counts as wrong."""


class Results(Record):
    """A model on a data set, question by question."""

    kept_as: ClassVar[str] = "results of 'vantage eval'"

    vantage_results: Literal[1] = 1
    """Version of this form."""
    model: str
    """How the model is called."""
    data: str
    """How the data are called."""
    n: int = Field(ge=1)
    """Questions."""
    scenes: int = Field(ge=1)
    """Scenes that they are about; what intervals are over."""
    k: int = Field(default=0, ge=0)
    """Answers drawn to each question."""
    best_source: str = ""
    """The single source with the most right answers; the earlier one on a tie, empty without several sources."""
    figures: dict[str, Figure]
    """By name; see ``docs/evaluation.md``."""
    tasks: dict[str, dict[str, Figure]] = Field(default_factory=dict)
    """The same by kind of question; empty where the data name no kinds."""
    unanswered: int = 0
    """Answers that did not come, which are in no figure."""
    unscored: int = 0
    """Answers from all sources that the reward could not score, counted as wrong."""
    unfinished: int = 0
    """Answers from all sources that were cut off by the limit on their length."""
    seconds: float = Field(default=0.0, ge=0)
    """Wall time of all answers, those of an interrupted start included."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """What the figures depend on."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of what it ran with."""
    questions: list[Answered]
    """What the figures are counted from."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if len(self.questions) != self.n:
            raise ValueError(f"figures of {self.n} questions are not those of the {len(self.questions)} that are kept")
        for question in self.questions:
            votes = sum(count for count, _ in question.votes)
            if max(question.drawn_right, votes) > question.drawn or question.drawn > self.k:
                raise ValueError(f"row {question.id!r} has more answers than were drawn")
        return self


def results(rows: Iterable[Mapping[str, Any]], **about: Any) -> Results:
    """What rows of answers amount to.

    Args:
        rows: as ``vantage.evaluation.asking.answered`` makes them; rows of ``evaluate`` and ``sample_many`` are, too.
        **about: ``model``, ``data``, ``seconds``, ``settings`` and ``versions``.

    Raises:
        DataError: no answers, a question without one from all its sources, or two of one kind.
    """
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    every = list(rows)
    for row in every:
        by_id.setdefault(row["id"], []).append(row)
    if not by_id:
        raise DataError("nothing to count: the evaluation holds no answers")
    boxes = {row["reward"] for row in every if iou_in(row) is not None} | _BOXES
    return counted([_answered(own, boxes) for own in by_id.values()], **_counts(every), **about)


def counted(questions: Sequence[Answered], **about: Any) -> Results:
    """Results with every figure of these questions; ``about`` as of ``results``."""
    kinds: dict[str, list[Answered]] = {}
    for question in questions:
        kinds.setdefault(question.task, []).append(question)
    best = best_of(questions)
    k = max(question.drawn for question in questions)
    return Results(
        n=len(questions),
        scenes=len({question.scene for question in questions}),
        k=k,
        best_source=best,
        figures=figures_of(questions, best, k),
        tasks={task: figures_of(of_kind, best, k) for task, of_kind in kinds.items() if task},
        questions=list(questions),
        **about,
    )


def best_of(questions: Sequence[Answered]) -> str:
    """The single source with the highest share of right answers; empty where no question has several sources.

    Where questions differ in their sources, one of at most half as many questions as another is not in the
    running: of few questions a high share is luck.
    """
    shares: dict[str, list[bool]] = {}
    for question in questions:
        for source, right in _alone(question).items():
            if right is not None:
                shares.setdefault(source, []).append(right)
    if all(len(_alone(question)) < 2 for question in questions):
        return ""
    most = max(map(len, shares.values()), default=0)
    common = [source for source in shares if 2 * len(shares[source]) > most]
    return max(common, key=lambda source: sum(shares[source]) / len(shares[source]), default="")


def figures_of(questions: Sequence[Answered], best: str, k: int) -> dict[str, Figure]:
    """Every figure that some question has."""
    columns = columns_of(questions, best, k)
    scenes = [question.scene for question in questions]
    found: dict[str, Figure] = {}
    for kind in ("share", "change", "size"):
        names = [name for name in columns if kind_of(name) == kind]
        table = np.array([columns[name] for name in names], dtype=float).T.reshape(len(questions), len(names))
        low, high = bootstrap(table, scenes, shares=kind == "share", changes=kind == "change")
        for place, name in enumerate(names):
            known = table[~np.isnan(table[:, place]), place]
            if known.size:
                found[name] = Figure(
                    n=known.size, value=float(known.mean()), low=_end(low[place]), high=_end(high[place])
                )
    return {name: found[name] for name in columns if name in found}


def kind_of(figure: str) -> Literal["share", "change", "size"]:
    """What a figure is: a share of questions, a difference of shares, or another size."""
    if figure.startswith(_CHANGES):
        return "change"
    return "size" if figure.startswith(_SIZES) else "share"


def columns_of(questions: Sequence[Answered], best: str, k: int) -> dict[str, list[float]]:
    """Every figure's value for each question, NaN where a question has none; means of these are the figures."""
    columns: dict[str, list[float]] = {}
    for place, question in enumerate(questions):
        for name, value in _values(question, best, k).items():
            columns.setdefault(name, [math.nan] * place).append(value)
        for column in columns.values():
            if len(column) == place:
                column.append(math.nan)
    return {name: columns[name] for name in sorted(columns, key=_place)}


def _values(question: Answered, best: str, k: int) -> dict[str, float]:
    fused, alone = question.right.get("fused"), _alone(question)
    values: dict[str, float] = {"fused": _number(fused)}
    if best:
        values |= {f"alone/{source}": _number(right) for source, right in alone.items()}
    for view, right in question.right.items():
        if view.startswith("subset:"):
            values["subset/" + view.partition(":")[2]] = _number(right)
    if best and alone:
        known = None not in alone.values()
        some = any(alone.values()) if known else None
        values["either"] = _number(some)
        values["interference"] = math.nan if fused is None or some is None else float(some and not fused)
        values["only_together"] = math.nan if fused is None or some is None else float(fused and not some)
        if best in alone:
            values["gain"] = _number(fused) - _number(alone[best])
    for name, right in question.damaged.items():
        values[f"damaged/{name}"] = _number(right)
        values[f"change/{name}"] = _number(right) - _number(fused)
    values |= _drawn(question, k)
    measured = {
        "format": question.formatted,
        "reward": question.reward,
        "tokens": question.tokens,
        "miou": question.iou,
    }
    values |= {name: float(value) for name, value in measured.items() if value is not None}
    if question.iou is not None:
        values["accuracy@0.5"] = float(question.iou > GROUNDED_ABOVE)
    return values


def _drawn(question: Answered, k: int) -> dict[str, float]:
    """Of k answers; of fewer, where some did not come, what these tell without bias."""
    n, right = question.drawn, question.drawn_right
    if not n or not k:
        return {}
    majority = majority_at(n, question.votes, question.id)
    tries = {m for m in (*(2**i for i in range(k.bit_length())), k) if m <= n}
    found = {f"pass@{m}": pass_at(n, right, m) for m in sorted(tries)}
    if n >= k > 1:
        found |= {f"all@{k}": all_at(n, right, k), f"majority@{k}": float(majority[k - 1])}
    return found


def _answered(rows: Sequence[Mapping[str, Any]], boxes: set[str]) -> Answered:
    """One question from all its rows."""
    right: dict[str, bool | None] = {}
    damaged: dict[str, bool | None] = {}
    drawn: list[Mapping[str, Any]] = []
    whole: Mapping[str, Any] | None = None
    for row in rows:
        came = None if "failed" in row else bool(row["correct"])
        if row.get("draw") is not None:
            drawn += [] if came is None else [row]
            continue
        origin = str(Origin.parse(row["origin"]))
        into, name = (damaged, row["damage"]) if row.get("damage") else (right, origin)
        if name in into:
            raise DataError(f"row {row['id']!r} was answered twice as {name}; ids must be unique")
        into[name] = came
        whole = row if into is right and origin == "fused" else whole
    first = rows[0]
    if whole is None and not drawn:
        raise DataError(f"row {first['id']!r} has no answer from all its sources, only {', '.join(right) or 'none'}")
    votes: dict[str, list[bool]] = {}
    for row in drawn:
        if answer := vote(row["text"]):
            votes.setdefault(answer, []).append(bool(row["correct"]))
    said: dict[str, Any] = {}
    if whole is not None and "failed" not in whole:
        said = {
            "formatted": bool(whole["formatted"]),
            "reward": whole["score"] or 0.0,
            "tokens": whole["tokens"] or None,
            "iou": (iou_in(whole) or 0.0) if whole["reward"] in boxes else None,
            "finished": whole.get("finished", True),
            "scored": whole["score"] is not None,
        }
    return Answered(
        id=first["id"],
        asked=_hash([first["id"], first["truth"], first["reward"]]),
        scene=scene_in(first),
        task=first["task"],
        right=right,
        damaged=damaged,
        drawn=len(drawn),
        drawn_right=sum(bool(row["correct"]) for row in drawn),
        votes=sorted(((len(found), sum(found)) for found in votes.values()), reverse=True),
        **said,
    )


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    whole = [row for row in rows if row["origin"] == "fused" and not row.get("damage") and "failed" not in row]
    return {
        "unanswered": sum("failed" in row for row in rows),
        "unscored": sum(row["score"] is None for row in whole),
        "unfinished": sum(not row.get("finished", True) for row in whole),
    }


def _alone(question: Answered) -> dict[str, bool | None]:
    return {name[len("mono:") :]: right for name, right in question.right.items() if name.startswith("mono:")}


def _place(name: str) -> int:
    """Figures of one kind stand together, whichever question had them first."""
    kind = name.partition("/")[0].partition("@")[0]
    order = ("fused", "alone", "subset", "gain", "either", "interference", "only_together", "pass", "all", "majority")
    return order.index(kind) if kind in order else len(order) + kind.startswith(("damaged", "change"))


def _number(right: bool | None) -> float:
    return math.nan if right is None else float(right)


def _end(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]

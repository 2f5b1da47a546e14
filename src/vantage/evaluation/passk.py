r"""What a model can do in several tries: right at least once, right every time, right by majority.

A question was answered n times, c of them right. Of k answers drawn from these without replacement

    pass@k = 1 - C(n - c, k) / C(n, k)        at least one is right,
    all@k  = C(c, k) / C(n, k)                every one is right,

which are unbiased for k fresh answers wherever k <= n (for pass@k: Chen et al., 2021, arXiv 2107.03374), while
1 - (1 - c/n)^k is not. Majority@k is the share of draws of k whose most frequent answer is right, the tied ones being
equally likely; it is averaged over ``ORDERS`` random orders of the n answers.

Every figure is a mean over questions. Answers to one question are no independent trials, nor are questions about one
scene, so intervals come from drawing *scenes* with replacement (``vantage.evaluation.statistics.bootstrap``), and those
of a change from drawing both moments of a scene together.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from vantage.captions.reading import final_answer
from vantage.errors import ConfigError, DataError
from vantage.evaluation.results import Record
from vantage.evaluation.statistics import bootstrap
from vantage.rewards import extract, numerals

ORDERS = 100
"""Random orders over which a majority is averaged; the error that this leaves is that of tossing so many coins a
question."""


class Estimate(Record):
    """A mean over questions, with its 95 % bootstrap interval over scenes."""

    value: float
    """The mean; of a change, after minus before."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""


class Question(Record):
    """What became of the answers to one question."""

    id: str
    """The sample's."""
    task: str = ""
    """Its kind of question; empty where the data name none."""
    scene: str = ""
    """What it is about; equal for questions that are not independent, empty where it is the only one."""
    right: int = Field(ge=0)
    """How many of its answers are right."""
    votes: list[tuple[int, int]]
    """For each different answer how often it was given and how often that counted as right, the most frequent first.
    Blank answers are no votes."""


class Curves(Record):
    """Figures for 1, 2, ... k answers, in this order."""

    n: int = Field(ge=1)
    """Questions."""
    pass_at: list[Estimate]
    """Share of questions of which at least one of so many answers is right."""
    all_at: list[Estimate]
    """Share of questions of which each of so many answers is right."""
    majority_at: list[Estimate]
    """Share of questions of which the most frequent of so many answers is right."""


class SampledEvaluation(Curves):
    """A model on a data set, each question answered several times from all its sources."""

    kept_as: ClassVar[str] = "an evaluation of sampled answers"

    model: str
    """How the model is called."""
    data: str
    """How the data are called."""
    k: int = Field(ge=1)
    """Answers to each question."""
    unfinished: int = 0
    """Answers cut off by the limit on their length."""
    unscored: int = 0
    """Answers that the reward could not score, counted as wrong."""
    seconds: float = Field(ge=0)
    """Wall time."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """What the figures depend on: how answers were drawn, the prompt, the limit on length."""
    tasks: dict[str, Curves] = Field(default_factory=dict)
    """The same by kind of question; empty where the data name no kinds."""
    questions: list[Question]
    """What the figures are counted from."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for question in self.questions:
            if max(question.right, sum(count for count, _ in question.votes)) > self.k:
                raise ValueError(f"row {question.id!r} has more than {self.k} answers")
        if len(self.questions) != self.n or {len(self.pass_at), len(self.all_at), len(self.majority_at)} != {self.k}:
            raise ValueError(f"figures of {self.n} questions and {self.k} answers are not what is counted here")
        return self


def pass_at(n: int, right: int, k: int) -> float:
    """The chance that k of n answers, of which some are right, hold a right one.

    Raises:
        ConfigError: more right answers than answers, or no k between 1 and n.
    """
    _check(n, right, k)
    return 1 - math.comb(n - right, k) / math.comb(n, k)


def all_at(n: int, right: int, k: int) -> float:
    """The chance that k of n answers, of which some are right, are all right.

    Raises:
        ConfigError: more right answers than answers, or no k between 1 and n.
    """
    _check(n, right, k)
    return math.comb(right, k) / math.comb(n, k)


def majority_at(n: int, votes: Sequence[tuple[int, int]], name: str = "") -> np.ndarray:
    """The chance that the most frequent of 1, 2, ... n answers is right, the tied ones being equally likely.

    Args:
        n: how many answers were given, blank ones included.
        votes: of each different answer how often it was given and how often that was right.
        name: of the question; the same orders for the same name.
    """
    given = np.array([count for count, _ in votes], dtype=int)
    if not given.size:
        return np.zeros(n)
    shares = np.array([right / count for count, right in votes])
    labels = np.repeat(np.arange(given.size + 1), [*given, n - given.sum()])  # the last stands for blank answers
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    orders = np.random.default_rng(int.from_bytes(digest[:8], "little")).permuted(np.tile(labels, (ORDERS, 1)), axis=1)
    counts = (orders[:, :, None] == np.arange(given.size)).cumsum(axis=1, dtype=np.int32)
    most = counts.max(axis=2, keepdims=True)
    leading = (counts == most) & (most > 0)
    found = leading.astype(float) @ shares / np.maximum(leading.sum(axis=2), 1)
    found[:, 0] = (given * shares).sum() / n  # of a single answer it is known exactly
    return found.mean(axis=0)


def vote(text: str) -> str:
    r"""What a completion answers, such that equal answers are equal texts; empty where it says nothing.

    It is the last ``\boxed{}``, else the one ``<answer>`` block, else all that stands behind the thought; case, white
    space and what sets an answer off do not count, nor how a number is written: ``5.0`` is ``5``.
    """
    answer = final_answer(text)
    answer = extract.after_thought(text) if answer is None else answer
    return numerals.plain(answer) or extract.normalise(answer)


def counted(rows: Iterable[Mapping[str, Any]]) -> tuple[list[Question], int]:
    """Count what ``sample_many`` returned as rows: the questions in order, and how many answers each has.

    Only answers from all sources are counted.

    Raises:
        DataError: no answers, or questions with different numbers of them.
    """
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["origin"] == "fused":
            by_id.setdefault(row["id"], []).append(row)
    if not by_id:
        raise DataError("nothing to count: there are no answers from all sources")
    k = len(next(iter(by_id.values())))
    questions = []
    for name, answers in by_id.items():
        if len(answers) != k:
            raise DataError(f"row {name!r} has {len(answers)} answers and others have {k}; give each equally many")
        said: dict[str, list[bool]] = {}
        for row in answers:
            if answer := vote(row["text"]):
                said.setdefault(answer, []).append(bool(row["correct"]))
        votes = sorted(((len(right), sum(right)) for right in said.values()), reverse=True)
        right = sum(bool(row["correct"]) for row in answers)
        first = answers[0]
        questions.append(Question(id=name, task=first["task"], scene=first.get("scene", ""), right=right, votes=votes))
    return questions, k


def curves(questions: Sequence[Question], k: int) -> Curves:
    """The figures of questions that were answered k times each."""
    return _curves(_values(questions, k), _scenes(questions))


def summary(rows: Sequence[Mapping[str, Any]], **about: Any) -> SampledEvaluation:
    """The evaluation that rows amount to.

    Args:
        rows: see ``counted``.
        **about: ``model``, ``data``, ``seconds`` and ``settings``.
    """
    questions, k = counted(rows)
    values, scenes = _values(questions, k), _scenes(questions)
    kinds: dict[str, list[int]] = {}
    for place, question in enumerate(questions):
        kinds.setdefault(question.task, []).append(place)
    whole = [row for row in rows if row["origin"] == "fused"]
    return SampledEvaluation(
        **dict(_curves(values, scenes)),
        k=k,
        unfinished=sum(not row["finished"] for row in whole),
        unscored=sum(row["score"] is None for row in whole),
        tasks={
            task: _curves(values[:, places], [scenes[place] for place in places])
            for task, places in kinds.items()
            if task
        },
        questions=questions,
        **about,
    )


def change(before: SampledEvaluation, after: SampledEvaluation) -> Curves:
    """What changed, question by question, up to the smaller number of answers.

    Raises:
        DataError: they are of different questions; names one.
    """
    old, new = ({question.id: question for question in run.questions} for run in (before, after))
    if old.keys() != new.keys():
        other = next(iter(old.keys() ^ new.keys()))
        raise DataError(f"a change is that of the same questions, and only one of the evaluations has row {other!r}")
    k = min(before.k, after.k)
    first = _values(list(old.values()), before.k)[..., :k]
    changed = _values([new[name] for name in old], after.k)[..., :k] - first
    return _curves(changed, _scenes(list(old.values())), of_change=True)


def interval(
    values: np.ndarray, of_change: bool = False, scenes: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % bootstrap interval of the mean over questions.

    Of few scenes, or where nearly all agree, an interval is too short, as with every bootstrap.

    Args:
        values: questions x figures.
        of_change: the figures are differences; where no question changed, Wilson's interval of none stands in.
        scenes: of each question; each is its own without.
    """
    low, high = bootstrap(values, scenes, shares=not of_change, changes=of_change)
    unknown = np.isnan(low)  # a single scene
    low[unknown], high[unknown] = (-1.0 if of_change else 0.0), 1.0
    return low, high


def _values(questions: Sequence[Question], k: int) -> np.ndarray:
    """Figures of each question: pass, all and majority x questions x 1..k answers."""
    tries = range(1, k + 1)
    known = {right: [[f(k, right, m) for m in tries] for f in (pass_at, all_at)] for right in range(k + 1)}
    found = [[*known[question.right], majority_at(k, question.votes, question.id)] for question in questions]
    return np.array(found, dtype=float).swapaxes(0, 1)


def _scenes(questions: Sequence[Question]) -> list[str]:
    return [question.scene or f"id:{question.id}" for question in questions]


def _curves(values: np.ndarray, scenes: Sequence[str], of_change: bool = False) -> Curves:
    drawn = []
    for figure in values:
        low, high = interval(figure, of_change, scenes)
        ends = zip(figure.mean(axis=0), low, high, strict=True)
        drawn.append([Estimate(value=float(mean), low=float(a), high=float(b)) for mean, a, b in ends])
    return Curves(n=values.shape[1], pass_at=drawn[0], all_at=drawn[1], majority_at=drawn[2])


def _check(n: int, right: int, k: int) -> None:
    if not (0 <= right <= n and 1 <= k <= n):
        raise ConfigError(f"of n answers 0..n can be right, and k is 1..n; got n = {n}, {right} right, k = {k}")

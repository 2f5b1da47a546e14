"""One extractor with several reasoners: its captions are made once, and each reasoner answers from them.

Whether captions carry anything of the pictures shows in three figures beside the share of right answers:

- the **best constant caption**: of the model's own captions, the one that, put in the place of all others, has the
  reasoner answer most questions. A reasoner that answers no more without it being constant has learned nothing of
  pictures. It is chosen on the same questions, so it errs on the high side;
- **positive** and **zero or no** answers apart: who always says that there is nothing is right where there is nothing;
- **leaks**: the share of captions that state an answer instead of describing (see ``vantage.captions.leak``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from vantage.captions import leak
from vantage.captions.prompts import Part
from vantage.captions.reading import AnswerIn, handed, reads_boxes_only
from vantage.endpoints import Endpoint
from vantage.errors import ConfigError, DataError
from vantage.evaluation.asking import Row, both_views, checked, name_of, row_of
from vantage.evaluation.captioned import Described, Kept, Progress, describe
from vantage.evaluation.evaluate import by_task
from vantage.evaluation.journal import Journal
from vantage.evaluation.outcome import Figure
from vantage.evaluation.outcome import results as counted
from vantage.evaluation.results import Evaluation, Proportion, Record, figures, scene_in
from vantage.evaluation.scenes import scene_of
from vantage.files import write_json
from vantage.generation import Said
from vantage.pipeline import CAPTION, Answer, Pipeline
from vantage.rewards import Reward, Score, call_many, get
from vantage.rewards.text import alternatives
from vantage.samples import Sample

NOTHING = frozenset(("0", "zero", "no", "none", "nothing", "false"))
"""Truths that say that there is nothing of what was asked for."""

CONSTANTS = 32
"""The most captions that are tried as constant ones, unless said otherwise."""
_OF_DRAWN = ("pass@", "all@", "majority@")


class Constant(Record):
    """The best of the constant captions that were tried."""

    caption: str
    """Its text."""
    right: Proportion
    """Share of the questions answered right from it."""
    tried: int = Field(ge=1)
    """How many of the model's captions were tried, the most frequent first."""


class ReasonerEvaluation(Evaluation):
    """An extractor and a reasoner on a data set; ``fused`` and the others count the reasoner's answers.

    ``format`` is the share of captions that say something and were not cut, ``unfinished`` counts those cut, and
    ``unscored`` the questions that the reasoner could not be asked.
    """

    reasoner: str
    """How the reasoner is called."""
    positive: Proportion | None = None
    """Share answered right from all sources, of the questions whose truth is not zero or no; null without any."""
    negative: Proportion | None = None
    """The same of those whose truth is zero or no; null without any."""
    constant: Constant | None = None
    """The baseline that a caption must beat; null where none was tried, or where a call for it failed."""
    leakage: Proportion
    """Share of the captions from all sources that state an answer."""
    reasoner_cut: int = 0
    """Replies of the reasoner to all sources that were cut by the limit on their length."""
    k: int = 0
    """Captions drawn of each question from all sources, beside the greedy one."""
    drawn: dict[str, Figure] = Field(default_factory=dict)
    """``pass@m``, ``all@k`` and ``majority@k`` of the answers to these; see ``docs/evaluation.md``."""


def compare(
    pipeline: Pipeline,
    samples: Iterable[Sample],
    reasoners: Sequence[Endpoint],
    *,
    parts: Sequence[Part] = CAPTION,
    inner: str | Reward | None = None,
    answer_in: AnswerIn = "auto",
    constants: int = CONSTANTS,
    k: int = 0,
    drawing: Mapping[str, Any] | None = None,
    kept: Kept | None = None,
    model_name: str = "",
    data_name: str = "",
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[list[ReasonerEvaluation], list[Row]]:
    """Describe every sample from all its sources and from each alone, and let every reasoner answer.

    Args:
        pipeline: the extractor; its own reasoner is not asked.
        samples: with unique ids, as ``vantage.evaluation.evaluate`` takes them.
        reasoners: of different names.
        parts: what the reasoners get: the caption, or the tentative answer too.
        inner: the reward that verifies the reasoners' answers; ``None``: each row's own.
        answer_in: how that reward is handed an answer; see ``vantage.captions.CaptionReward``.
        constants: the most captions that are tried as constant ones, beyond the first only while that takes no more
            calls than there are samples; 0 tries none.
        k: captions drawn of each sample from all its sources, each put to every reasoner.
        drawing: how: ``temperature``, ``top_p``, ``top_k``, ``seed``; see ``vantage.evaluation.asking.Local``.
        kept: where captions and answers are kept as they are made; what is there is not made again.
        model_name: how the results call the extractor; where it was loaded from unless given.
        data_name: how the results call the data.
        progress: called with what is being done, and how much of how much of it is.

    Returns:
        An evaluation for each reasoner, in order, and the rows that they count: those of ``evaluate``, where ``text``
        and ``tokens`` are of the reasoner's reply and ``finished`` is of the caption, and beside them ``reasoner``,
        ``caption``, ``tentative``, ``final``, ``leak`` (0 or 1: the caption states an answer) and ``mention`` (the
        truth occurs in it).

    Raises:
        ConfigError: no reasoner, or two of one name.
        DataError: no samples, or two with one id.
        PictureError: a sample's picture cannot be read.
    """
    names = [reasoner.name for reasoner in reasoners]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"reasoners of different names are needed, not {', '.join(names) or 'none'}")
    samples = checked(samples)
    verifier = _Verifier(inner, answer_in)
    by_id = {sample.id: sample for sample in samples}
    start = time.perf_counter()
    described = describe(
        pipeline, samples, parts, k=k, drawing=drawing, journal=None if kept is None else kept.captions,
        progress=_of(progress, "describe"),
    )  # fmt: skip
    describing = time.perf_counter() - start
    settings = {
        "decoding": "greedy",
        **({"k": k, **(drawing or {})} if k else {}),
        "max_new_tokens": pipeline.max_new_tokens,
        "mono": pipeline.mono,
        "label_sources": pipeline.label_sources,
        "parts": list(parts),
        "inner": verifier.inner.name if verifier.inner is not None else None,
        "answer_in": answer_in,
        "prompts": pipeline.prompts.model_dump(),
    }
    evaluations, rows = [], []
    for reasoner in reasoners:
        start = time.perf_counter()
        told = _of(progress, f"ask {reasoner.name}")
        own = _asked(pipeline, reasoner, described, by_id, verifier, None if kept is None else kept.answers, told)
        greedy = [row for row in own if row["draw"] is None]
        fused = [row for row in greedy if row["origin"] == "fused"]
        constant = _constant(
            pipeline,
            reasoner,
            [one.answer for one in described if one.draw is None],
            samples,
            verifier,
            constants,
            None if kept is None else kept.captions,
            _of(progress, "constant captions"),
        )
        figures_drawn = counted(own, model="", data="").figures if k else {}
        evaluations.append(
            ReasonerEvaluation(
                **dict(figures(greedy)),
                model=model_name or name_of(pipeline.model),
                data=data_name,
                tasks=by_task(greedy),
                seconds=describing + time.perf_counter() - start,
                settings={**settings, "reasoner": _told(reasoner)},
                reasoner=reasoner.name,
                positive=_right(row for row in fused if not says_nothing(row["truth"])),
                negative=_right(row for row in fused if says_nothing(row["truth"])),
                constant=constant,
                leakage=Proportion.over([bool(row["leak"]) for row in fused], [scene_in(row) for row in fused]),
                reasoner_cut=sum(row["reasoner_cut"] for row in fused),
                k=k,
                drawn={name: one for name, one in figures_drawn.items() if name.startswith(_OF_DRAWN)},
            )
        )
        rows += own
    return evaluations, rows


def says_nothing(truth: Any) -> bool:
    """Whether a truth says that there is nothing of what was asked for: zero, no, none, false."""
    return any(text in NOTHING for text in alternatives(truth))


def save(path: str | Path, evaluations: Sequence[ReasonerEvaluation]) -> None:
    """Write a JSON list of evaluations, whole or not at all."""
    write_json(path, [evaluation.model_dump(mode="json") for evaluation in evaluations])


def load(path: str | Path) -> list[ReasonerEvaluation]:
    """Read what ``save`` wrote.

    Raises:
        DataError: no such file, or it holds something else; names the file and the field.
    """
    try:
        return TypeAdapter(list[ReasonerEvaluation]).validate_json(Path(path).read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot read evaluations of reasoners ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{path}: no evaluations of reasoners; {field}: {first['msg']}") from error


def _asked(
    pipeline: Pipeline,
    reasoner: Endpoint,
    described: Sequence[Described],
    samples: Mapping[str, Sample],
    verifier: _Verifier,
    journal: Journal | None,
    progress: Progress | None,
) -> list[Row]:
    """Rows of a reasoner's answers: those that are kept, and those that it is asked for now."""
    there = {} if journal is None else {key[1:]: row for key, row in journal.rows.items() if key[0] == reasoner.name}
    left = [one for one in described if one.key not in there]
    for batch, told in _batches(left, len(described), None if journal is None else pipeline.batch_size, progress):
        begun = time.perf_counter()
        answers = pipeline.reason([one.answer for one in batch], reasoner, progress=told)
        rows = _rows(answers, [one.draw for one in batch], samples, verifier)
        there |= {one.key: row for one, row in zip(batch, rows, strict=True)}
        if journal is not None:
            came = (view for row in rows if "failed" not in row for view in _views(row, samples))
            journal.add(came, time.perf_counter() - begun)
    return [view for one in described for view in _views(there[one.key], samples)]


def _batches(
    left: Sequence[Any], total: int, size: int | None, progress: Progress | None
) -> Iterator[tuple[Sequence[Any], Progress | None]]:
    """What is left in batches, all at once without a size, each with who is told how much of all is done."""
    step = max(1, size or len(left))
    for start in range(0, len(left), step):
        before = total - len(left) + start
        yield left[start : start + step], _beyond(progress, before, total)


def _beyond(progress: Progress | None, before: int, total: int) -> Progress | None:
    return None if progress is None else lambda done, _: progress(before + done, total)


def _views(row: Row, samples: Mapping[str, Sample]) -> list[Row]:
    """The row; a greedy one of a sample of one source counts as both views."""
    return [row] if row["draw"] is not None else both_views(row, tuple(samples[row["id"]].sources))


def _rows(
    answers: Sequence[Answer], draws: Sequence[int | None], samples: Mapping[str, Sample], verifier: _Verifier
) -> list[Row]:
    asked = [samples[answer.id] for answer in answers]
    scores = verifier.scores([answer.reasoning for answer in answers], asked)
    rows: list[Row] = []
    for answer, draw, sample, found in zip(answers, draws, asked, scores, strict=True):
        whole = answer.finished["caption"]
        said = Said(answer.reasoning or "", answer.tokens.get("reasoner", 0), whole)
        if answer.reasoning is None:
            # What an empty caption brings is its own fault, what a failed call brings is not.
            found = Score(None if answer.asked else 0.0, error=answer.error)
        more = {
            "draw": draw,
            "formatted": answer.asked and whole,
            "reasoner": answer.reasoner,
            "caption": answer.caption,
            "tentative": answer.tentative,
            "final": answer.final,
            "leak": int(leak.states(answer.caption, sample)),
            "mention": int(leak.mentions(answer.caption, sample)),
            "reasoner_cut": answer.finished.get("reasoner") is False,
        }
        if found.reward is None and answer.reasoning is None:
            more["failed"] = answer.error
        rows.append(row_of(sample, answer.origin, found, said) | more)
    return rows


class _Verifier:
    """What rewards make of a reasoner's replies, as a caption reward hands them over."""

    def __init__(self, inner: str | Reward | None, answer_in: AnswerIn) -> None:
        self.inner = get(inner) if isinstance(inner, str) else inner
        self.answer_in = answer_in

    def scores(self, replies: Sequence[str | None], samples: Sequence[Sample]) -> list[Score]:
        rewards = [self.inner or get(sample.reward) for sample in samples]
        texts = [handed(reply or "", self._way(reward)) for reply, reward in zip(replies, rewards, strict=True)]
        return call_many(rewards, texts, samples)

    def _way(self, reward: Reward) -> AnswerIn:
        if self.answer_in != "auto":
            return self.answer_in
        return "box" if reads_boxes_only(reward) else "tags"


def _constant(
    pipeline: Pipeline,
    reasoner: Endpoint,
    described: Sequence[Answer],
    samples: Sequence[Sample],
    verifier: _Verifier,
    limit: int,
    journal: Journal | None,
    progress: Progress | None,
) -> Constant | None:
    said = Counter(answer.caption for answer in described if _whole(answer) and answer.caption)
    questions = list(dict.fromkeys(sample.question for sample in samples))
    captions = [caption for caption, _ in said.most_common(max(1, min(limit, len(samples) // len(questions))))]
    if limit < 1 or not captions:
        return None
    wanted = [(caption, question) for caption in captions for question in questions]
    replies: dict[tuple[str, str], str | None] = {}
    kept = {} if journal is None else journal.rows
    for pair in wanted:
        if row := kept.get((reasoner.name, *pair)):
            replies[pair] = row["reasoning"]
    left = [
        Answer(id="", question=question, caption=caption, finished={"caption": True})
        for caption, question in wanted
        if (caption, question) not in replies
    ]
    failed = False
    for batch, told in _batches(left, len(wanted), None if journal is None else pipeline.batch_size, progress):
        begun = time.perf_counter()
        found = pipeline.reason(batch, reasoner, progress=told)
        came = [answer for answer in found if not answer.error]
        failed |= len(came) < len(found)
        replies |= {(answer.caption, answer.question): answer.reasoning for answer in came}
        if journal is not None:
            about = {"reasoner": reasoner.name}
            rows = ({**about, "constant": a.caption, "question": a.question, "reasoning": a.reasoning} for a in came)
            journal.add(rows, time.perf_counter() - begun)
    if failed:
        return None  # counted as wrong, missing replies would flatter what is compared with it
    right = {}
    for caption in captions:
        scores = verifier.scores([replies[caption, sample.question] for sample in samples], samples)
        right[caption] = [score.correct for score in scores]
    best = max(captions, key=lambda caption: sum(right[caption]))
    share = Proportion.over(right[best], [scene_of(sample) for sample in samples])
    return Constant(caption=best, right=share, tried=len(captions))


def _whole(answer: Answer) -> bool:
    return answer.origin.kind == "fused"


def _right(rows: Iterable[Row]) -> Proportion | None:
    asked = list(rows)
    return Proportion.over([bool(row["correct"]) for row in asked], [*map(scene_in, asked)]) if asked else None


def _told(reasoner: Endpoint) -> dict[str, Any]:
    return reasoner.settings.model_dump(mode="json", exclude_defaults=True, exclude={"cache", "key_env"})


def _of(progress: Callable[[str, int, int], None] | None, what: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(what, done, total)

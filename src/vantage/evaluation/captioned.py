"""What an extractor says of samples, greedily and drawn, and what is kept of it when an evaluation is cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from vantage.captions.prompts import Part
from vantage.errors import ConfigError
from vantage.evaluation.asking import Local, Wanted
from vantage.evaluation.journal import Journal, Row
from vantage.generation import Prompt, Said, each, prompts
from vantage.groups import FUSED, Origin
from vantage.pipeline import BOTH, CAPTION, Answer, Pipeline, saying
from vantage.samples import Sample

Progress = Callable[[int, int], None]


class Described(NamedTuple):
    """What an extractor says of one view.

    Attributes:
        answer: no reasoner has seen it yet.
        draw: the number of a drawn one; ``None``: the likeliest tokens.
    """

    answer: Answer
    draw: int | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What no other of them has."""
        return self.answer.id, str(self.answer.origin), self.draw


class Kept:
    """Two files of an evaluation with reasoners, so that it goes on where it was cut. To be used as a context.

    Args:
        answers: a line for each answer of a reasoner; beside it, as ``NAME.captions.jsonl``, lie captions, and what
            reasoners made of constant ones.
        about: all that decides them, plain JSON values by name.

    Raises:
        ConfigError, DataError: as ``vantage.evaluation.journal.Journal``.
    """

    def __init__(self, answers: Path, about: Mapping[str, Any]) -> None:
        self.captions = Journal(answers.with_suffix(".captions.jsonl"), about, key=_key)
        try:
            self.answers = Journal(answers, about, key=lambda row: (row["reasoner"], *_key(row)))
        except BaseException:
            self.captions.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of both files."""
        self.captions.close()
        self.answers.close()


def describe(
    pipeline: Pipeline,
    samples: Sequence[Sample],
    parts: Sequence[Part],
    *,
    k: int = 0,
    drawing: Mapping[str, Any] | None = None,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> list[Described]:
    """Every sample from all its sources and from each alone, and k times drawn from all.

    Args:
        pipeline: the extractor.
        samples: with unique ids.
        parts: what it says of each: a caption, a tentative answer too.
        k: captions drawn of each sample; where there are tentative answers, they are drawn beside them.
        drawing: ``temperature``, ``top_p``, ``top_k`` and ``seed`` of ``vantage.evaluation.asking.Local``.
        journal: keeps what is said; what it holds is not said again.
        progress: called with how many of how many views are described.

    Raises:
        ConfigError: parts without a caption, or a number that cannot be.
        DataError: a question is blank, or holds what stands for a picture or steers the model.
        PictureError: a sample's picture cannot be read.
    """
    if tuple(parts) not in (CAPTION, BOTH) or k < 0:
        raise ConfigError(f"parts are {CAPTION} or {BOTH} and k is at least 0; got {parts!r} and {k}")
    for sample in samples:
        pipeline.require_text(sample)
    keys = [
        (sample.id, str(origin), draw)
        for sample in samples
        for origin in each(sample)
        for draw in ((None, *range(k)) if origin == FUSED else (None,))
    ]
    questions = {sample.id: sample.question for sample in samples}
    there = {} if journal is None else journal.rows
    found = {key: _described(there[key], questions[key[0]]) for key in keys if key in there}
    missing: dict[tuple[str, str], list[int | None]] = {}
    for name, origin, draw in keys:
        if (name, origin, draw) not in found:
            missing.setdefault((name, origin), []).append(draw)

    def views(sample: Sample) -> list[Origin]:
        return [origin for origin in each(sample) if (sample.id, str(origin)) in missing]

    styles = [pipeline.style(part) for part in parts]
    asked = [sample for sample in samples if views(sample)]
    wanted = (
        (prompt, draw)
        for prompt in prompts(asked, styles, pipeline.mono, views)
        for draw in missing[prompt.sample.id, str(prompt.origin)]
    )
    begun = time.perf_counter()
    with Local(pipeline.model, pipeline.processor, max_new_tokens=pipeline.max_new_tokens, **(drawing or {})) as model:
        while batch := list(islice(wanted, pipeline.batch_size)):
            fresh = _spoken(model, batch, parts)
            took, begun = time.perf_counter() - begun, time.perf_counter()
            if journal is not None:
                journal.add(map(_row, fresh), took)
            found |= {one.key: one for one in fresh}
            if progress is not None:
                progress(len(found), len(keys))
    return [found[key] for key in keys]


def _spoken(model: Local, batch: Sequence[tuple[Prompt, int | None]], parts: Sequence[Part]) -> list[Described]:
    answers = [Answer(id=p.sample.id, question=p.sample.question, origin=p.origin, caption="") for p, _ in batch]
    for place, part in enumerate(parts):
        start = time.perf_counter()
        # One object for all draws of a prompt, so that it is read once for them.
        own = {id(prompt): Prompt(prompt.sample, prompt.origin, (prompt.messages[place],)) for prompt, _ in batch}
        said = model.speak([Wanted(own[id(prompt)], prompt.sample, draw) for prompt, draw in batch])
        share = (time.perf_counter() - start) / len(batch)
        answers = [
            saying(answer, part, one, share)
            for answer, one in zip(answers, said, strict=True)
            if isinstance(one, Said)  # a model of this process fails as a whole
        ]
    return [Described(answer, draw) for answer, (_, draw) in zip(answers, batch, strict=True)]


def _row(one: Described) -> Row:
    answer = one.answer
    said = {name: getattr(answer, name) for name in ("caption", "tentative", "finished", "tokens")}
    return {"id": answer.id, "origin": str(answer.origin), "draw": one.draw, **said}


def _described(row: Row, question: str) -> Described:
    said = {name: row[name] for name in ("caption", "tentative", "finished", "tokens")}
    return Described(Answer(id=row["id"], question=question, origin=Origin.parse(row["origin"]), **said), row["draw"])


def _key(row: Row) -> tuple[Any, ...]:
    """Of a caption, or of a constant one that a reasoner was asked about."""
    if "constant" in row:
        return row["reasoner"], row["constant"], row["question"]
    return row["id"], row["origin"], row["draw"]

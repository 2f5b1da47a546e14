"""Asking a model: what is wanted of it, in batches, and the rows that its scored answers become.

A question comes as several prompts, one for each view of its pictures, and a prompt may be wanted several times: once
greedily and k times drawn. A prompt that is wanted several times is read once where that is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Protocol, Self

from vantage import sharing
from vantage.errors import ConfigError, DataError
from vantage.evaluation.drawing import Behind, Draw
from vantage.evaluation.scenes import scene_of
from vantage.generation import Prompt, Said, for_inference, generate, greedy, grow
from vantage.groups import Origin
from vantage.rewards import Score, call_many
from vantage.samples import Sample

Row = dict[str, Any]
"""One answer: ``id``, ``task``, ``scene`` (see ``vantage.evaluation.scenes``), ``reward`` (its name), ``score`` (its
value), ``truth``, ``origin``, ``text``, ``tokens`` (how many), ``finished`` (not cut off by the limit on its length),
and what else ``Score.record`` holds."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One answer to one prompt.

    Attributes:
        prompt: a view of a question; the same object where several answers to it are wanted.
        sample: by which the answer is scored.
        draw: the number of a drawn answer; ``None``: the likeliest tokens.
        damage: what was done to the pictures; empty where nothing was.
    """

    prompt: Prompt
    sample: Sample
    draw: int | None = None
    damage: str = ""

    @property
    def key(self) -> tuple[str, str, str, int | None]:
        """What no other answer of an evaluation has."""
        return self.sample.id, str(self.prompt.origin), self.damage, self.draw


class Speaker(Protocol):
    """Whoever answers.

    Attributes:
        decodes: prompts are wanted with decoded pictures in their messages; without, they have no messages.
    """

    decodes: bool

    def speak(self, batch: Sequence[Wanted]) -> Sequence[Said | Exception]:
        """An answer to each, in order; a failure is a value in its place."""
        ...


class Local:
    """A model of this process; to be used as a context, which leaves the model as it was.

    Args:
        model: generates; on any device.
        processor: its processor, with a chat template and a ``tokenizer``.
        max_new_tokens: the most tokens an answer can have.
        temperature: of drawn answers, above 0.
        top_p: probability of the likeliest tokens that are drawn from.
        top_k: how many of the likeliest tokens are drawn from; 0 is all.
        seed: of the draws.
        share: read a prompt once for all its answers, wherever that is exact.

    Attributes:
        repeats: why prompts are read once for each answer; empty where they are shared.

    Raises:
        ConfigError: a number out of its range, or a tokenizer that cannot pad.
    """

    decodes = True

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        max_new_tokens: int = 512,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
        share: bool = True,
    ) -> None:
        if max_new_tokens < 1 or top_k < 0:
            raise ConfigError(f"max_new_tokens is at least 1 and top_k at least 0; got {max_new_tokens} and {top_k}")
        if not temperature > 0 or not 0 < top_p <= 1:
            raise ConfigError(f"temperature is above 0 and top_p above 0, at most 1; got {temperature} and {top_p}")
        self._model, self._processor = model, processor
        self._settings = greedy(model, processor, max_new_tokens)
        self._way: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
        self._seed = seed
        self.repeats = _why_not(model) if share else "it was asked for"
        self._here = ExitStack()

    def __enter__(self) -> Self:
        self._here.enter_context(for_inference(self._model, self._processor))
        return self

    def __exit__(self, *_: object) -> None:
        self._here.close()

    def speak(self, batch: Sequence[Wanted]) -> list[Said | Exception]:
        """See ``Speaker.speak``; a model of this process fails as a whole, with an error."""
        groups = [list(group) for _, group in groupby(batch, key=lambda wanted: id(wanted.prompt))]
        if not self.repeats:
            groups.sort(key=len)  # prompts of one number of rows grow side by side
        order = [wanted for group in groups for wanted in group]
        said = self._said(groups, order)
        found = {wanted.key: answer for wanted, answer in zip(order, said, strict=True)}
        return [found[wanted.key] for wanted in batch]

    def _said(self, groups: Sequence[Sequence[Wanted]], order: Sequence[Wanted]) -> list[Said]:
        if all(wanted.draw is None for wanted in order) and len(groups) == len(order):
            return generate(self._model, self._processor, [w.prompt.messages[0] for w in order], self._settings)
        names = [None if w.draw is None else f"{self._seed}/{w.draw}/{w.sample.id!a}" for w in order]
        draw = Draw(names, **self._way)
        if self.repeats or len(groups) == len(order):
            told = {**self._settings, "logits_processor": [draw]}
            return generate(self._model, self._processor, [w.prompt.messages[0] for w in order], told)
        prompts = [group[0].prompt.messages[0] for group in groups]
        rows = [len(group) for group in groups]
        return grow(self._model, self._processor, prompts, rows, self._settings, Behind(draw))


def _why_not(model: Any) -> str:
    """Why prompts cannot be shared; empty where they can."""
    if "generate" in vars(model):
        return "the model has a generate of its own"
    try:
        sharing.family_of(model)
    except ConfigError as error:
        return str(error)
    if any(adapter.is_prompt_learning for adapter in getattr(model, "peft_config", {}).values()):
        return "the adapter writes tokens of its own before the prompt"
    return ""


def answered(speaker: Speaker, wanted: Iterable[Wanted], batch_size: int) -> Iterator[list[tuple[Wanted, Row]]]:
    """What was wanted and the rows of its answers, a batch at a time, in order.

    A row has beside the fields of ``Row`` the ``draw`` and the ``damage`` of what was wanted; one without an answer
    has ``failed``, which says why, and no score.

    Raises:
        ConfigError: a batch below 1.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is at least 1, not {batch_size}")
    left = iter(wanted)
    while batch := list(islice(left, batch_size)):
        found = speaker.speak(batch)
        came = [(asked, said) for asked, said in zip(batch, found, strict=True) if isinstance(said, Said)]
        samples = [asked.sample for asked, _ in came]
        scores = iter(call_many([sample.reward for sample in samples], [said.text for _, said in came], samples))
        yield [
            (asked, _row(asked, said, next(scores) if isinstance(said, Said) else None))
            for asked, said in zip(batch, found, strict=True)
        ]


def _row(asked: Wanted, said: Said | Exception, score: Score | None) -> Row:
    more = {"draw": asked.draw, "damage": asked.damage}
    if isinstance(said, Said):
        assert score is not None  # noqa: S101  whoever spoke is scored
        return row_of(asked.sample, asked.prompt.origin, score, said) | more
    empty = row_of(asked.sample, asked.prompt.origin, Score(None, error=str(said)), Said("", 0, finished=True))
    return empty | more | {"failed": f"{type(said).__name__}: {said}"}


def row_of(sample: Sample, origin: Origin, score: Score, said: Said) -> Row:
    """The row of an answer."""
    return {
        **score.record(),
        "id": sample.id,
        "task": str(sample.metadata.get("task", "")),
        "scene": scene_of(sample),
        "reward": sample.reward,
        "score": score.reward,
        "truth": sample.truth,
        "origin": str(origin),
        "text": said.text,
        "tokens": said.tokens,
        "finished": said.finished,
    }


def both_views(row: Mapping[str, Any], sources: Sequence[str]) -> list[Row]:
    """A row, and of a sample of one source the same as that source alone."""
    alone = [str(Origin("mono", name)) for name in sources if len(sources) == 1]
    return [dict(row), *({**row, "origin": origin} for origin in alone)]


def name_of(model: Any) -> str:
    """Where a model was loaded from, else its class."""
    return str(getattr(model.config, "_name_or_path", "") or type(model).__name__)


def checked(samples: Iterable[Sample]) -> Sequence[Sample]:
    """The samples as a sequence.

    Raises:
        DataError: there are none, or two with one id.
    """
    samples = samples if isinstance(samples, Sequence) else list(samples)
    if not samples:
        raise DataError("nothing to evaluate: no samples were given")
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise DataError(f"row {sample.id!r} comes twice; ids must be unique within an evaluation")
        seen.add(sample.id)
    return samples

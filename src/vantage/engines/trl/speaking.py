"""What the policy says: prompts become completions, each prompt read once where that is exact.

Every prompt of a step, fused ones with their G rows and those of the anchors with one each, is one *ask*. Where
rollouts share, all asks are prefilled once and grow in one batch, whatever their number of rows and whether they are
greedy. Where they do not, asks of one kind are spoken together by the stock trainer, row by row.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from vantage import sharing
from vantage.engines.trl import prompts as reading
from vantage.engines.trl.prompts import Prompt
from vantage.models import placeholder_ids, resized_size

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt that is to be answered.

    Attributes:
        prompt: the conversation.
        rows: how many answers.
        greedy: by the likeliest tokens.
        phase: what its time is counted as, where it is spoken by itself.
    """

    prompt: list[dict[str, Any]]
    rows: int
    greedy: bool = False
    phase: str = "rollout"


@dataclass(frozen=True, slots=True)
class Spoken:
    """What became of A asks.

    Attributes:
        prompt_ids: tokens of each prompt.
        images: pictures of each prompt; ``None`` where no prompt has any.
        ids: tokens of each answer, ask by ask.
        logprobs: of each of them, where whoever spoke tells.
        prompts: as the model reads them, where the update shares; else ``None``.
    """

    prompt_ids: list[list[int]]
    images: list[list[Any] | None] | None
    ids: list[list[list[int]]]
    logprobs: list[list[list[float]]] | None
    prompts: list[Prompt] | None

    def take(self, start: int, stop: int) -> Spoken:
        """Of the asks ``start`` to ``stop``."""
        some = slice(start, stop)
        return Spoken(
            self.prompt_ids[some],
            None if self.images is None else self.images[some],
            self.ids[some],
            None if self.logprobs is None else self.logprobs[some],
            None if self.prompts is None else self.prompts[some],
        )


class Behind(dict[str, Any]):
    """Fields of prompts behind which rows grow: how many behind each, and whether greedily."""

    def __init__(self, fields: Mapping[str, Any], rows: Sequence[int], greedy: Sequence[bool]) -> None:
        super().__init__(fields)
        self.rows, self.greedy = list(rows), list(greedy)


class Speaking:
    """Speaks with a trainer's model or backend.

    Args:
        trainer: whose policy speaks.

    Attributes:
        together: rows grow behind shared prompts.
    """

    def __init__(self, trainer: VantageTrainer) -> None:
        self._trainer = trainer
        self.together = False

    def speak(self, asks: Sequence[Ask]) -> Spoken:
        """Answer every ask. Collective: every process asks equally often and in the same order of kinds."""
        clock = self._trainer.clock
        if self.together:
            with clock.phase(asks[0].phase):
                return self._speak(asks)
        kinds = dict.fromkeys((ask.phase, ask.rows, ask.greedy) for ask in asks)
        places = [[i for i, ask in enumerate(asks) if (ask.phase, ask.rows, ask.greedy) == kind] for kind in kinds]
        parts = []
        for kind, some in zip(kinds, places, strict=True):
            with clock.phase(kind[0]), self.decoding(greedy=kind[2]):
                parts.append(self._speak([asks[i] for i in some]))
        return parts[0] if len(parts) == 1 else _merged(parts, places)

    def read(self, prompts: Sequence[list[dict[str, Any]]]) -> list[Prompt]:
        """Prompts as the model reads them, each put through the processor once."""
        with sharing.processed_once(self._trainer.processing_class):
            ids, images, made = self._trainer._tokenize_prompts(list(prompts))
        return reading.read(ids, images, made, self._trainer.model)

    def _speak(self, asks: Sequence[Ask]) -> Spoken:
        trainer = self._trainer
        owner = [index for index, ask in enumerate(asks) for _ in range(ask.rows)]
        if not trainer.shares:
            ids, images, made = trainer._tokenize_prompts([asks[index].prompt for index in owner])
            first = [owner.index(index) for index in range(len(asks))]
            prompts = None
            said, logprobs = trainer._generate_single_turn(ids, images, made, asks[0].rows)
            ids, images = [ids[row] for row in first], None if images is None else [images[row] for row in first]
        else:
            with sharing.processed_once(trainer.processing_class):
                ids, images, made = trainer._tokenize_prompts([ask.prompt for ask in asks])
            prompts = reading.read(ids, images, made, trainer.model)
            if self.together:
                made = Behind(made, [ask.rows for ask in asks], [ask.greedy for ask in asks])
            elif not trainer.use_vllm:
                made = reading.fields([prompts[index] for index in owner])
            rows = [ids[index] for index in owner], None if images is None else [images[index] for index in owner]
            said, logprobs = trainer._generate_single_turn(*rows, made, asks[0].rows)
        return Spoken(
            [list(line) for line in ids],
            images,
            _by_ask(said, asks),
            None if logprobs is None else _by_ask(logprobs, asks),
            prompts,
        )

    def grow(self, prompt_ids: Sequence[list[int]], images: Any, made: Behind) -> tuple[Any, Any]:
        """Rows that grow behind their prompts: the stock generation with another ``generate``.

        Args:
            prompt_ids: tokens of every row's prompt.
            images: pictures of every row.
            made: fields of the prompts, each once.
        """
        trainer = self._trainer
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        first = [sum(made.rows[:index]) for index in range(len(made.rows))]
        told: list[sharing.Rollouts] = []

        def generate(*, generation_config: Any, **inputs: Any) -> Tensor:
            want = sharing.wanted(generation_config, model.generation_config)
            greedy = [want.greedy or one for one in made.greedy]
            told.append(
                sharing.generate(
                    model, inputs, made.rows, max_new_tokens=want.max_new_tokens, ends=want.ends,
                    sampling=want.sampling, greedy=greedy,
                )
            )  # fmt: skip
            # The stock trainer cuts the prompt off and reads a row to its end.
            completions = [torch.tensor(ids) for ids in told[0].ids]
            padded = torch.nn.utils.rnn.pad_sequence(completions, True, float(trainer._tokenizer.pad_token_id))
            width = inputs["input_ids"].shape[1]
            return torch.nn.functional.pad(padded, (width, 0)).to(inputs["input_ids"].device)

        model.generate = generate
        try:
            unique = [prompt_ids[row] for row in first], None if images is None else [images[row] for row in first]
            ids, _ = trainer.stock_turn(*unique, dict(made), 1)
        finally:
            del model.generate
        return ids, told[0].logprobs

    @contextmanager
    def taken(self, spoken: Spoken) -> Iterator[None]:
        """Inside, the stock trainer takes this for what it has generated itself, row by row.

        The two methods are put into the instance: a subclass that overrides them has spoken already.
        """
        trainer = self._trainer
        owner = [index for index, answers in enumerate(spoken.ids) for _ in answers]
        images = None if spoken.images is None else [spoken.images[index] for index in owner]
        ids = [answer for answers in spoken.ids for answer in answers]
        logprobs = None
        if trainer.use_vllm and spoken.logprobs is not None:
            logprobs = [values for answers in spoken.logprobs for values in answers]
        doors = {
            "_tokenize_prompts": lambda prompts: ([spoken.prompt_ids[index] for index in owner], images, {}),
            "_generate_single_turn": lambda *args, **kwargs: (ids, logprobs),
        }
        own = {name: trainer.__dict__[name] for name in doors if name in trainer.__dict__}
        trainer.__dict__.update(doors)
        try:
            yield
        finally:
            for name in doors:
                del trainer.__dict__[name]
            trainer.__dict__.update(own)

    def ban_placeholders(self) -> None:
        """Keep picture placeholders from being sampled: they would be read as pictures that are not there."""
        trainer = self._trainer
        banned = placeholder_ids(trainer.model.config, trainer._tokenizer)
        if trainer.use_vllm:
            biases = dict.fromkeys(banned, -100.0)
            kwargs = trainer.vllm_generation.generation_kwargs or {}
            trainer.vllm_generation.generation_kwargs = {
                **kwargs,
                "logit_bias": {**kwargs.get("logit_bias", {}), **biases},
            }
            return
        banned = sorted({*banned, *(trainer.generation_kwargs.get("suppress_tokens") or [])})
        trainer.generation_kwargs["suppress_tokens"] = banned
        trainer.generation_config.suppress_tokens = banned

    def shown(self, picture: Image.Image) -> Image.Image:
        """A picture as the rollout backend gets it.

        vLLM processes pictures with the checkpoint's own settings. Where this trainer's processor resizes a picture,
        it is handed over in that size, which the backend then leaves as it is; otherwise both would count other tokens.
        """
        processor = self._trainer.processing_class
        if not self._trainer.use_vllm or not hasattr(getattr(processor, "image_processor", None), "merge_size"):
            return picture
        size = resized_size(processor, picture.size)
        return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)

    @contextmanager
    def decoding(self, greedy: bool) -> Iterator[None]:
        """Decode greedily inside, or as the fused rollouts do, on whichever backend generates."""
        trainer = self._trainer
        if not greedy:
            yield
            return
        if trainer.use_vllm:
            backend, before = trainer.vllm_generation, trainer.vllm_generation.temperature
            backend.temperature = 0.0
            try:
                yield
            finally:
                backend.temperature = before
            return
        config, kwargs = trainer.generation_config, trainer.generation_kwargs
        plain = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "min_p": None}
        trainer.generation_kwargs = {**kwargs, **plain}
        trainer.generation_config = copy.deepcopy(config)
        trainer.generation_config.update(**plain)
        try:
            yield
        finally:
            trainer.generation_config, trainer.generation_kwargs = config, kwargs


def _by_ask(rows: Sequence[Any], asks: Sequence[Ask]) -> list[list[Any]]:
    found, start = [], 0
    for ask in asks:
        found.append(list(rows[start : start + ask.rows]))
        start += ask.rows
    return found


def _merged(parts: Sequence[Spoken], places: Sequence[Sequence[int]]) -> Spoken:
    """Parts of what was asked, in the order of asks."""
    order = [(part, index) for part, some in enumerate(places) for index in range(len(some))]
    order = [pair for _, pair in sorted(zip([i for some in places for i in some], order, strict=True))]

    def of(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if any(value is None for value in values):
            return None
        return [values[part][index] for part, index in order]

    return Spoken(of("prompt_ids"), of("images"), of("ids"), of("logprobs"), of("prompts"))

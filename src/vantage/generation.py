"""What a vision-language model says, greedily and in batches: one way for evaluation, pipeline and page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from vantage import sharing
from vantage.errors import ConfigError
from vantage.groups import FUSED, Origin, subset
from vantage.models import placeholder_ids
from vantage.samples import MonoView, PromptStyle, Sample, view

Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A view of a sample, and the messages that show it: one conversation for each style that was asked for."""

    sample: Sample
    origin: Origin
    messages: tuple[Messages, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A completion.

    Attributes:
        text: decoded without special tokens.
        tokens: how many, end-of-sequence token included.
        finished: not cut off by the limit on its length.
    """

    text: str
    tokens: int
    finished: bool


def fused(sample: Sample) -> tuple[Origin, ...]:
    """The view of all sources together, and no other."""
    return (FUSED,)


def each(sample: Sample) -> tuple[Origin, ...]:
    """Every view whose prompt differs: all sources, then each alone where there are several."""
    return (FUSED, *(Origin("mono", name) for name in sample.sources if len(sample.sources) > 1))


MOST = 4
"""Of more sources, not every subset is asked of: there are too many."""


def every(sample: Sample) -> tuple[Origin, ...]:
    """``each``, and of three or four sources every subset of two or more, but not all."""
    names = tuple(sample.sources)
    sizes = range(2, len(names)) if len(names) <= MOST else ()
    return (*each(sample), *(subset(some) for size in sizes for some in combinations(names, size)))


def prompts(
    samples: Iterable[Sample],
    styles: Sequence[PromptStyle],
    mono: MonoView = "fill",
    origins: Callable[[Sample], Iterable[Origin]] = each,
) -> Iterator[Prompt]:
    """Every sample as every origin, each picture decoded once and dropped after its batch.

    Args:
        samples: what is asked.
        styles: how a sample becomes messages; one conversation for each.
        mono: what stands in the other picture slots when one source is shown.
        origins: of which views a sample is asked.
    """
    for sample in samples:
        seen_as = tuple(origins(sample))
        shown = dict.fromkeys(slot.source for origin in seen_as for slot in view(sample, origin, mono))
        pictures = {name: sample.picture(name) for name in shown}
        for origin in seen_as:
            yield Prompt(sample, origin, tuple(style.messages(sample, origin, mono, pictures) for style in styles))


@contextmanager
def for_inference(model: Any, processor: Any) -> Iterator[None]:
    """Evaluation mode, left padding and a random state of one's own; all as before afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    tokenizer = processor.tokenizer
    side = tokenizer.padding_side
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        try:
            model.eval()
            tokenizer.padding_side = "left"
            yield
        finally:
            tokenizer.padding_side = side
            # One by one: a frozen vision tower is often in evaluation mode inside a model that trains.
            for module, training in modes:
                module.training = training


def greedy(model: Any, processor: Any, max_new_tokens: int) -> dict[str, Any]:
    """Arguments of ``generate`` that make it greedy whatever the model's own settings say.

    Raises:
        ConfigError: a tokenizer that cannot pad.
    """
    tokenizer = processor.tokenizer
    end = model.generation_config.eos_token_id
    end = tokenizer.eos_token_id if end is None else end
    pad = tokenizer.pad_token_id
    if pad is None:
        raise ConfigError(
            f"{type(tokenizer).__name__} has no padding token, so answers of different lengths cannot share a batch; "
            "set tokenizer.pad_token"
        )
    return {
        "do_sample": False,
        "num_beams": 1,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 50,
        "repetition_penalty": 1.0,
        "max_new_tokens": max_new_tokens,
        "use_cache": True,
        "pad_token_id": pad,
        "eos_token_id": end,
        "suppress_tokens": sorted(placeholder_ids(model.config, tokenizer)) or None,
    }


def generate(
    model: Any, processor: Any, messages: Sequence[Messages], settings: Mapping[str, Any], **watchers: Any
) -> list[Said]:
    """Complete conversations in one batch; to be called within ``for_inference``.

    Args:
        model: generates; on any device.
        processor: its processor.
        messages: the conversations.
        settings: arguments of ``generate``, as ``greedy`` gives them.
        **watchers: further arguments of ``generate`` that change nothing of what is said, such as ``streamer``.
    """
    inputs = _inputs(model, processor, messages)
    output = model.generate(**inputs, **settings, **watchers)
    ends = _ends(settings)
    return [_said(processor.tokenizer, ids, ends) for ids in output[:, inputs["input_ids"].shape[1] :].tolist()]


def grow(
    model: Any,
    processor: Any,
    messages: Sequence[Messages],
    rows: Sequence[int],
    settings: Mapping[str, Any],
    choose: LogitsProcessor,
) -> list[Said]:
    """Complete conversations several times each, every prompt read once; to be called within ``for_inference``.

    Args:
        model: of a family that shares prompts.
        processor: its processor.
        messages: the conversations; those with equally many rows side by side.
        rows: completions of each.
        settings: as of ``generate``.
        choose: leaves one token of each row possible; called with the numbers of the rows that still grow, counted
            conversation after conversation, and their logits.

    Returns:
        The completions, conversation after conversation.

    Raises:
        ConfigError: the family is not known.
    """
    before = sharing.install(model)
    try:
        with sharing.processed_once(processor):
            inputs = _inputs(model, processor, messages)
        ends = _ends(settings)
        found = sharing.generate(
            model,
            inputs,
            rows,
            max_new_tokens=settings["max_new_tokens"],
            ends=[end for end in ends if end is not None],
            sampling=_Chosen(suppressed=settings["suppress_tokens"] or (), choose=choose),
        )
    finally:
        sharing.set_attention(model, before)
    return [_said(processor.tokenizer, ids, ends) for ids in found.ids]


@dataclass(frozen=True)
class _Chosen(sharing.Sampling):
    """Tokens that somebody else chooses."""

    choose: LogitsProcessor | None = None

    def warpers(self) -> LogitsProcessorList:
        return LogitsProcessorList([self.choose])


def _inputs(model: Any, processor: Any, messages: Sequence[Messages]) -> Any:
    return processor.apply_chat_template(
        list(messages),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    ).to(model.device, dtype=model.dtype)


def _ends(settings: Mapping[str, Any]) -> set[int | None]:
    end = settings["eos_token_id"]
    return set(end) if isinstance(end, (list, tuple)) else {end}


def _said(tokenizer: Any, ids: list[int], ends: set[int | None]) -> Said:
    """Cut after the first end-of-sequence token; what follows is padding."""
    stop = next((place for place, token in enumerate(ids) if token in ends), None)
    kept = ids if stop is None else ids[: stop + 1]
    return Said(tokenizer.decode(kept, skip_special_tokens=True), len(kept), finished=stop is not None)

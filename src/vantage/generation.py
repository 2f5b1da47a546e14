"""What a vision-language model says, greedily and in batches: one way for evaluation, pipeline and page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from vantage.errors import ConfigError
from vantage.groups import FUSED, Origin
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
    inputs = processor.apply_chat_template(
        list(messages),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    ).to(model.device, dtype=model.dtype)
    output = model.generate(**inputs, **settings, **watchers)
    end = settings["eos_token_id"]
    ends = set(end) if isinstance(end, (list, tuple)) else {end}
    return [_said(processor.tokenizer, ids, ends) for ids in output[:, inputs["input_ids"].shape[1] :].tolist()]


def _said(tokenizer: Any, ids: list[int], ends: set[int | None]) -> Said:
    """Cut after the first end-of-sequence token; what follows is padding."""
    stop = next((place for place, token in enumerate(ids) if token in ends), None)
    kept = ids if stop is None else ids[: stop + 1]
    return Said(tokenizer.decode(kept, skip_special_tokens=True), len(kept), finished=stop is not None)

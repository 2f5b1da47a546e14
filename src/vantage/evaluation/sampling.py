"""Answer every question several times by chance, such that neither batches nor processes change what is said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from vantage.errors import ConfigError
from vantage.evaluation.asking import Local, Row, Wanted, answered, checked, name_of
from vantage.evaluation.passk import SampledEvaluation, summary
from vantage.generation import fused, prompts
from vantage.samples import PromptStyle, Sample


def sample_many(
    model: Any,
    processor: Any,
    samples: Iterable[Sample],
    k: int,
    *,
    style: PromptStyle,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    max_new_tokens: int = 512,
    batch_size: int = 64,
    model_name: str = "",
    data_name: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[SampledEvaluation, list[Row]]:
    """Answer every sample k times from all its sources, and count.

    What is drawn for an answer depends on the seed, the sample's id and the answer's number alone: two models, or one
    model at two moments, are compared by the same chance, the first answers of more are those of fewer, and batches
    change nothing beyond rounding. As with ``evaluate``, the model, the tokenizer and torch's random state are
    afterwards what they were. A prompt is read once for its answers of a batch, wherever that is exact.

    Args:
        model: generates; on any device.
        processor: its processor, with a chat template and a ``tokenizer``.
        samples: with unique ids; ``metadata["task"]``, where a sample has it, names its kind of question.
        k: answers to each.
        style: how a sample becomes messages.
        temperature: of the draws, above 0.
        top_p: probability of the likeliest tokens that are kept; 1 keeps all.
        top_k: how many of the likeliest tokens are kept; 0 keeps all.
        seed: of the draws.
        max_new_tokens: the most tokens an answer can have.
        batch_size: answers generated at once.
        model_name: how the result calls the model; where it was loaded from unless given.
        data_name: how the result calls the data.
        progress: called after each batch with the number of answers so far and in all.

    Returns:
        The figures, and the rows that they count: those of ``evaluate``, with ``draw``, the answer's number from 0.

    Raises:
        ConfigError: a number out of its range, or a tokenizer that cannot pad.
        DataError: no samples, or two with one id.
        PictureError: a sample's picture cannot be read.
    """
    if min(k, batch_size, max_new_tokens) < 1 or top_k < 0:
        given = f"k {k}, batch_size {batch_size}, max_new_tokens {max_new_tokens}, top_k {top_k}"
        raise ConfigError(f"k, batch_size and max_new_tokens are at least 1 and top_k at least 0; got {given}")
    samples = checked(samples)
    started = time.perf_counter()
    rows: list[Row] = []
    asked = prompts(samples, [style], origins=fused)
    wanted = (Wanted(prompt, prompt.sample, draw) for prompt in asked for draw in range(k))
    way: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "seed": seed}
    with Local(model, processor, max_new_tokens=max_new_tokens, **way) as speaker:
        for batch in answered(speaker, wanted, batch_size):
            rows += [{key: value for key, value in row.items() if key != "damage"} for _, row in batch]
            if progress is not None:
                progress(len(rows), len(samples) * k)
    about = {
        "model": model_name or name_of(model),
        "data": data_name,
        "settings": {
            "decoding": "sampled",
            **way,
            "max_new_tokens": max_new_tokens,
            "system": style.system,
            "label_sources": style.label_sources,
            "instruction": style.instruction,
        },
    }
    return summary(rows, seconds=time.perf_counter() - started, **about), rows

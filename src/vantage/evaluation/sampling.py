"""Answer every question several times by chance, such that neither batches nor processes change what is said."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from transformers import TopKLogitsWarper

from vantage.endpoints.decoding import SeededSampling
from vantage.errors import ConfigError
from vantage.evaluation.evaluate import Row, checked, name_of, rows_of
from vantage.evaluation.passk import SampledEvaluation, summary
from vantage.generation import for_inference, fused, generate, greedy, prompts
from vantage.rewards import call_many
from vantage.samples import PromptStyle, Sample


class Draw(SeededSampling):
    """Draws each token of each conversation from random numbers of its own, whatever stands beside it in the batch.

    Args:
        names: one for each conversation of the batch; equal names draw equal numbers.
        temperature: above 0.
        top_p: the least set of the likeliest tokens that has this probability; 1 keeps all.
        top_k: so many of the likeliest tokens, before ``top_p`` is looked at; 0 keeps all.
    """

    def __init__(self, names: Sequence[str], temperature: float, top_p: float, top_k: int) -> None:
        digests = (hashlib.sha256(name.encode()).digest() for name in names)
        super().__init__(
            [int.from_bytes(digest[:16], "little") for digest in digests], float(temperature), float(top_p)
        )
        if top_k:
            self._warpers.insert(1, TopKLogitsWarper(top_k))


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
    afterwards what they were.

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
    if not temperature > 0 or not 0 < top_p <= 1:
        raise ConfigError(f"temperature is above 0 and top_p above 0, at most 1; got {temperature} and {top_p}")
    samples = checked(samples)
    started = time.perf_counter()
    rows: list[Row] = []
    wanted = ((prompt, draw) for prompt in prompts(samples, [style], origins=fused) for draw in range(k))
    with for_inference(model, processor):
        settings = greedy(model, processor, max_new_tokens)
        while batch := list(islice(wanted, batch_size)):
            names = [f"{seed}/{draw}/{prompt.sample.id!a}" for prompt, draw in batch]
            settings["logits_processor"] = [Draw(names, temperature, top_p, top_k)]
            answers = generate(model, processor, [prompt.messages[0] for prompt, _ in batch], settings)
            asked = [prompt.sample for prompt, _ in batch]
            scores = call_many([sample.reward for sample in asked], [answer.text for answer in answers], asked)
            for (prompt, draw), answer, score in zip(batch, answers, scores, strict=True):
                rows.append(rows_of(prompt.sample, prompt.origin, score, answer)[0] | {"draw": draw})
            if progress is not None:
                progress(len(rows), len(samples) * k)
    about = {
        "model": model_name or name_of(model),
        "data": data_name,
        "settings": {
            "decoding": "sampled",
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "seed": seed,
            "max_new_tokens": max_new_tokens,
            "system": style.system,
            "label_sources": style.label_sources,
            "instruction": style.instruction,
        },
    }
    return summary(rows, seconds=time.perf_counter() - started, **about), rows

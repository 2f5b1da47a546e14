"""Evaluate any Hugging Face vision-language model from all sources together and from each alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from vantage.errors import ConfigError
from vantage.evaluation.asking import Local, Row, Wanted, answered, both_views, checked, name_of
from vantage.evaluation.results import Evaluation, Figures, figures
from vantage.files import write_lines
from vantage.generation import each, prompts
from vantage.samples import MonoView, PromptStyle, Sample


def evaluate(
    model: Any,
    processor: Any,
    samples: Iterable[Sample],
    *,
    style: PromptStyle,
    mono: MonoView = "fill",
    max_new_tokens: int = 512,
    batch_size: int = 64,
    model_name: str = "",
    data_name: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Evaluation, list[Row]]:
    """Answer every sample greedily from all its sources and from each alone, and count.

    Samples may differ in their sources. The most likely token is taken at each step, whatever sampling the model's own
    generation settings ask for, and picture placeholders are never generated. A sample of one source is answered once,
    since both views are the same prompt. The model's training mode, the tokenizer's padding side and torch's random
    state are afterwards what they were.

    Args:
        model: generates; on any device.
        processor: its processor, with a chat template and a ``tokenizer``.
        samples: with unique ids; ``metadata["task"]``, where a sample has it, names its kind of question.
        style: how a sample becomes messages.
        mono: what stands in the other picture slots when one source is shown; see ``vantage.samples.view``.
        max_new_tokens: the most tokens an answer can have.
        batch_size: prompts generated at once, counting each view as one.
        model_name: how the result calls the model; where it was loaded from unless given.
        data_name: how the result calls the data.
        progress: called after each batch with the number of prompts answered so far and in all.

    Returns:
        The figures, and the rows that they count: each sample in order, its fused view first.

    Raises:
        ConfigError: a batch or a limit below 1, or a tokenizer that cannot pad.
        DataError: no samples, or two with one id.
        PictureError: a sample's picture cannot be read.
    """
    if batch_size < 1 or max_new_tokens < 1:
        raise ConfigError(f"batch_size and max_new_tokens are at least 1, not {batch_size} and {max_new_tokens}")
    samples = checked(samples)
    total = sum(len(each(sample)) for sample in samples)
    started = time.perf_counter()
    done = 0
    rows: list[Row] = []
    wanted = (Wanted(prompt, prompt.sample) for prompt in prompts(samples, [style], mono))
    with Local(model, processor, max_new_tokens=max_new_tokens) as speaker:
        for batch in answered(speaker, wanted, batch_size):
            for asked, row in batch:
                plain = {key: value for key, value in row.items() if key not in ("draw", "damage")}
                rows += both_views(plain, tuple(asked.sample.sources))
            done += len(batch)
            if progress is not None:
                progress(done, total)
    evaluation = Evaluation(
        **dict(figures(rows)),
        model=model_name or name_of(model),
        data=data_name,
        tasks=by_task(rows),
        seconds=time.perf_counter() - started,
        settings={
            "decoding": "greedy",
            "max_new_tokens": max_new_tokens,
            "mono": mono,
            "system": style.system,
            "label_sources": style.label_sources,
            "instruction": style.instruction,
        },
    )
    return evaluation, rows


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, the whole file or nothing.

    Half of a surrogate pair, which no file can hold, is written as its JSON escape.
    """
    write_lines(path, (json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") for row in rows))


def by_task(rows: Iterable[Row]) -> dict[str, Figures]:
    """The figures of each kind of question that the rows name."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row["task"], []).append(row)
    return {task: figures(of_kind) for task, of_kind in kinds.items() if task}

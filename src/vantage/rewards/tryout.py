"""What a reward is tried on: rows, ordinary completions, and texts on which verifiers crash or hang."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vantage.errors import DataError
from vantage.rewards.base import Reward
from vantage.rewards.rows import TRUTHS, completion_text, plain, readable, sample_of
from vantage.samples import Sample

Columns = dict[str, Any]
"""Of one row: name of a column to its value."""

_TRUTHS: tuple[Any, ...] = (
    "3",
    [[8, 8, 40, 40]],
    [8, 8, 40, 40],
    "change_color(cube, red)",
    {"answer": "3", "boxes": [[8, 8, 40, 40]]},
)
"""Truths of the built-in row; the first that the verifier reads is taken."""

_MEGABYTE = 1_000_000


def columns_of(verifier: Reward | None, rows: Sequence[Mapping[str, Any] | Sample] | None) -> list[Columns]:
    """The columns of each row as a trainer would hand them over, ``completion`` among them where the row has one.

    Raises:
        DataError: no rows, or one that the verifier cannot read.
    """
    if rows is None:
        return [_built_in(verifier)]
    if not rows:
        raise DataError("no rows to try the reward on; leave rows out for a built-in one")
    found = []
    for i, row in enumerate(rows):
        if isinstance(row, Sample):
            columns = {key: getattr(row, key) for key in ("id", "question", "truth", "metadata")} | {"sample": row}
        else:
            columns = {key: plain(value) for key, value in row.items() if key not in ("prompt", "completion_ids")}
        if verifier is not None and "sample" not in columns:
            columns["sample"] = readable(verifier, sample_of(row, f"rows[{i}]"))  # type: ignore[arg-type]
        found.append(columns)
    # As in a table, a column that one row has is there for all.
    keys = {key: None for columns in found for key in columns}
    return [{**keys, **columns} for columns in found]


def _built_in(verifier: Reward | None) -> Columns:
    common = {"id": "check", "question": "How many people are there?", "image_size": [64, 48], "metadata": {}}
    for truth in _TRUTHS:
        row = {**common, "answer": truth}
        sample = sample_of(row, "check")
        try:
            sample = sample if verifier is None else readable(verifier, sample)
        except DataError:
            continue
        return {**common, **dict.fromkeys(TRUTHS, sample.truth), "sample": sample}
    raise DataError("the built-in row is none that this reward can read; give rows of your own")


def ordinary(row: Columns) -> list[str]:
    """Completions of a row: its own, a right one and a wrong one laid out with tags, one in a box, and bare ones."""
    truth = next((row[key] for key in TRUTHS if row.get(key) is not None), getattr(row.get("sample"), "truth", ""))
    text = truth if isinstance(truth, str) else json.dumps(truth, default=str)
    shown = text if not isinstance(truth, (list, dict)) else f"```json\n{text}\n```"
    own = [completion_text(row["completion"])] if row.get("completion") is not None else []
    return [
        *own,
        f"<think>I look at the picture.</think>\n<answer>{shown}</answer>",
        "<think>I look at the picture.</think>\n<answer>none of it</answer>",
        f"So it is \\boxed{{{text}}}.",
        text,
        "I cannot tell.",
    ]


def cheap(row: Columns) -> list[str]:
    """Completions that say nothing: empty, blank, and laid out around nothing or a single letter of a right text."""
    truth = next((row[key] for key in TRUTHS if row.get(key) is not None), getattr(row.get("sample"), "truth", ""))
    answers = ["", " "] + ([truth[0]] if isinstance(truth, str) and len(truth) > 2 and truth[1:].isalpha() else [])
    return ["", " ", *(f"<think>I look at the picture.</think>\n<answer>{answer}</answer>" for answer in answers)]


def hostile() -> Iterator[tuple[str, str]]:
    """Name and text of each, the harmless first; some are a megabyte long."""
    yield "empty", ""
    yield "blank", " \n\t "
    yield "NUL", "\0<answer>\0</answer>"
    yield "lone surrogates", "\ud800 <answer>\udfff</answer>"
    yield "right-to-left marks", "\u202e<answer>\u200f3\u200e</answer>\u202c"
    yield "digits of other scripts", "<answer>\u0663\u00b2\u2460</answer>"
    yield "tags that never close", "<think><answer>" * 20_000
    yield "tags that never opened", "</think></answer>" * 20_000
    yield "tags inside tags", "<answer>" * 10_000 + "3" + "</answer>" * 10_000
    yield "a hundred thousand brackets", "[" * 100_000
    yield "a hundred thousand pairs of braces", "\\boxed{" * 100_000 + "}" * 100_000
    yield "numbers that are none", "<answer>[NaN, Infinity, -Infinity, 1e999]</answer>"
    yield "a million digits", "\\boxed{" + "9" * _MEGABYTE + "}"
    yield "a tower of powers", "\\boxed{9^{9^{9^{9^{9^{9}}}}}}"
    yield "a tower of powers in Python", "<answer>9**9**9**9**9</answer>"
    yield "boxes beyond number", json.dumps([{"bbox_2d": [1e308, -1e308, 1e308, 1e308]}] * 1000)
    yield "one letter, a megabyte of it", "a" * _MEGABYTE + "!"
    yield "a megabyte of blanks", " " * _MEGABYTE + "x"
    yield "a megabyte of numbers", "1 2 3 4 " * (_MEGABYTE // 8)

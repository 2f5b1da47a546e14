"""``mathvision:PATH``: MATH-Vision, problems of mathematical competitions about a picture.

Wang et al., "Measuring Multimodal Mathematical Reasoning with MATH-Vision Dataset", NeurIPS 2024 (arXiv 2402.14804).
Published at <https://github.com/mathllm/MATH-V>, with ``data/<split>.jsonl`` beside ``images/``, and on the hub as
``MathLLMs/MathVision``, with ``data/<split>-*.parquet`` that hold the pictures as ``decoded_image``. PATH is either
folder or one file. Splits: ``testmini`` (default) and ``test``; there is no training split.

A row has one picture, the source ``diagram``, although its text may mark several, which are drawn into that one: marks
that a sentence needs are read as ``picture 2``. ``tasks`` keeps subjects, such as ``counting`` or ``solid geometry``.

Where a row has options, they are listed, the truth is the letter and the reward ``answer``, which also takes the
option's text; else the truth is the answer and the reward ``math``. Deviation: the public evaluation also takes an
option's value in another notation, and rounds numbers to two decimals.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vantage.datasets import exams, marks
from vantage.datasets.reading import RawRow, field, need_path, text_field
from vantage.datasets.spec import DataSpec
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

SPLITS = ("testmini", "test")


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every row of the split, of the subjects that are asked for."""
    path = need_path(spec, "mathvision:MATH-V?split=testmini")
    found = exams.split_rows(path, exams.split_of(spec, SPLITS))
    yield from exams.of_tasks(found, spec, lambda row: [row.get("subject")])


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row."""
    identity = f"mathvision/{exams.split_of(spec, SPLITS)}/{text_field(row, 'id', where)}"
    question = marks.unmark(text_field(row, "question", where))
    truth: str | list[str] = text_field(row, "answer", where)
    options = exams.choices(row.get("options"), where, "options")
    if options:
        question, truth = exams.multiple_choice(question, options, exams.right_letter(options, str(truth), where))
    return Sample(
        id=identity,
        question=question,
        sources={"diagram": exams.picture(row.get("decoded_image") or row.get("image"), spec, where, identity)},
        truth=truth,
        reward=spec.reward or ("answer" if options else "math"),
        metadata={
            "level": field(row, "level", int, where),
            "subject": text_field(row, "subject", where),
            **({"options": options} if options else {}),
        },
    )

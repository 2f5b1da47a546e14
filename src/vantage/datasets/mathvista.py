"""``mathvista:PATH``: MathVista, questions of 31 data sets that need mathematics and a look at a picture.

Lu et al., "MathVista: Evaluating Mathematical Reasoning of Foundation Models in Visual Contexts", ICLR 2024 (arXiv
2310.02255). Published on the hub as ``AI4Math/MathVista``, with ``data/<split>-*.parquet`` that hold the pictures as
``decoded_image``, and at <https://github.com/lupantech/MathVista>, with ``data/testmini.json``, an object of rows by
``pid``, and ``data/images/`` to be unpacked beside it. PATH is either folder or one file. Splits: ``testmini``
(default) and ``test``, whose answers are not public, so that its rows are errors. The source is ``picture``.

``tasks`` keeps rows by ``task``, ``source``, ``category`` or ``context`` of their metadata, such as
``geometry problem solving`` or ``CLEVR-Math``.

Where a row has choices, they are listed, the truth is the letter and the reward ``answer``, which also takes the
choice's text. Else the question is followed by what is wanted, in the row's unit: a whole number, a number of as many
decimals as its ``precision`` says, or a list; the truth is the row's answer and the reward ``math``. Deviation: the
public evaluation asks a language model for the answer in a response, takes the choice that is nearest in spelling and
cuts 5.7 to 5 for a whole number, and rounds a number to the row's ``precision``; here an answer is right or not, and
the rounding that the question asks for is the model's to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vantage.datasets import exams, marks
from vantage.datasets.reading import RawRow, field, need_path, read_json, read_rows, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import DataError
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

SPLITS = ("testmini", "test")
_KINDS = ("task", "source", "category", "context")


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every row of the split, of the kinds that are asked for."""
    path = need_path(spec, "mathvista:MathVista?split=testmini")
    yield from exams.of_tasks(exams.split_rows(path, exams.split_of(spec, SPLITS), _read), spec, _kinds)


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row."""
    identity = f"mathvista/{exams.split_of(spec, SPLITS)}/{text_field(row, 'pid', where)}"
    question = marks.unmark(text_field(row, "question", where))
    if not row.get("answer"):
        raise DataError(f"{where}: no answer; those of the split test are not public, so use split=testmini")
    truth: str | list[str] = text_field(row, "answer", where)
    options = exams.choices(row.get("choices"), where, "choices")
    if options:
        question, truth = exams.multiple_choice(question, options, exams.letter_of(options, str(truth), where))
    else:
        question = f"{question}\n{_wanted(row, where)}"
    about = field(row, "metadata", dict, where, {})
    return Sample(
        id=identity,
        question=question,
        sources={"picture": exams.picture(row.get("decoded_image") or row.get("image"), spec, where, identity)},
        truth=truth,
        reward=spec.reward or ("answer" if options else "math"),
        metadata={
            "question_type": text_field(row, "question_type", where),
            "answer_type": text_field(row, "answer_type", where),
            **{key: about[key] for key in ("language", "grade", "skills", *_KINDS) if about.get(key) is not None},
            **({"choices": options} if options else {}),
        },
    )


def _read(file: Path) -> Iterable[RawRow]:
    if file.suffix == ".json":
        value = read_json(file)
        if isinstance(value, dict) and value:
            return [
                (f"{file}, row {pid}", {"pid": pid, **row} if isinstance(row, dict) else row)
                for pid, row in value.items()
            ]
    return read_rows(file)


def _kinds(row: Any) -> list[Any]:
    about = row.get("metadata")
    return [about.get(kind) for kind in _KINDS] if isinstance(about, dict) else []


def _wanted(row: Any, where: str) -> str:
    """How the answer of a question without choices is to be written."""
    kind = text_field(row, "answer_type", where)
    if kind == "integer":
        wanted = "Answer with a whole number"
    elif kind == "float":
        decimals = row.get("precision")
        if decimals is not None and (not isinstance(decimals, (int, float)) or decimals not in range(20)):
            raise DataError(f"{where}: key 'precision' is a number of decimals, not {short(decimals)}")
        places = f", rounded to {decimals:.0f} decimal place{'s' if decimals != 1 else ''}" if decimals else ""
        wanted = f"Answer with a number{places}"
    elif kind == "list":
        wanted = "Answer with a list such as [1, 2, 3]"
    else:
        wanted = "Answer with a short text"
    unit = row.get("unit")
    return f"{wanted}, in {unit}, without the unit." if isinstance(unit, str) and unit.strip() else f"{wanted}."

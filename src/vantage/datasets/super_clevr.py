"""``super-clevr:FOLDER``: Super-CLEVR, questions about drawn scenes of vehicles.

Li et al., "Super-CLEVR: A Virtual Benchmark to Diagnose Domain Robustness in Visual Reasoning", CVPR 2023 (arXiv
2212.00259), from its repository or the hub (``RyanWW/Super-CLEVR``). Read are

- ``superCLEVR_questions*.json``: ``{"questions": [{"question", "answer", "image_filename", "image_index",
  "template_filename", ...}]}`` with ``images/<image_filename>`` beside it. Where a folder has several question files,
  name one as the path;
- files of counting questions as R1-V has them for evaluation: JSON lines, or Parquet with the pictures inside, of
  ``question``, ``ground_truth`` and ``image_path`` or ``image``.

Pictures are looked for below ``root`` (the file's folder unless given): in ``images/``, ``images/images/``, and as
named. Source: ``image``. The truth is what the answer is: a whole number (reward ``count``), yes or no, or a word
(reward ``answer``; *true* and *false* pass for them). Splits, by the number of the picture as the authors have them:
``train`` below 20,000, ``val`` below 25,000, ``test`` from there on; a picture without a number is of every split.
``tasks`` keeps kinds of answer: ``count``, ``yes-no``, ``attribute``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from vantage.datasets.places import embedded, find, known, parquet_files, question_file, root_of, row_id
from vantage.datasets.reading import RawRow, need_path, read_rows, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

SPLITS = {"train": range(20_000), "val": range(20_000, 25_000), "test": range(25_000, 10**9)}
"""Numbers of the pictures of a split."""

TASKS = ("count", "yes-no", "attribute")

_NUMBER = re.compile(r"_(\d{6,9})\.\w{3,4}", re.ASCII)
_PICTURE = ("image_filename", "image_path", "image_id")
_YES_NO = {True: "yes or true", False: "no or false"}


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every row of the split whose answer is of a kind asked for.

    Raises:
        ConfigError: no path, or a split or kind of answer that does not exist.
        DataError: no question file, or no such row in it.
    """
    path = need_path(spec, "super-clevr:/data/super_clevr?split=test&tasks=count")
    known(spec.name, "split", [spec.split], SPLITS)
    kept = known(spec.name, "tasks", spec.tasks, TASKS)
    files = parquet_files(path, ["*.parquet", "data/*.parquet"])
    if not files:
        files = [question_file(path, ["superCLEVR_questions*.json", "*.jsonl"], "questions")]
    elsewhere: set[str] = set()
    found = False
    for file in files:
        for where, row in read_rows(file, key="questions"):
            split, task = _split(row), _task(row)
            if split in (None, spec.split) and task in (None, *kept):
                found = True
                yield where, row
            else:
                elsewhere.add(f"{split or 'unknown'} ({task or 'unknown'})")
    if not found:
        there = ", ".join(sorted(elsewhere))
        raise DataError(f"{files[0]}: no rows of split {spec.split!r} about {', '.join(kept)}; there are {there}")


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row."""
    question = text_field(row, "question", where)
    answer, task = _answer(row), _task(row)
    if task is None:
        key = "ground_truth" if "ground_truth" in row else "answer"
        if key not in row:
            raise DataError(f"{where}: key 'answer' is missing; the row has {', '.join(map(str, row))}")
        raise DataError(f"{where}: key {key!r} is a whole number from 0, true, false or a word, not {short(answer)}")
    if isinstance(row.get("image"), dict):
        source = embedded(row, "image", where)
    else:
        key = next((key for key in _PICTURE[:2] if key in row), _PICTURE[0])
        name = text_field(row, key, where)
        source = Source(find(root_of(spec), (f"images/{name}", f"images/images/{name}", name), where))
    kind = row.get("template_filename")
    return Sample(
        id=f"super-clevr/{spec.split}/{row_id(where)}",
        question=question,
        sources={"image": source},
        truth=_YES_NO[answer] if isinstance(answer, bool) else answer,
        reward=spec.reward or ("count" if task == "count" else "answer"),
        metadata={"kind": task} | ({"template": kind.removesuffix(".json")} if isinstance(kind, str) else {}),
    )


def _answer(row: Any) -> Any:
    answer = row.get("answer", row.get("ground_truth"))
    if isinstance(answer, str):
        word = answer.strip()
        if word.lower() in ("true", "false"):
            return word.lower() == "true"
        # A table keeps one type in a column, so that numbers arrive as text.
        return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else word
    return answer


def _task(row: Any) -> str | None:
    """The kind of a row's answer; ``None`` where it cannot be told, which ``sample`` reports."""
    answer = _answer(row) if isinstance(row, dict) else None
    if isinstance(answer, bool):
        return "yes-no"
    if isinstance(answer, int) and answer >= 0:
        return "count"
    return "attribute" if isinstance(answer, str) and answer else None


def _split(row: Any) -> str | None:
    """The split of a row's picture; ``None`` where it has no number."""
    if not isinstance(row, dict):
        return None
    index = row.get("image_index")
    if isinstance(index, bool) or not isinstance(index, int):
        name = next((row[key] for key in _PICTURE if isinstance(row.get(key), str)), "")
        found = _NUMBER.search(name)
        index = int(found[1]) if found else -1
    return next((split for split, numbers in SPLITS.items() if index in numbers), None)

"""``geometry3k:PATH``: Geometry3K, problems of school geometry with a diagram.

Lu et al., "Inter-GPS: Interpretable Geometry Problem Solving with Formal Language and Symbolic Reasoning", ACL 2021
(arXiv 2105.04165). PATH is one of

- the folder of its authors (<https://github.com/lupantech/InterGPS>, ``data/geometry3k`` when unpacked):
  ``<split>/<id>/data.json`` beside ``img_diagram.png``; or ``<id>/data.json``, which names its split;
- the hub's ``hiyouga/geometry3k``: a folder with ``data/<split>-*.parquet``, or one such file, of ``images``,
  ``problem`` and ``answer``.

Splits: ``train`` (default), ``val`` (the hub's ``validation``) and ``test``. The source is ``diagram``.

``tasks`` says how it is asked: ``free`` (default), where the truth is the answer itself and the reward ``math``, as is
usual in training; or ``choice``, where the four choices are listed, the truth is the letter and the reward ``answer``,
as the paper evaluates it. The hub's first versions have no choices.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vantage.datasets import exams, marks
from vantage.datasets.reading import RawRow, field, need_path, read_json, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

SPLITS = ("train", "val", "validation", "test")
TASKS = ("free", "choice")
REWARDS = {"free": "math", "choice": "answer"}


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every problem of the split; folders in the order of their numbers.

    Raises:
        ConfigError: not exactly one way to ask, or no problem of that split.
    """
    path = need_path(spec, "geometry3k:data/geometry3k?split=train")
    _task(spec)
    split = _split(spec)
    folder = path / split if (path / split).is_dir() else path
    files = sorted(folder.glob("*/data.json"), key=lambda file: (len(file.parent.name), file.parent.name))
    if files:
        yield from _folders(files, split if folder == path else "", path)
        return
    found = exams.split_rows(path, "validation" if split == "val" else split)
    for number, (where, row) in enumerate(found):
        # The hub's first versions number no problem.
        yield where, {"id": number, **row} if isinstance(row, dict) else row


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one problem, a folder's or a Parquet row."""
    identity = f"geometry3k/{_split(spec)}/{field(row, 'id', int, where)}"
    options = exams.choices(row.get("compact_choices") or row.get("choices"), where, "choices")
    if "images" in row:
        question = marks.unmark(text_field(row, "problem", where))
        answer = text_field(row, "answer", where)
        sources = exams.pictures(row["images"], spec, where, "diagram")
    else:
        question = text_field(row, "annotat_text", where)
        letter = exams.right_letter(options, text_field(row, "answer", where), where)
        answer = options[ord(letter) - ord("A")]
        picture = Path(where).parent / "img_diagram.png"
        if not picture.is_file():
            raise DataError(f"{where}: no picture {picture}")
        sources = {"diagram": Source(picture)}
    truth: str | list[str] = answer
    task = _task(spec)
    if task == "choice":
        if not options:
            raise DataError(f"{where}: this problem has no choices; ask for the answer with tasks=free")
        question, truth = exams.multiple_choice(question, options, exams.letter_of(options, answer, where))
    kept = ("problem_type_graph", "problem_type_goal", "source")
    return Sample(
        id=identity,
        question=question,
        sources=sources,
        truth=truth,
        reward=spec.reward or REWARDS[task],
        metadata={
            **{key: row[key] for key in kept if row.get(key) is not None},
            **({"choices": options} if options else {}),
        },
    )


def _task(spec: DataSpec) -> str:
    tasks = spec.tasks or TASKS[:1]
    if len(tasks) != 1 or tasks[0] not in TASKS:
        raise ConfigError(f"data set 'geometry3k' is asked in one way, tasks={' or '.join(TASKS)}, not {short(tasks)}")
    return tasks[0]


def _split(spec: DataSpec) -> str:
    split = exams.split_of(spec, SPLITS)
    return "val" if split == "validation" else split


def _folders(files: list[Path], split: str, path: Path) -> Iterator[RawRow]:
    """Every problem of a folder, of the split alone where one is named."""
    others: set[str] = set()
    found = False
    for file in files:
        try:
            row = read_json(file)
        except DataError as error:
            found = True
            yield str(file), error
            continue
        own = row.get("data_type") if isinstance(row, dict) and split else None
        if own is None or own == split:
            found = True
            yield str(file), row
        else:
            others.add(str(own))
    if not found:
        raise ConfigError(f"{path}: no problem of split {split!r}; there are {', '.join(sorted(others))}")

"""``mathverse:PATH``: MathVerse, problems of which each is told in several versions, by text or by the diagram.

Zhang et al., "MathVerse: Does Your Multi-modal LLM Truly See the Diagrams in Visual Math Problems?", ECCV 2024 (arXiv
2403.14624). Published on the hub as ``AI4Math/MathVerse``, with ``testmini.parquet`` that holds the pictures, or with
``testmini.json`` beside what ``images.zip`` unpacks to, as at <https://github.com/ZrrSkywalker/MathVerse>. PATH is a
folder with either or one file. The one split is ``testmini``. The source is ``diagram``.

``tasks`` keeps versions: ``text-dominant``, ``text-lite``, ``vision-intensive``, ``vision-dominant``, ``vision-only``.
The question of ``vision-only`` is written in its picture. The version ``Text Only`` shows nothing and makes no sample.

Questions list their choices themselves. The truth is the row's answer; the reward is ``answer`` for a letter, which
also takes the choice's text, and ``math`` for what is free. Deviation: the public evaluation asks a language model
whether answer and truth agree, which also takes other units.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vantage.datasets import exams, marks
from vantage.datasets.reading import RawRow, field, need_path, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

SPLITS = ("testmini",)
VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")
REWARDS = {"multi-choice": "answer", "free-form": "math"}

READ_IT = "The question is written in the picture. Answer it"
"""Asked of the version whose question is in the picture."""


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every row of the versions that are asked for.

    Raises:
        ConfigError: a version that does not exist, or that has no picture.
    """
    path = need_path(spec, "mathverse:MathVerse?tasks=vision-only")
    known = {exams.plain(version) for version in VERSIONS}
    for task in spec.tasks or ():
        if exams.plain(task) not in known:
            raise ConfigError(
                f"data set 'mathverse' has no version {task!r} with pictures; it has {', '.join(VERSIONS)}"
            )
    found = exams.split_rows(path, exams.split_of(spec, SPLITS))
    yield from exams.of_tasks(found, spec, lambda row: [row.get("problem_version")])


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row."""
    identity = f"mathverse/testmini/{text_field(row, 'sample_index', where)}"
    version, kind = text_field(row, "problem_version", where), text_field(row, "question_type", where)
    if kind not in REWARDS:
        raise DataError(f"{where}: key 'question_type' is {' or '.join(REWARDS)}, not {short(kind)}")
    if not row.get("image"):
        raise DataError(
            f"{where}: a row of version {short(version)} has no picture; keep others, as tasks=vision-only does"
        )
    question = marks.unmark(field(row, "question", str, where))
    if not question:
        if exams.plain(version) != "vision only":
            raise DataError(f"{where}: key 'question' is blank")
        question = f"{READ_IT} with the letter of the right choice." if kind == "multi-choice" else f"{READ_IT}."
    about = field(row, "metadata", dict, where, {})
    return Sample(
        id=identity,
        question=question,
        sources={"diagram": exams.picture(row["image"], spec, where, identity)},
        truth=text_field(row, "answer", where),
        reward=spec.reward or REWARDS[kind],
        metadata={
            "problem_index": text_field(row, "problem_index", where),
            "problem_version": version,
            "question_type": kind,
            **{key: about[key] for key in ("source", "subject", "subfield") if about.get(key) is not None},
        },
    )

"""``virl39k:PATH``: ViRL39K, 39 thousand questions with verifiable answers, for training by reinforcement.

Wang et al., "VL-Rethinker: Incentivizing Self-Reflection of Vision-Language Models with Reinforcement Learning", 2025
(arXiv 2504.08837). Published on the hub as ``TIGER-Lab/ViRL39K``: ``39Krelease.parquet`` beside ``images/``, unpacked
from ``images.zip``. PATH is that folder, or the file. The one split is ``train``. Sources are ``picture``, or
``picture_1``, ``picture_2`` and so on. The truth is what the answer's last box holds, the reward ``math``;
``reward=racro-boxed`` for RACRO.

The rows whose source is ``DeepScaleR`` are text alone and show nothing, so they are left out, as RACRO (arXiv
2506.04559) does; how many is logged as a warning. ``tasks`` chooses otherwise: ``all`` keeps every row, and one without
a picture is an error; any other name keeps the rows of that category or source, such as ``(GradeSchool) Geometric``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vantage.datasets import exams, marks, places
from vantage.datasets.reading import RawRow, need_path, read_rows, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.rewards import extract
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

FILE = "39Krelease.parquet"
TEXT_ONLY = "DeepScaleR"
"""The source whose rows have no picture; left out unless ``tasks`` says otherwise."""
_RATES = ("PassRate_32BTrained", "PassRate_7BBase")


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every row that ``tasks`` keeps; without it those of ``DeepScaleR`` are left out and counted.

    Raises:
        ConfigError: another split than ``train``, or a folder without the file.
    """
    path = need_path(spec, f"virl39k:ViRL39K/{FILE}")
    if spec.split != "train":
        raise ConfigError(f"data set 'virl39k' has no split {spec.split!r}; it has train")
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"{path}: no {FILE} in this folder")
    if spec.tasks == ("all",):
        yield from read_rows(file)
    elif spec.tasks is not None:
        yield from exams.of_tasks(read_rows(file), spec, lambda row: [row.get("category"), row.get("source")])
    else:
        what = f"rows of source {TEXT_ONLY}, which have no picture; tasks=all keeps them"
        yield from places.without(read_rows(file), _text_only, file, what)


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row."""
    answer = text_field(row, "answer", where)
    if not row.get("image"):
        raise DataError(
            f"{where}: a row of source {short(row.get('source'))} has no picture; leave such out with tasks=..."
        )
    rates = {key: row[key] for key in _RATES if isinstance(row.get(key), (int, float)) and 0 <= row[key] <= 1}
    return Sample(
        id=f"virl39k/train/{text_field(row, 'qid', where)}",
        question=marks.unmark(text_field(row, "question", where)),
        sources=exams.pictures(row["image"], spec, where, "picture"),
        truth=extract.boxed(answer) or answer,
        reward=spec.reward or "math",
        metadata={
            "category": text_field(row, "category", where),
            "source": text_field(row, "source", where),
            **rates,
        },
    )


def _text_only(row: Any) -> bool:
    return isinstance(row, dict) and row.get("source") == TEXT_ONLY

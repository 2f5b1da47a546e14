"""``jsonl:rows.jsonl``: rows of one's own, one JSON object per line.

    {"id": "n1", "question": "How many people?", "sources": {"rgb": "n1.jpg", "depth": "n1_depth.png"},
     "truth": "3", "reward": "answer", "metadata": {"scene": "street"}}

Paths are relative to the file's folder, or to ``root``, and may not leave it. A source is a path, or an object with
``path`` and, if wanted, ``sha256`` (checked when the picture is decoded) and ``mapping`` (how more than 8 bits become
RGB, such as ``depth``). ``id`` may be left out (the file's name and line stand in), ``reward`` too where the settings
name one, and ``metadata``. Empty lines are allowed; nothing else is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vantage.datasets.places import root_of
from vantage.datasets.reading import RawRow, field, frames_of, inside, need_path, read_rows, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import DataError, VantageError
from vantage.pictures import Source
from vantage.rewards.frames import Frame
from vantage.samples import Sample

KEYS = frozenset({"path", "root", "frame", "truth_frame", "mapping", "reward"})

ROW_KEYS = ("id", "question", "sources", "truth", "reward", "metadata")
_PICTURE_KEYS = {"path", "sha256", "mapping", "bytes"}


def rows(spec: DataSpec) -> Iterable[RawRow]:
    """The lines of the file that are not empty."""
    return read_rows(need_path(spec, "jsonl:rows.jsonl"))


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row; its keys are those at the top of this module."""
    pictures: Mapping[str, Any] = field(row, "sources", dict, where)
    unknown = sorted(row.keys() - set(ROW_KEYS))
    if unknown:
        raise DataError(f"{where}: unknown key {unknown[0]!r}; the keys are {', '.join(ROW_KEYS)}")
    if "truth" not in row:
        raise DataError(f"{where}: key 'truth' is missing")
    identity = row.get("id", Path(where).name)
    if isinstance(identity, bool) or not isinstance(identity, (str, int)) or identity == "":
        raise DataError(f"{where}: key 'id' is a text or an integer, not {short(identity)}")
    reward = spec.reward or (text_field(row, "reward", where) if row.get("reward") is not None else "")
    if not reward:
        raise DataError(f"{where}: key 'reward' is missing, and the settings name none")
    metadata = {**field(row, "metadata", dict, where, {}), **frames_of(spec)}
    try:
        for key in ("frame", "truth_frame"):
            if metadata.get(key) is not None:
                Frame.parse(metadata[key])
        return Sample(
            id=str(identity),
            question=field(row, "question", str, where),
            sources={name: _source(name, entry, where, spec) for name, entry in pictures.items()},
            truth=row["truth"],
            reward=reward,
            metadata=metadata,
        )
    except VantageError as error:
        raise DataError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error


def _source(name: str, entry: Any, where: str, spec: DataSpec) -> Source:
    picture = {"path": entry} if isinstance(entry, str) else entry
    here = f"{where}: source {name!r}"
    if not isinstance(picture, Mapping) or not picture.keys() <= _PICTURE_KEYS:
        raise DataError(f"{here} is a path, or an object with path, sha256 and mapping, not {short(entry)}")
    given = {key: picture[key] for key in ("sha256", "mapping") if picture.get(key) is not None}
    given.setdefault("mapping", spec.mapping or "")
    path = picture.get("path")
    if path is not None and not isinstance(path, str):
        raise DataError(f"{here}: key 'path' is a text, not {short(path)}")
    if picture.get("bytes") is not None:
        # Parquet files as the hub has them carry their pictures.
        if not isinstance(picture["bytes"], bytes):
            raise DataError(f"{here}: key 'bytes' is an encoded picture, not {short(picture['bytes'])}")
        return Source(picture["bytes"], ref=path or here, **given)
    return Source(inside(root_of(spec), text_field(picture, "path", here), here), **given)

"""``jsonl:rows.jsonl``: rows of one's own, one JSON object per line.

    {"id": "n1", "question": "How many people?", "sources": {"rgb": "n1.jpg", "infrared": "n1_ir.png"},
     "truth": "3", "reward": "answer", "metadata": {"scene": "street"}}

Paths are relative to the file's folder, or to ``root``. ``id`` may be left out (the file's name and line stand in),
``reward`` too where the settings name one, and ``metadata``. Empty lines are allowed; nothing else is skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "root", "frame", "truth_frame", "reward"})

_FORMS: dict[str, tuple[tuple[type, ...], str]] = {
    "id": ((str, int), "a text or an integer"),
    "question": ((str,), "a text"),
    "sources": ((dict,), "an object of name to path"),
    "reward": ((str,), "a text"),
    "metadata": ((dict,), "an object"),
}
_REQUIRED = ("question", "sources", "truth")


def load(spec: DataSpec) -> list[Sample]:
    """Every row, in order.

    Raises:
        ConfigError: no path.
        DataError: no such file, or a line that is no such row; names the file, the line and the key.
    """
    if spec.path is None:
        raise ConfigError("data set 'jsonl' needs a file: jsonl:rows.jsonl")
    folder = spec.root or spec.path.parent
    return [_sample(row, where, folder, spec) for where, row in read_lines(spec.path)]


def read_lines(path: Path) -> list[tuple[str, Any]]:
    """The JSON values of a file's lines, each with ``file:line``; empty lines are left out.

    Raises:
        DataError: no such file, not UTF-8, a line that is no JSON, or no row at all.
    """
    text = read_text(path)
    rows: list[tuple[str, Any]] = []
    # Not splitlines(): a JSON text may hold other line separators of Unicode.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append((f"{path}:{number}", json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: not JSON ({error})") from error
    if not rows:
        raise DataError(f"{path}: no rows")
    return rows


def read_text(path: Path) -> str:
    """A UTF-8 file's text.

    Raises:
        DataError: no such file, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable UTF-8 file ({error})") from error


def _sample(row: Any, where: str, folder: Path, spec: DataSpec) -> Sample:
    if not isinstance(row, dict):
        raise DataError(f"{where}: a row is an object, not {type(row).__name__}")
    unknown = sorted(row.keys() - {*_FORMS, "truth"})
    if unknown:
        raise DataError(f"{where}: unknown key {unknown[0]!r}; the keys are {', '.join([*_FORMS, 'truth'])}")
    for key in _REQUIRED:
        if key not in row:
            raise DataError(f"{where}: key {key!r} is missing")
    for key, (types, form) in _FORMS.items():
        if key in row and (not isinstance(row[key], types) or isinstance(row[key], bool)):
            raise DataError(f"{where}: key {key!r} is {form}, not {row[key]!r}")
    reward = spec.reward or row.get("reward")
    if not reward:
        raise DataError(f"{where}: key 'reward' is missing, and the settings name none")
    for name, file in row["sources"].items():
        if not isinstance(file, str) or not file:
            raise DataError(f"{where}: key 'sources': {name!r} is a path, not {file!r}")
    frames = {"frame": spec.frame, "truth_frame": spec.truth_frame}
    try:
        return Sample(
            id=str(row["id"]) if "id" in row else f"{Path(where).name}",
            question=row["question"],
            sources={name: Source(folder / file) for name, file in row["sources"].items()},
            truth=row["truth"],
            reward=reward,
            metadata={**row.get("metadata", {}), **{k: v for k, v in frames.items() if v is not None}},
        )
    except DataError as error:
        raise DataError(f"{where}: {error}") from error

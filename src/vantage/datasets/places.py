"""Where data sets lie: the one question file of a folder, pictures below it, and names that a setting may take.

Releases unpack in more than one way, so that loaders look in several places and an error lists them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vantage.datasets.reading import RawRow, inside, short
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.pictures import Source

_log = logging.getLogger(__name__)


def known(name: str, key: str, given: Iterable[str] | None, allowed: Collection[str]) -> tuple[str, ...]:
    """The values of a setting, all of them where none was given.

    Args:
        name: of the data set.
        key: of the setting.
        given: its values.
        allowed: those there are.

    Raises:
        ConfigError: a value that is not among them, or one that stands twice.
    """
    values = tuple(allowed if given is None else given)
    for value in values:
        if value not in allowed:
            raise ConfigError(f"data set {name!r}: {key}={value}: no such {key}; there are {', '.join(allowed)}")
    if len(set(values)) != len(values):
        raise ConfigError(f"data set {name!r}: {key}={','.join(values)} names one of them twice")
    return values


def folder_of(path: Path) -> Path:
    """A folder as it is given, or the one that a file lies in."""
    return path if path.is_dir() else path.parent


def root_of(spec: DataSpec) -> Path:
    """The folder that a row's paths lie below: ``root``, else the one that was given or that the file lies in."""
    return spec.root or folder_of(spec.path or Path())


def question_file(path: Path, patterns: Sequence[str], what: str) -> Path:
    """A file as it is given, or the one file of a folder that matches the first pattern which matches any.

    Args:
        path: file or folder.
        patterns: paths below the folder, ``*`` standing for anything; the usual ones first.
        what: what the file holds, for the error.

    Raises:
        DataError: no file matches, or several match one pattern.
    """
    if path.is_file():
        return path
    for pattern in patterns:
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            raise DataError(f"{path}: {what} may be any of {', '.join(file.name for file in found)}; name one of them")
        if found:
            return found[0]
    raise DataError(f"{path}: no file with {what}; looked for {', '.join(patterns)}")


def parquet_files(path: Path, patterns: Sequence[str]) -> list[Path]:
    """The Parquet files that a path names, or that a folder has below the first pattern which matches any."""
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    return next((files for files in (sorted(path.glob(pattern)) for pattern in patterns) if files), [])


def without(rows: Iterable[RawRow], unusable: Callable[[Any], bool], path: Path, what: str) -> Iterator[RawRow]:
    """The rows that can be used; how many others there were is logged once, as a warning.

    Args:
        rows: what is read; errors are no others and stay.
        unusable: whether a row is left out.
        path: where they stand, for the log.
        what: what is left out, for the log.
    """
    left_out = 0
    try:
        for where, row in rows:
            if not isinstance(row, DataError) and unusable(row):
                left_out += 1
            else:
                yield where, row
    finally:
        # Also where the reader stops early.
        if left_out:
            _log.warning("%s: left out %d %s", path, left_out, what)


def find(root: Path, names: Iterable[str], where: str) -> Path:
    """The first of several paths below a root that is a file.

    Raises:
        DataError: none is, with the places, or one leaves the root.
    """
    places: list[Path] = []
    for name in dict.fromkeys(names):
        place = inside(root, name, where)
        places.append(place)
        try:
            if place.is_file():
                return place
        except OSError as error:
            # A name that is too long, or a folder that may not be looked into.
            raise DataError(f"{where}: {short(str(place))}: {error.strerror}") from error
    raise DataError(f"{where}: no such picture; looked for {', '.join(map(str, places))} (root=FOLDER looks elsewhere)")


def embedded(row: Mapping[str, Any], key: str, where: str) -> Source:
    """A picture that a Parquet row carries, as the ``datasets`` library writes it: ``{"bytes", "path"}``.

    Raises:
        DataError: the row has none there.
    """
    value = row.get(key)
    content = value.get("bytes") if isinstance(value, Mapping) else None
    if not isinstance(content, bytes) or not content:
        raise DataError(f"{where}: key {key!r} is a picture with its bytes, not {short(value)}")
    return Source(content, ref=f"{where}, {key}")


def row_id(where: str) -> str:
    """``file/3`` for a row that stands at ``file.json, row 3`` or ``file.jsonl:3``."""
    file, _, number = where.rpartition(", row " if ", row " in where else ":")
    return f"{Path(file).stem}/{number}"

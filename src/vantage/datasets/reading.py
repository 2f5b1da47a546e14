"""What loaders share: rows of JSON, JSON Lines and Parquet files, fields of a row, and paths that stay in their root.

A file's rows come as ``(where, row)`` pairs, ``where`` being ``file:line`` or ``file, row i``. A row that cannot be
read comes as the ``DataError`` that says why, so that one bad row does not hide the others.
"""

from __future__ import annotations

import codecs
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, overload

from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError

RawRow = tuple[str, Any]
"""Where a row stands, and what stands there: a value, or the ``DataError`` that says why there is none."""

T = TypeVar("T")

_BATCH = 16
_BUFFER = 2**20
_FORMS = {str: "a text", int: "an integer", float: "a number", list: "a list", dict: "an object", bool: "true or false"}


def need_path(spec: DataSpec, example: str) -> Path:
    """The path that a data set was given.

    Raises:
        ConfigError: none was given, or nothing is there.
    """
    if spec.path is None:
        raise ConfigError(f"data set {spec.name!r} needs a path: {example}")
    if not spec.path.exists():
        raise ConfigError(f"data set {spec.name!r}: {spec.path}: no such file or folder")
    return spec.path


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


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: no such file, not UTF-8, or no JSON.
    """
    return parse_json(read_text(path), str(path))


def parse_json(text: str | bytes, where: str) -> Any:
    """The value of a JSON text, or of its bytes in UTF-8; a byte order mark is passed over.

    ``NaN`` and ``Infinity``, which are no JSON, are refused, and keys that stand twice in an object.

    Raises:
        DataError: no such text; begins with ``where``.
    """
    try:
        if isinstance(text, bytes):
            text = text.removeprefix(codecs.BOM_UTF8).decode()
        return _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 ({error})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error})") from error


def _no_json(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {short(text)} is too large")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if any(key == other for other, _ in pairs[:i]))
        raise ValueError(f"key {short(twice)} stands twice in one object")
    return found


_DECODER = json.JSONDecoder(parse_constant=_no_json, parse_float=_finite, object_pairs_hook=_once)


def read_rows(path: Path, key: str | None = None) -> Iterator[RawRow]:
    """The rows of a ``.json``, ``.jsonl`` or ``.parquet`` file.

    Args:
        path: the file. What ends in neither is read as JSON: a list, or one value a line.
        key: where a JSON file is an object, the key under which its list of rows lies.

    Raises:
        DataError: a file that cannot be read at all, or that has no rows.
    """
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; name a file")
    if path.suffix == ".parquet":
        yield from _parquet(path)
        return
    if path.suffix != ".jsonl":
        first = _first(path)
        if first == "[" or (key is not None and first == "{"):
            value = read_json(path)
            if key is not None and isinstance(value, dict):
                value = value.get(key)
            if not isinstance(value, list) or not value:
                raise DataError(f"{path}: no rows" + (f" under {key!r}" if key is not None else ""))
            yield from ((f"{path}, row {i}", row) for i, row in enumerate(value))
            return
    yield from _lines(path)


def _first(path: Path) -> str:
    """The first character of a file that is no white space; empty where there is none."""
    with _opened(path) as stream:
        for line in stream:
            if text := line.removeprefix(codecs.BOM_UTF8).strip():
                return chr(text[0])
    return ""


def _lines(path: Path) -> Iterator[RawRow]:
    found = False
    with _opened(path) as stream:
        # Lines of bytes end at a line feed alone: a JSON text may hold other line separators of Unicode.
        for number, line in enumerate(stream, 1):
            if not line.removeprefix(codecs.BOM_UTF8).strip():
                continue
            found = True
            where = f"{path}:{number}"
            try:
                row = parse_json(line, where)
            except DataError as error:
                row = error
            yield where, row
    if not found:
        raise DataError(f"{path}: no rows")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: not a readable file ({error})") from error


def _parquet(path: Path) -> Iterator[RawRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Buffered, so that a column is read page by page and not whole: it may hold pictures.
        file = pq.ParquetFile(path, buffer_size=_BUFFER)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from error
    with file:
        if file.metadata.num_rows == 0:
            raise DataError(f"{path}: no rows")
        index = 0
        try:
            # A reader of several groups of rows keeps what it has read of each.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(batch_size=_BATCH, row_groups=[group]):
                    for row in batch.to_pylist():
                        yield f"{path}, row {index}", row
                        index += 1
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path}: cannot be read beyond row {index} ({error})") from error


@overload
def field(row: Any, key: str, kind: type[T], where: str) -> T: ...
@overload
def field(row: Any, key: str, kind: type[T], where: str, default: T) -> T: ...
def field(row: Any, key: str, kind: type[T], where: str, default: T | None = None) -> T:
    """The value of a row's key, if it is of that kind; an integer passes for a number.

    Raises:
        DataError: the row is no object, or the key is missing without a default, or holds something else.
    """
    if not isinstance(row, Mapping):
        raise DataError(f"{where}: a row is an object, not {type(row).__name__}")
    value = row.get(key)
    if value is None:
        if default is not None:
            return default
        if key not in row:
            raise DataError(f"{where}: key {key!r} is missing; the row has {', '.join(map(str, row)) or 'no keys'}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # type: ignore[return-value]  # T is float here
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DataError(f"{where}: key {key!r} is {_FORMS.get(kind, kind.__name__)}, not {short(value)}")
    return value


def text_field(row: Any, key: str, where: str) -> str:
    """The text of a row's key, white space around it dropped.

    Raises:
        DataError: as ``field``, or the text is blank.
    """
    text = field(row, key, str, where).strip()
    if not text:
        raise DataError(f"{where}: key {key!r} is blank")
    return text


def inside(root: Path, name: str, where: str) -> Path:
    """A path that a row names, below its root.

    What a row names may not leave the root: no ``..`` that climbs out, no absolute path elsewhere, and no link that
    leads out unless the environment variable ``VANTAGE_FOLLOW_LINKS`` is 1.

    Raises:
        DataError: the path is blank, or leaves the root.
    """
    posix = name.replace("\\", "/") if os.name == "nt" else name
    base = _absolute(str(root))
    # Texts, not paths: manifests have hundreds of thousands of rows.
    target = os.path.normpath(os.path.join(base, posix))  # noqa: PTH118
    below = base if base.endswith(os.sep) else base + os.sep
    if not name.strip() or "\0" in name or not (target == base or target.startswith(below)):
        raise DataError(
            f"{where}: the path {short(name)} leaves its root {root}; a row's paths lie below its root, which "
            "root=FOLDER sets"
        )
    try:
        leaves = not _within(base, target)
        if leaves:
            # What was a link when it was last seen may be a folder now.
            _real_folder.cache_clear()
            leaves = not _within(base, target)
    except ValueError as error:
        raise DataError(f"{where}: the path {short(name)} is no name of a file ({error})") from error
    if leaves and os.environ.get("VANTAGE_FOLLOW_LINKS") != "1":
        raise DataError(
            f"{where}: the path {short(name)} leaves its root {root} by a link; VANTAGE_FOLLOW_LINKS=1 allows that"
        )
    return Path(root, target[len(below) :])


def _within(base: str, target: str) -> bool:
    """Whether a path lies below a folder when links are followed."""
    root = _real_folder(base)
    if os.path.islink(target):  # noqa: PTH114
        real = os.path.realpath(target)
    else:
        folder, name = os.path.split(target)
        real = os.path.join(_real_folder(folder), name)  # noqa: PTH118
    return real == root or real.startswith(root if root.endswith(os.sep) else root + os.sep)


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


@lru_cache(maxsize=64)
def _absolute(root: str) -> str:
    return os.path.abspath(root)  # noqa: PTH100  resolve() would follow links


def short(value: object) -> str:
    """A value as a message can show it: at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def frames_of(spec: DataSpec, truth_frame: str | None = None) -> dict[str, str]:
    """The coordinate frames that the settings name, as a row's metadata; ``truth_frame`` where they name none."""
    named = {"frame": spec.frame, "truth_frame": spec.truth_frame or truth_frame}
    return {key: value for key, value in named.items() if value is not None}

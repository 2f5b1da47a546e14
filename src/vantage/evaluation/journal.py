"""Answers kept as they are made, so that an evaluation that was cut goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vantage.errors import ConfigError, DataError

Row = dict[str, Any]
Key = tuple[str, str, str, int | None]
_HEAD = "vantage_answers"
_VERSION = 1
_LONG = 60


def answer_key(row: Row) -> Key:
    """Of an answer: its question, view and damage, and the number of a drawn one."""
    return row["id"], row["origin"], row["damage"], row["draw"]


class Journal:
    """A file of JSON lines: first what is asked, then an answer a line. To be used as a context.

    A line that was never written to its end, by a process that was killed, is taken out.

    Args:
        path: the file; made where it is not there.
        about: all that decides the answers, plain JSON values by name.
        key: what no other row has; a ``KeyError`` where a row is none of these.

    Attributes:
        rows: the answers that the file held, by ``key``.
        seconds: what making them took.

    Raises:
        ConfigError: the file holds answers to something else, and stays as it is; says what differs.
        DataError: it holds no answers at all, or another process writes to it.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], key: Callable[[Row], Hashable] = answer_key) -> None:
        self.path = path
        self.rows: dict[Any, Row] = {}
        self._key = key
        self.seconds = 0.0
        plain = json.loads(json.dumps(dict(about)))  # as it will be read
        self._file = path.open("a+b")
        try:
            self._lock()
            self._read(plain)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def add(self, rows: Iterable[Mapping[str, Any]], seconds: float) -> None:
        """Keep answers, and how long making them took; on the disk when it returns."""
        lines = [_line(row) for row in rows]
        self._file.write(b"".join([*lines, _line({"seconds": seconds})]))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"{self.path}: another evaluation writes to it; wait for its end, or choose another --output"
            ) from None
        except OSError:
            return  # a file system without locks

    def _read(self, about: Mapping[str, Any]) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole, _, torn = content.rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        if not lines:
            head = _line({_HEAD: _VERSION, "about": about})
            if content and not head.startswith(content):
                raise DataError(f"{self.path}: holds something else than answers of an evaluation; it stays as it is")
            self._file.truncate(0)
            self._file.write(head)
            self._file.flush()
            return
        self._same(self._parsed(1, lines[0]), about)
        for number, line in enumerate(lines[1:], start=2):
            row = self._parsed(number, line)
            if "seconds" in row and "id" not in row:
                self.seconds += float(row["seconds"])
                continue
            try:
                self.rows[self._key(row)] = row
            except (KeyError, TypeError) as error:
                raise DataError(f"{self.path}, line {number}: no answer of an evaluation ({error})") from None
        if torn:
            self._file.truncate(len(content) - len(torn))

    def _parsed(self, number: int, line: bytes) -> Row:
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{self.path}, line {number}: not JSON ({error}); remove the file to begin anew") from None
        if not isinstance(row, dict):
            raise DataError(f"{self.path}, line {number}: no answer of an evaluation")
        return row

    def _same(self, head: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        then = head.get("about")
        if head.get(_HEAD) != _VERSION or not isinstance(then, dict):
            raise DataError(
                f"{self.path}: holds something else than answers of an evaluation; it stays as it is, so choose "
                "another --output"
            )
        changed = [
            f"  {key}: {_short(then.get(key))}, now {_short(about.get(key))}"
            for key in dict.fromkeys((*then, *about))
            if then.get(key) != about.get(key)
        ]
        if changed:
            listed = "\n".join(changed)
            raise ConfigError(
                f"{self.path} holds answers of another command, so it cannot go on with this one:\n{listed}\n"
                "Choose another --output, or remove the file to begin anew."
            )


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else text[: _LONG - 3] + "..."

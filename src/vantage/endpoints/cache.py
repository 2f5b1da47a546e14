"""Replies on disk, found by the hash of what was asked.

One SQLite file. Several processes and threads may use it at once. Its log is written ahead (WAL), so that a killed
process leaves whole replies only. ``synchronous=NORMAL``: after a power failure the last replies may be missing, and
are asked for again, but the file is sound.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vantage.errors import VantageError

_APPLICATION = 0x56545245
"""Says in the file's header whose it is."""
_VERSION = 1
_BUSY_SECONDS = 60.0
_CHECKED_BYTES = 256 * 2**20
"""Larger files are not read through when they are opened; every reply carries a hash of its own."""


class CacheError(VantageError, OSError):
    """A file of replies that cannot be used; it is left as it is."""


def digest(content: Any) -> str:
    """SHA-256 of a JSON value in one canonical form."""
    return hashlib.sha256(_canonical(content).encode("ascii")).hexdigest()


# Made once: `json.dumps` makes an encoder at each call that sets anything.
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_strict = json.JSONEncoder(allow_nan=False).encode


class Cache:
    """Replies by key.

    Args:
        path: the file; made if missing.

    Raises (by every method):
        CacheError: the file is damaged, is something else, or stays locked; it is never replaced.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._open: sqlite3.Connection | None = None
        self._checked = False
        with _forking:
            _caches.add(self)

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply kept under a key; ``None`` where there is none."""
        with self._database() as database:
            row = database.execute("SELECT reply, hash FROM replies WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        text, kept = row
        if _hash(key, text) != kept:
            raise CacheError(f"{self.path}: the reply {key[:12]} is damaged; {_ADVICE}")
        value: dict[str, Any] = json.loads(text)
        return value

    def put(self, key: str, reply: dict[str, Any], model: str = "") -> dict[str, Any]:
        """Keep a reply; one that stands already stays, and is given back, so that all who ask see the same."""
        return self.put_many([(key, reply, model)])[0]

    def put_many(self, replies: Iterable[tuple[str, dict[str, Any], str]]) -> list[dict[str, Any]]:
        """As ``put``, of keys, replies and models; in one transaction: all of them are kept or none."""
        given, rows = [], []
        for key, reply, model in replies:
            text = _strict(reply)
            given.append(reply)
            rows.append((key, model, text, _hash(key, text), time.time()))
        with self._database() as database, _transaction(database):
            before = database.total_changes
            database.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?)", rows)
            new = database.total_changes - before
        if new == len(rows):
            return given
        # Nothing is ever taken out of the file, so each key has its reply.
        return [self.get(row[0]) or reply for row, reply in zip(rows, given, strict=True)]

    def __len__(self) -> int:
        with self._database() as database:
            return int(database.execute("SELECT COUNT(*) FROM replies").fetchone()[0])

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._let_go()
            self._checked = False

    def _let_go(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._open is None:
                    self._open = self._connect()
                yield self._open
            except sqlite3.OperationalError as error:
                raise CacheError(f"{self.path}: the file of replies cannot be used ({error})") from error
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                raise CacheError(f"{self.path}: no sound file of replies ({error}); {_ADVICE}") from error

    def _connect(self) -> sqlite3.Connection:
        if self.path.is_dir():
            raise CacheError(f"{self.path}: a folder; a cache is a file, such as {self.path / 'replies.sqlite'}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(f"{self.path}: its folder cannot be made ({error})") from error
        database = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        # One at a time, so that a second process does not see a file half made.
        with _transaction(database):
            tables = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
            application = database.execute("PRAGMA application_id").fetchone()[0]
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if tables == 0 and application == 0:
                database.execute(
                    "CREATE TABLE replies (key TEXT PRIMARY KEY, model TEXT NOT NULL, reply TEXT NOT NULL, "
                    "hash TEXT NOT NULL, made REAL NOT NULL) WITHOUT ROWID"
                )
                database.execute(f"PRAGMA application_id = {_APPLICATION}")
                database.execute(f"PRAGMA user_version = {_VERSION}")
            elif application != _APPLICATION:
                raise CacheError(f"{self.path}: a database of something else, no file of replies; name another file")
            elif version != _VERSION:
                raise CacheError(f"{self.path}: written by another version of Vantage ({version}, not {_VERSION})")
        if not self._checked and self.path.stat().st_size <= _CHECKED_BYTES:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise CacheError(f"{self.path}: no sound file of replies ({found}); {_ADVICE}")
        self._checked = True


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


_ADVICE = "restore it from a copy, or move it away to start anew"


def _hash(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()


# SQLite forbids to carry an open file into a forked process, even to close it there, and a lock that another thread
# holds is held for ever in the child: a fork waits for what is being written, and finds every file closed.

_caches: weakref.WeakSet[Cache] = weakref.WeakSet()
_forking = threading.RLock()
"""Held while a process is forked, and where a cache is made."""
_held: list[Cache] = []
_carried: list[sqlite3.Connection] = []
_FORK_SECONDS = 10.0


def _before_fork() -> None:
    _forking.acquire()
    _held[:] = [cache for cache in _caches if cache._lock.acquire(timeout=_FORK_SECONDS)]
    for cache in _held:
        cache._let_go()


def _after_fork_in_parent() -> None:
    for cache in _held:
        cache._lock.release()
    _held.clear()
    _forking.release()


def _after_fork_in_child() -> None:
    global _forking
    _forking = threading.RLock()
    _held.clear()
    for cache in _caches:
        cache._lock = threading.RLock()
        if cache._open is not None:  # a thread of the parent was at it all the time
            _carried.append(cache._open)
            cache._open = None


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

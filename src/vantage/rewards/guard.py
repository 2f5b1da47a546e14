"""A guard for work that may never end: killable worker processes with a wall limit for every item.

A verifier meets text such as ``9^{9^{9^{9}}}``, which a computer algebra system tries to multiply out. A thread cannot
be stopped, and an exception from a timer does not reach code that runs in C. A process can be killed, and here the
kernel does it.

The guard runs a slow check of one's own too::

    from vantage.rewards import guard

    outcomes = guard.shared().map("mypackage.proofs:check", [(text, truth) for ...])

``mypackage/proofs.py`` holds ``def check(text, truth)``; it is imported in the workers, before the first item's clock
starts. Arguments and values are JSON values (a tuple arrives as a list): nothing is pickled.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vantage.errors import ConfigError, EngineError

_STARTING = 120.0
"""Seconds for a worker to start and import what a task needs."""
_TRIES = 3
"""Workers in a row that may die before they are ready, for example while memory is short."""

_GRACE = 1.0
"""Seconds beyond the limit after which the parent kills a worker that the kernel's timer has not ended."""

_WAKING = 0.2
"""Seconds between two looks at anything else than answers."""


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Attributes:
        value: what the task returned; ``None`` where it did not.
        error: why there is no value; empty where there is one.
        timed_out: whether the item was stopped at the wall limit.
        seconds: wall time of the item.
    """

    value: Any
    error: str = ""
    timed_out: bool = False
    seconds: float = 0.0


class _Worker:
    """A worker process and the item that it works on."""

    def __init__(self, seconds: float, memory_mb: int) -> None:
        self.limit = seconds
        arguments = [str(seconds), str(memory_mb), str(os.getpid())]
        # The worker finds the modules that its parent finds, and in the same order (-P: nothing before them).
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        # Own session: Ctrl-C goes to the parent, which ends its workers in order.
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", "vantage.rewards.worker", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment},
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(f"a worker cannot be started: {error}") from error
        assert self.process.stdin is not None and self.process.stdout is not None  # noqa: S101 - as asked for
        self.to, self.of = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.to, False)
        self.tasks: set[str] = set()
        self.loading = ""  # the task whose imports it is at
        self.index: int | None = None  # of the item that it is at
        self.unsent = memoryview(b"")
        self.received: list[bytes] = []
        self.started = self.deadline = 0.0

    def hand(self, line: bytes, seconds: float) -> None:
        """Hand over a line; what the pipe does not take at once stays in ``unsent``."""
        self.unsent, self.received = memoryview(line), []
        self.started = time.perf_counter()
        self.deadline = self.started + seconds
        self.push()

    def push(self) -> None:
        # A worker that is gone shows at the other pipe.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while self.unsent:
                self.unsent = self.unsent[os.write(self.to, self.unsent[: 1 << 20]) :]

    def pull(self) -> list[Any] | None:
        """The whole answer, ``None`` while it is not; raises ``EOFError`` where the worker is gone."""
        chunk = os.read(self.of, 1 << 20)
        if not chunk:
            raise EOFError
        self.received.append(chunk)
        if not chunk.endswith(b"\n"):
            return None
        answer: list[Any] = json.loads(b"".join(self.received))
        return answer

    def end(self) -> int:
        """Kill the process and wait for it; its return code, as the operating system gave it."""
        self.process.kill()
        code = self.process.wait()
        self.forget()
        return code

    def forget(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.returncode = self.process.returncode or 0


class Guard:
    """A pool of killable workers; several threads may use one at once. A forked child starts workers of its own.

    Args:
        workers: how many at most; unless given as many as there are processors, at most 8. They are started when there
            are items for them, and stay.
        seconds: wall limit of one item.
        memory_mb: address space, in MiB, that a worker may take beyond what it has after its imports (Linux).

    Raises:
        ConfigError: a limit is not above 0.
    """

    def __init__(self, workers: int | None = None, seconds: float = 3.0, memory_mb: int = 2048) -> None:
        self.workers = min(os.cpu_count() or 1, 8) if workers is None else workers
        self.seconds, self.memory_mb = seconds, memory_mb
        for name in ("workers", "seconds", "memory_mb"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"guard: {name} must be above 0, not {getattr(self, name)!r}")
        self._closed = False
        self._begin()
        _GUARDS.add(self)

    def _begin(self) -> None:
        self._free = threading.Condition()
        self._idle: list[_Worker] = []
        self._out: set[_Worker] = set()  # held by some thread
        self._waiting = 0

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, task: str, *args: Any) -> Outcome:
        """One item; see ``map``."""
        return self.map(task, [args])[0]

    def map(self, task: str, items: Sequence[Sequence[Any]]) -> list[Outcome]:
        """Call a function once for every item, each within the limits, in parallel.

        An item that fails fails alone: one that is stopped, raises, runs out of memory or takes its worker down has an
        ``error``, and the others their values.

        Args:
            task: the function, ``"package.module:function"``.
            items: the arguments of each call; JSON values.

        Returns:
            One outcome per item, in order.

        Raises:
            ConfigError: the task cannot be imported.
            EngineError: workers cannot be started, or the guard is closed.
        """
        return _Batch(self, task, items).outcomes() if items else []

    def close(self) -> None:
        """End every worker; a batch that another thread still waits for ends with an error."""
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in self._out:
                worker.process.kill()  # its batch sees it die, and waits for it
            self._free.notify_all()
        for worker in idle:
            worker.end()

    def _take(self, wait: bool) -> _Worker | None:
        """An idle worker or a new one; ``None`` where there is none and one need not wait."""
        with self._free:
            while not self._closed:
                if self._waiting and not wait:
                    return None  # another thread has none yet
                if self._idle:
                    worker = self._idle.pop()
                    if worker.process.poll() is not None:
                        worker.end()  # died while idle, for example when the system's memory ran out
                        continue
                elif len(self._out) < self.workers:
                    worker = _Worker(self.seconds, self.memory_mb)
                elif not wait:
                    return None
                else:
                    self._waiting += 1
                    try:
                        self._free.wait()
                    finally:  # an interrupt may end the wait
                        self._waiting -= 1
                    continue
                self._out.add(worker)
                return worker
        raise EngineError("the guard was closed")

    def _give(self, worker: _Worker, ended: bool) -> None:
        """Give a worker back, alive or not."""
        with self._free:
            self._out.discard(worker)
            keep = not ended and not self._closed
            if keep:
                self._idle.append(worker)
            self._free.notify()
        if not keep and not ended:
            worker.end()


class _Batch:
    """The items of one call of ``Guard.map``, and the workers that are at them."""

    def __init__(self, guard: Guard, task: str, items: Sequence[Sequence[Any]]) -> None:
        self.guard, self.task, self.items = guard, task, items
        self.found: dict[int, Outcome] = {}
        self.todo = deque(range(len(items)))
        self.held: set[_Worker] = set()
        self.selector = selectors.DefaultSelector()
        self.unready = 0  # workers in a row that died before they were ready

    def outcomes(self) -> list[Outcome]:
        try:
            while len(self.found) < len(self.items):
                while self.todo and len(self.held) < len(self.items) - len(self.found):
                    worker = self.guard._take(wait=not self.held)
                    if worker is None:
                        break
                    self.held.add(worker)
                    self.selector.register(worker.of, selectors.EVENT_READ, worker)
                    self._next(worker)
                if self.held:
                    self._look()
            return [self.found[index] for index in range(len(self.items))]
        finally:
            # Who is left at an item is ended, for nobody waits for it any more; who is at its imports goes on.
            for worker in list(self.held):
                self._release(worker, end=worker.index is not None)
            self.selector.close()

    def _look(self) -> None:
        """Wait for one answer, one death or one deadline, and act on it."""
        # A signal that another thread got is seen only when this one wakes.
        wait = min(_WAKING, min(worker.deadline for worker in self.held) - time.perf_counter())
        if any(worker.unsent for worker in self.held):
            wait = min(wait, 0.01)  # a long item goes out in pieces
        ready = self.selector.select(max(wait, 0))
        for key, _ in ready:
            worker = key.data
            try:
                answer = worker.pull()
            except EOFError:
                self._died(worker)
                continue
            if answer is not None:
                self._answered(worker, *answer)
        now = time.perf_counter()
        for worker in list(self.held):
            worker.push()
            if worker.deadline < now:
                self._died(worker, stopped=True)

    def _next(self, worker: _Worker) -> None:
        """Give a worker its next item, or give the worker back."""
        if worker.loading:
            return  # since a batch before
        if self.task not in worker.tasks:
            worker.loading = self.task
            worker.hand(json.dumps(self.task).encode() + b"\n", _STARTING)
            return
        while self.todo and not (self.guard._waiting and len(self.held) > 1):
            index = self.todo.popleft()
            try:
                line = json.dumps([self.task, list(self.items[index])]).encode() + b"\n"
            except (TypeError, ValueError, RecursionError) as error:
                self.found[index] = Outcome(None, f"the item is no JSON value: {error}")
                continue
            worker.index = index
            worker.hand(line, self.guard.seconds + _GRACE)
            return
        self._release(worker)

    def _answered(self, worker: _Worker, last: bool, answer: dict[str, Any]) -> None:
        if worker.index is not None:
            self.found[worker.index] = Outcome(**{"value": None, **answer})
        elif "error" not in answer:
            worker.tasks.add(worker.loading)
            self.unready = 0
        elif worker.loading == self.task:
            worker.loading = ""
            raise ConfigError(f"task {self.task!r} cannot be imported: {answer['error']}")
        worker.loading, worker.index = "", None
        if last:
            self._release(worker, end=True)
        else:
            self._next(worker)

    def _died(self, worker: _Worker, stopped: bool = False) -> None:
        index, took = worker.index, time.perf_counter() - worker.started
        code = self._release(worker, end=True)
        if self.guard._closed:
            raise EngineError("the guard was closed")
        if index is None:
            self.unready += 1
            if self.unready < _TRIES:
                return  # another is started for what is left to do
            how = f"took more than {_STARTING:g} s" if stopped else f"ended with {_cause(code)}"
            raise EngineError(f"a worker for task {self.task!r} {how} before it was ready")
        # Where SIGCHLD is ignored, nobody learns the signal.
        if stopped or code == -signal.SIGALRM or (code == 0 and took >= self.guard.seconds):
            error = f"stopped at the wall limit of {self.guard.seconds:g} s"
            self.found[index] = Outcome(None, error, timed_out=True, seconds=took)
        else:
            self.found[index] = Outcome(None, f"the worker was ended by {_cause(code)}", seconds=took)

    def _release(self, worker: _Worker, end: bool = False) -> int:
        self.held.discard(worker)
        self.selector.unregister(worker.of)
        code = worker.end() if end else 0
        self.guard._give(worker, ended=end)
        return code


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


_GUARDS: weakref.WeakSet[Guard] = weakref.WeakSet()
_lock = threading.Lock()
_shared: Guard | None = None


def shared() -> Guard:
    """The guard of this process, made when first asked for and closed at exit."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = Guard()
            atexit.register(_shared.close)
        return _shared


def _forked() -> None:
    """In a forked child: the workers are the parent's; let go of their pipes, and of locks that a thread held."""
    global _lock
    _lock = threading.Lock()
    for guard in list(_GUARDS):
        for worker in [*guard._idle, *guard._out]:
            worker.forget()
        guard._begin()


os.register_at_fork(after_in_child=_forked)

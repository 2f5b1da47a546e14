"""One worker of ``vantage.rewards.guard``: items come in on standard input, one JSON line each, and answers go out.

A process of its own, so that it can be killed. The kernel's timer ends it in the middle of an item, whatever code runs
then and whether or not a parent is left. What a task prints goes nowhere: the pipe belongs to the protocol.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

try:
    import resource
except ImportError:  # not on every system; the memory of an item is then unlimited
    resource = None  # type: ignore[assignment]

_LOOK = 2.0
"""Seconds between two looks at whether the parent is still there, while idle."""
_WRITING = 60.0
"""Seconds for the parent to take an answer."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


def main(seconds: float, memory_mb: int, parent: int) -> None:
    """Serve until the parent closes the pipe or is gone.

    Args:
        seconds: wall limit of an item.
        memory_mb: address space, in MiB, that an item may take beyond what the worker has after its imports.
        parent: process id of the parent.
    """
    given, taken = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # A thread of the parent may have blocked the signal, and a mask is inherited.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    tasks: dict[str, Callable[..., Any]] = {}
    full = 0
    for line in _lines(given, parent):
        last = False
        if line.startswith(b'"'):
            answer = _load(tasks, json.loads(line))
            full = _limit_memory(memory_mb)
            os.dup2(nowhere, 2)  # an import may warn; an item would flood
        else:
            _clock(seconds)
            answer, last = _serve(tasks, line)
            # Caches of the libraries grow; a worker that holds half of the limit makes way for a new one.
            last = last or _mapped() > full
        _clock(_WRITING)
        answer = json.dumps([last]).encode()[:-1] + b"," + answer + b"]\n"
        try:
            while answer:
                answer = answer[os.write(taken, answer) :]
        except OSError:
            return
        _clock(0)
        if last:
            return


def _lines(fd: int, parent: int) -> Iterator[bytes]:
    chunks: list[bytes] = []
    while True:
        while not select.select([fd], [], [], _LOOK)[0]:
            # A sibling may hold the other end of the pipe open, so that its end alone does not tell.
            if os.getppid() != parent:
                return
        chunks.append(os.read(fd, 1 << 20))
        if not chunks[-1]:
            return
        if chunks[-1].endswith(b"\n"):  # one item at a time: a line ends what was sent
            yield b"".join(chunks)
            chunks = []


def _load(tasks: dict[str, Callable[..., Any]], task: str) -> bytes:
    module, _, name = task.partition(":")
    _limit_memory(None)
    try:
        tasks[task] = getattr(import_module(module), name)
    except Exception as error:  # noqa: BLE001 - handed to the parent, which raises it
        return json.dumps({"error": f"{type(error).__name__}: {error}"}).encode()
    gc.collect()
    gc.freeze()  # what the imports left stays; no collection need look at it again
    return b"{}"


def _serve(tasks: dict[str, Callable[..., Any]], line: bytes) -> tuple[bytes, bool]:
    """The answer to an item, and whether it is the last of this worker."""
    start = time.perf_counter()
    try:
        task, arguments = json.loads(line)
        value = tasks[task](*arguments)
        return json.dumps({"value": value, "seconds": time.perf_counter() - start}).encode(), False
    except MemoryError:
        # What was being built when memory ended may be broken; the next item gets a new worker.
        error, last = "MemoryError: the item needs more memory than its limit", True
    except Exception as raised:  # noqa: BLE001 - handed to the parent as the item's error
        error, last = f"{type(raised).__name__}: {raised}"[:500], False
    return json.dumps({"error": error, "seconds": time.perf_counter() - start}).encode(), last


def _clock(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_memory(megabytes: int | None) -> int:
    """Limit the address space to so much beyond what is mapped now; ``None`` lifts the limit.

    Returns:
        The address space, in bytes, at which half of that is taken.
    """
    room = (megabytes or 0) << 20
    limit = _mapped() + room
    if resource is not None and hasattr(resource, "RLIMIT_AS"):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        unlimited = hard == resource.RLIM_INFINITY
        soft = hard if megabytes is None else limit if unlimited else min(limit, hard)
        # Systems other than Linux know this limit by name and may refuse it.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return limit - room // 2


def _mapped() -> int:
    """Bytes of address space in use; 0 where /proc does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - read after every item
            return int(file.read().split()[0]) * _PAGE
    except OSError:
        return 0


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

"""One event loop in a thread of its own, on which every endpoint of the process works.

Connections, locks and waiting requests belong to an event loop. With one loop for all, endpoints can be asked from
plain code, from a loop that runs already (as in a trainer or a notebook), and from several threads at once.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from vantage.endpoints.cache import Cache
from vantage.endpoints.flights import Flights
from vantage.endpoints.writer import Writer

T = TypeVar("T")

_lock = threading.Lock()
_current: tuple[int, asyncio.AbstractEventLoop] | None = None
_waited_for: set[Future[None]] = set()
_LAST_SECONDS = 5.0


def shared() -> asyncio.AbstractEventLoop:
    """The loop of this process, started if need be; a forked process has its own, since threads do not survive."""
    global _current
    pid = os.getpid()
    if _current is None or _current[0] != pid:
        with _lock:
            if _current is None or _current[0] != pid:
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name="vantage-endpoints", daemon=True).start()
                _current = (pid, loop)
    return _current[1]


def running() -> asyncio.AbstractEventLoop | None:
    """The loop of this process, if it was started."""
    return _current[1] if _current is not None and _current[0] == os.getpid() else None


def _fresh_lock() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have held it when the process was forked
    _waited_for.clear()


os.register_at_fork(after_in_child=_fresh_lock)


async def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it on the shared loop and await it here; cancelling this cancels it there."""
    loop = shared()
    if asyncio.get_running_loop() is loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run it on the shared loop and wait, also where this thread has a running loop of its own.

    Raises:
        RuntimeError: called on the shared loop itself, which would wait for itself.
    """
    loop = shared()
    if threading.current_thread().name == "vantage-endpoints":
        work.close()
        raise RuntimeError("an endpoint's own loop cannot wait for itself; await the endpoint instead")
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # no effect where it is done; an interrupted caller stops what it asked for
        raise


def later(of: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it on the shared loop some time before the process ends, where that still is the loop ``of``."""
    if of is running():
        future = asyncio.run_coroutine_threadsafe(work(), of)
        _waited_for.add(future)
        future.add_done_callback(_waited_for.discard)


def finish() -> None:
    """Wait for what was left for later, at the end of the process."""
    wait(_waited_for.copy(), _LAST_SECONDS)


async def stream(work: Callable[[Callable[[str], None]], Coroutine[Any, Any, Any]]) -> AsyncIterator[str]:
    """Texts as they come from work on the shared loop, which is given a function that takes them.

    Raises what the work raises; leaving early cancels it.
    """
    here = asyncio.get_running_loop()
    texts: asyncio.Queue[str | None] = asyncio.Queue()

    def tell(text: str | None) -> None:
        if not here.is_closed():
            here.call_soon_threadsafe(texts.put_nowait, text)

    async def working() -> None:
        try:
            await work(tell)
        finally:
            tell(None)

    future = asyncio.run_coroutine_threadsafe(working(), shared())
    try:
        while (text := await texts.get()) is not None:
            yield text
        await asyncio.wrap_future(future)
    finally:
        future.cancel()


class Here:
    """What belongs to the loop of one process."""

    def __init__(self, of: asyncio.AbstractEventLoop, width: int, cache: Cache | None = None) -> None:
        self.loop = of
        self.slots = asyncio.Semaphore(width)
        self.naming = asyncio.Lock()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="vantage-endpoint")
        self.flights = Flights()
        self.writer = None if cache is None else Writer(cache)

"""Calling code that may never come back."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(slots=True)
class Outcome:
    """What became of a call.

    Attributes:
        value: what it returned.
        error: what it raised.
        seconds: how long it took.
        over: whether it did not come back in time.
    """

    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    over: bool = False


class _Overrun(BaseException):
    """Not an Exception, which the code under test may well swallow."""


def within(seconds: float, function: Callable[[], Any]) -> Outcome:
    """Call a function, or run the coroutine that it returns, and come back after so many seconds whatever it does.

    In the main thread an alarm interrupts it, regular expressions included; elsewhere, and where there are no alarms,
    it runs in a thread that is left behind, which helps as long as it lets other threads run.
    """
    outcome = Outcome()

    def run() -> None:
        start = time.perf_counter()
        try:
            value = function()
            outcome.value = asyncio.run(value) if asyncio.iscoroutine(value) else value
        except (Exception, SystemExit) as error:  # noqa: BLE001  it is what was asked for, and is handed on
            outcome.error = error
        outcome.seconds = time.perf_counter() - start

    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread() and not _in_loop():
        outcome.over = _with_alarm(seconds, run)
    else:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(seconds)
        outcome.over = thread.is_alive()
    return outcome


def _with_alarm(seconds: float, run: Callable[[], None]) -> bool:
    def ring(_: int, __: FrameType | None) -> None:
        raise _Overrun

    handler = signal.signal(signal.SIGALRM, ring)
    # It rings again for code that swallows the first, or waits for threads when it ends.
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        try:
            run()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _Overrun:
        return True
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)
    return False


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

"""A Python function as a guest."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue

from vantage.errors import EndpointError
from vantage.guests.base import Guest, Utterance
from vantage.samples import PromptStyle, Sample

Answer = Callable[[Sample], str | list[str]]


class FunctionGuest(Guest):
    """A function from a sample to an answer, or to ``n`` of them.

    Args:
        name: see ``Guest``.
        function: called in a thread of its own, for one sample after the other; one that never returns leaves every
            later place empty, and is left behind when the process ends. Where it gives fewer texts than ``n``, other
            places stay empty.
        n: see ``Guest``.
    """

    gives_logprobs = False

    def __init__(self, name: str, function: Answer, n: int = 1) -> None:
        super().__init__(name, n)
        self.function = function
        self._calls: SimpleQueue[tuple[Sample, Future[object]] | None] = SimpleQueue()
        self._closed = False
        self._thread: threading.Thread | None = None

    async def ask(self, sample: Sample, style: PromptStyle, turn: int) -> Sequence[Utterance | Exception]:
        """See ``Guest.ask``; the function hears of the sample only."""
        if self._closed:
            raise EndpointError(f"{self.name}: closed")
        if self._thread is None:
            # No executor: the end of the process would wait for its threads.
            self._thread = threading.Thread(target=self._work, name="vantage-guest", daemon=True)
            self._thread.start()
        start = time.perf_counter()
        said: Future[object] = Future()
        self._calls.put((sample, said))
        came = await asyncio.wrap_future(said)
        texts = [came] if isinstance(came, str) else came
        if inspect.iscoroutine(came):
            came.close()  # or Python warns that nobody awaited it
        if not isinstance(texts, (list, tuple)):
            raise EndpointError(f"{self.name}: a function gives a text or a list of texts, not {type(came).__name__}")
        if len(texts) > self.n:
            raise EndpointError(f"{self.name}: the function gave {len(texts)} texts, more than n={self.n}")
        seconds = time.perf_counter() - start
        missing = EndpointError(f"{self.name}: the function gave {len(texts)} of the n={self.n} texts that are wanted")
        given = [Utterance(text, self.name, cost=0.0, seconds=seconds) for text in texts]
        return [*given, *[missing] * (self.n - len(given))]

    def close(self) -> None:
        """Start nothing more; what is being called ends by itself."""
        self._closed = True
        self._calls.put(None)

    def _work(self) -> None:
        """Call the function for one sample after the other, in the guest's thread."""
        while (call := self._calls.get()) is not None:
            sample, said = call
            if self._closed:
                said.cancel()
            if not said.set_running_or_notify_cancel():
                continue
            try:
                said.set_result(self.function(sample))
            except BaseException as error:  # noqa: BLE001 - told to whoever waits
                # What ends a program, or a generator, would end the loop on which all guests are waited for.
                own = isinstance(error, Exception) and not isinstance(error, StopIteration)
                said.set_exception(error if own else EndpointError(f"{self.name}: it raised {type(error).__name__}"))

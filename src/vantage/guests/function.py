"""A Python function as a guest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from vantage.errors import EndpointError
from vantage.guests.base import Guest, Utterance
from vantage.samples import PromptStyle, Sample

Answer = Callable[[Sample], str | list[str]]


class FunctionGuest(Guest):
    """A function from a sample to an answer, or to ``n`` of them.

    Args:
        name: see ``Guest``.
        function: called in a thread of its own, for one sample after the other; one that never returns leaves every
            later place empty.
        n: see ``Guest``.
    """

    def __init__(self, name: str, function: Answer, n: int = 1) -> None:
        super().__init__(name, n)
        self.function = function
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vantage-guest")

    async def ask(self, sample: Sample, style: PromptStyle, turn: int) -> Sequence[Utterance | Exception]:
        """See ``Guest.ask``; the function hears of the sample only."""
        start = time.perf_counter()
        came = await asyncio.get_running_loop().run_in_executor(self._thread, self.function, sample)
        texts = [came] if isinstance(came, str) else came
        if not isinstance(texts, (list, tuple)):
            raise EndpointError(f"{self.name}: a function gives a text or a list of texts, not {type(came).__name__}")
        seconds = time.perf_counter() - start
        return [Utterance(text, self.name, cost=0.0, seconds=seconds) for text in texts]

    def close(self) -> None:
        """Start nothing more; what is being called ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

"""What every endpoint does: look into the cache, stay within the budget, ask, ask again, keep the reply.

How one question is put is the part of ``client.py``, ``local.py`` and ``function.py``.
"""

from __future__ import annotations

import asyncio
import atexit
import math
import time
import weakref
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Self

from vantage.endpoints import loop, retry
from vantage.endpoints.budget import Ledger, Usage
from vantage.endpoints.cache import Cache, digest
from vantage.endpoints.flights import Flight
from vantage.endpoints.many import ask_all
from vantage.endpoints.messages import has_pictures, identity, most_tokens, prepare
from vantage.endpoints.replies import Again, Conversation, Emit, Refusal, Reply, Request, Stats
from vantage.endpoints.settings import EndpointSettings
from vantage.errors import BudgetError, EndpointError

_VERSION = 1
"""Of what a key is made of; a new one makes every kept reply unknown."""

_KEPT = tuple(field.name for field in fields(Reply) if field.name not in ("cached", "seconds"))
"""What of a reply is written down."""


class Endpoint(ABC):
    """A model that is asked questions, wherever it runs.

    It may be asked from plain code, from running event loops and from several threads at once.

    Attributes:
        name: how tables and logs call it.
        settings: what it was told.
        trouble: what the last try came to where it failed and is tried again; ``None`` once a reply has come.
    """

    def __init__(self, name: str, settings: EndpointSettings) -> None:
        self.name = name
        self.settings = settings
        self._cache = Cache(settings.cache) if settings.cache is not None else None
        self._ledger = Ledger(settings.budget)
        self._counts: Counter[str] = Counter()
        self._seconds = 0.0
        self.trouble: str | None = None
        self._state: loop.Here | None = None
        _open.add(self)

    async def ask(self, messages: Conversation, *, sample: int = 0) -> Reply:
        """Ask one question.

        Args:
            messages: dicts with ``role`` and ``content``, a text or a list of parts.
            sample: which of several sampled replies to the same question; no part where temperature is 0.

        Raises:
            EndpointError: no usable reply; says what came. A ``Refusal`` where asking again is no use.
            BudgetError: the budget is spent.
            DataError: messages of another form.
        """
        return await loop.run(self._ask(messages, sample))

    def ask_sync(self, messages: Conversation, *, sample: int = 0) -> Reply:
        """As ``ask``, from plain code, also where an event loop runs."""
        return loop.run_sync(self._ask(messages, sample))

    async def ask_many(
        self,
        conversations: Sequence[Conversation],
        *,
        samples: Sequence[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Reply | EndpointError]:
        """Ask many questions at once; order is kept, and a failure is a value in its place.

        Args:
            conversations: the questions.
            samples: as ``sample`` of ``ask``; by default equal questions are numbered 0, 1, 2, ...
            progress: told how many of how many are done, in a thread of the endpoints.

        Raises:
            BudgetError: the budget is spent; what was under way has been kept, and stands in the error's ``replies``.
            DataError: messages of another form.
        """
        return await loop.run(self._ask_many(conversations, samples, progress))

    def ask_many_sync(
        self,
        conversations: Sequence[Conversation],
        *,
        samples: Sequence[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Reply | EndpointError]:
        """As ``ask_many``, from plain code, also where an event loop runs."""
        return loop.run_sync(self._ask_many(conversations, samples, progress))

    def stream(self, messages: Conversation, *, sample: int = 0) -> AsyncIterator[str]:
        """Pieces of a reply as they come; a kept reply comes at once, and a whole one is kept.

        Raises (when it is read): as ``ask``; also where the reply breaks off.
        """
        return loop.stream(lambda emit: self._stream(messages, sample, emit))

    def check(self) -> None:
        """Find out whether it can be asked, before work that depends on it.

        Raises:
            EndpointError: the server cannot be reached or does not serve the model.
            BudgetError: the model is found out about by a question only, and the budget allows none.
            CacheError: the file of replies cannot be used.
        """
        if self._cache is not None:
            len(self._cache)
        loop.run_sync(self._ready())

    @property
    def stats(self) -> Stats:
        """What was done so far."""
        ledger, counts = self._ledger, self._counts
        return Stats(
            calls=ledger.calls,
            cached=counts["cached"],
            retries=counts["retries"],
            failures=counts["failures"],
            prompt_tokens=ledger.prompt_tokens,
            completion_tokens=ledger.completion_tokens,
            cost=ledger.cost,
            seconds=self._seconds,
        )

    def close(self) -> None:
        """Stop what is under way and let go of connections; a later question opens them again."""
        if self._state is not None and self._state.loop is loop.running():
            loop.run_sync(self._close())
        self._state = None
        if self._cache is not None:
            self._cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    # What the kinds of endpoint differ in.

    @abstractmethod
    async def _call(self, request: Request, emit: Emit | None) -> Reply:
        """Put a question once, on the shared loop; with ``emit``, hand over pieces as they come.

        Raises:
            EndpointError: no usable reply.
            Again: no usable reply this time.
        """

    async def _ready(self) -> None:
        """Whatever must be known before the first question."""

    def _verify(self, reply: Reply) -> None:
        """Look at a reply, fresh or kept.

        Raises:
            EndpointError: it is not by the model that was asked.
        """

    def _identity(self) -> dict[str, Any]:
        """What beside messages and sampling decides the reply; never where the server is."""
        return {"model": self.settings.model}

    def _width(self) -> int:
        """Questions under way at once."""
        return self.settings.concurrency

    async def _close(self) -> None:
        await self._here().flights.stop()
        self._here().thread.shutdown(wait=False)

    # The way of a question, on the shared loop.

    def _here(self) -> loop.Here:
        here = asyncio.get_running_loop()
        if self._state is None or self._state.loop is not here:
            self._state = loop.Here(here, self._width(), self._cache)
            self._ledger.move()
        return self._state

    async def _ask_many(
        self,
        conversations: Sequence[Conversation],
        samples: Sequence[int] | None,
        progress: Callable[[int, int], None] | None,
    ) -> list[Reply | EndpointError]:
        # Twice the width: while some ask, others are made ready and written down.
        return await ask_all(self._ask, 2 * self._width(), conversations, samples, progress)

    async def _ask(self, messages: Conversation, sample: int) -> Reply:
        start = time.perf_counter()
        request = await self._request(messages, sample)
        kept = self._kept(request)
        if kept is not None:
            return replace(kept, seconds=time.perf_counter() - start)
        reply, first = await self._joined(request)
        return replace(reply, cached=not first, seconds=time.perf_counter() - start)

    async def _joined(self, request: Request) -> tuple[Reply, bool]:
        """The reply to a question that may be under way already, and whether it was asked for this caller."""

        async def fly(flight: Flight) -> Reply:
            async with self._here().slots:
                flight.sent = True
                reply = await self._tries(request)
            return await self._keep(request, reply)

        reply, first = await self._here().flights.join(self.name, request.key, fly)
        if not first:
            self._counts["cached"] += 1
        return reply, first

    async def _stream(self, messages: Conversation, sample: int, emit: Emit) -> None:
        request = await self._request(messages, sample)
        kept = self._kept(request)
        if kept is None and request.key in self._here().flights:
            kept, _ = await self._joined(request)
        if kept is not None:
            emit(kept.text)
            return
        async with self._here().slots:
            reply = await self._tries(request, emit)
        # Kept without log-probabilities, it would stand in the way of a reply that has those that are asked for.
        if not self.settings.extra.get("logprobs"):
            await self._keep(request, reply)

    async def _request(self, messages: Conversation, sample: int) -> Request:
        await self._ready()
        # Pictures are read and encoded; other questions go on meanwhile.
        prepared = await asyncio.to_thread(prepare, messages) if has_pictures(messages) else prepare(messages)
        settings = self.settings
        sampled = settings.temperature > 0
        key = digest(
            {
                "version": _VERSION,
                **self._identity(),
                "messages": identity(prepared),
                "max_tokens": settings.max_tokens,
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "seed": settings.seed if sampled else None,
                "extra": settings.extra,
                "sample": sample if sampled else None,
            }
        )
        seed = int(digest([settings.seed, key])[:8], 16) >> 1 if sampled and settings.seed is not None else None
        return Request(prepared, key, seed, settings.longest)

    def _kept(self, request: Request) -> Reply | None:
        found = self._cache.get(request.key) if self._cache is not None else None
        if found is None:
            return None
        reply = self._recalled(found)
        self._counts["cached"] += 1
        return replace(reply, cached=True)

    async def _keep(self, request: Request, reply: Reply) -> Reply:
        """Write a reply down, and give the one that stands there from now on: another process may have been first."""
        if (writer := self._here().writer) is None:
            return reply
        own = {name: getattr(reply, name) for name in _KEPT}
        kept = await writer.put(request.key, own, reply.model)
        return reply if kept is own else self._recalled(kept)

    def _recalled(self, found: dict[str, Any]) -> Reply:
        """A reply from the file, which endpoints with other settings may have written to."""
        reply = Reply(**found)
        try:
            self._verify(reply)
        except EndpointError as error:
            self._counts["failures"] += 1
            raise EndpointError(f"{error} (kept in {self.settings.cache})") from None
        return reply

    async def _tries(self, request: Request, emit: Emit | None = None, patience: float = math.inf) -> Reply:
        """Ask until there is a reply.

        With ``patience``, not again where that would begin after so many seconds, nor where there is no server at all.
        """
        settings = self.settings
        start = time.perf_counter()
        told = False

        def tell(text: str) -> None:
            nonlocal told
            told = True
            if emit is not None:
                emit(text)

        error = ""
        tries = 0
        try:
            while True:
                tries += 1
                try:
                    reply = await self._paid(request, tell if emit is not None else None)
                    self.trouble = None
                    break
                except Again as trouble:
                    self.trouble = error = trouble.error
                    seconds = retry.wait(tries - 1, settings.backoff, f"{settings.seed}:{request.key}", trouble.wait)
                    late = time.perf_counter() - start + seconds > patience
                    late = late or (patience < math.inf and not trouble.reached)
                    # Pieces that were handed over cannot be taken back.
                    if tries > settings.retries or told or late:
                        raise EndpointError(f"{self.name}: {error}{_after(tries)}") from None
                self._counts["retries"] += 1
                await asyncio.sleep(seconds)
        except EndpointError:
            self._counts["failures"] += 1
            raise
        except BudgetError as refused:
            raise BudgetError(f"{self.name}: {refused}" + (f"; the last try: {error}" if error else "")) from None
        return reply

    async def _paid(self, request: Request, emit: Emit | None) -> Reply:
        """One try, within the budget."""
        counts = self.settings.budget.counts_tokens
        most = Usage(most_tokens(request.messages), request.longest) if counts else Usage()
        await self._ledger.reserve(most)
        start = time.perf_counter()
        # Whatever ends a try without saying what it cost may have cost the most.
        used = most
        try:
            reply = await self._call(request, emit)
            # No question and no reply takes 0 tokens: a count of 0 was not told.
            used = Usage(reply.prompt_tokens or most.prompt_tokens, reply.completion_tokens or most.completion_tokens)
            return reply
        except (Again, Refusal) as trouble:
            if not trouble.charged:
                used = Usage()
            raise
        finally:
            self._seconds += time.perf_counter() - start
            self._ledger.settle(most, used)


_open: weakref.WeakSet[Endpoint] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # A connection that is dropped with its loop complains.
    for endpoint in list(_open):
        endpoint.close()
    loop.finish()


def _after(tries: int) -> str:
    return f" (tried {tries} times)" if tries > 1 else ""

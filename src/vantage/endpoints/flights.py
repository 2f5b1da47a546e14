"""Equal questions under way at once are asked once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from vantage.endpoints.replies import Reply
from vantage.errors import EndpointError


@dataclass
class Flight:
    """A question under way.

    Attributes:
        task: brings the reply.
        waiting: how many wait for it.
        sent: whether it may have been paid for.
    """

    task: asyncio.Task[Reply] = field(init=False)
    waiting: int = 0
    sent: bool = False


class Flights:
    """The questions under way of one endpoint; used on one event loop."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    async def join(
        self, name: str, key: str, fly: Callable[[Flight], Coroutine[Any, Any, Reply]]
    ) -> tuple[Reply, bool]:
        """The reply to a question, and whether it was asked for this caller.

        Args:
            name: of the endpoint, for errors.
            key: equal questions have equal keys.
            fly: asks; tells the flight when the question is sent.

        Raises:
            EndpointError: closed meanwhile; else as ``fly``.
        """
        flight = self._flights.get(key)
        first = flight is None
        if flight is None:
            flight = self._flights[key] = Flight()
            flight.task = asyncio.create_task(fly(flight))
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        flight.waiting += 1
        try:
            # Others may wait for the same reply, and one that was sent is paid for: a caller who leaves stops neither.
            return await asyncio.shield(flight.task), first
        except asyncio.CancelledError:
            if flight.task.cancelled():
                raise EndpointError(f"{name}: closed while the question was under way") from None
            raise
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.sent and not flight.task.done():
                flight.task.cancel()
                self._flights.pop(key, None)

    async def stop(self) -> None:
        """End all that is under way."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, key: str, task: asyncio.Task[Reply]) -> None:
        if key in self._flights and self._flights[key].task is task:
            del self._flights[key]
        with contextlib.suppress(asyncio.CancelledError):
            task.exception()  # whoever waited has it; asyncio logs what nobody asked for

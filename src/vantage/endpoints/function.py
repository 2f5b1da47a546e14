"""A function in the place of a model: an exact reader, or a stand-in for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vantage.endpoints.base import Endpoint
from vantage.endpoints.messages import Message
from vantage.endpoints.replies import Emit, Reply, Request
from vantage.endpoints.settings import Budget, EndpointSettings
from vantage.errors import EndpointError


class FunctionEndpoint(Endpoint):
    """A function from messages to a text, asked like a model.

    Args:
        name: how tables and logs call it.
        function: is given the messages; called in a thread of its own, one question after the other.
        budget: what a run may spend, in calls.
    """

    def __init__(self, name: str, function: Callable[[list[Message]], str], budget: Budget | None = None) -> None:
        super().__init__(name, EndpointSettings(model=name, budget=budget or Budget()))
        self.function = function

    async def _call(self, request: Request, emit: Emit | None) -> Reply:
        try:
            text = await asyncio.get_running_loop().run_in_executor(
                self._here().thread, self.function, request.messages
            )
        except Exception as error:
            raise EndpointError(f"{self.name}: the function failed ({type(error).__name__}: {error})") from error
        if not isinstance(text, str):
            raise EndpointError(f"{self.name}: the function must return a text, and returned {type(text).__name__}")
        if emit is not None:
            emit(text)
        return Reply(text, model=self.name)

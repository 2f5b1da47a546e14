"""A vision-language model at an OpenAI-compatible server as a guest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from vantage.endpoints import Endpoint, EndpointSettings, Reply, open_endpoint
from vantage.errors import ConfigError
from vantage.guests.base import Guest, Utterance, as_values, draws_as_it_tells
from vantage.samples import PromptStyle, Sample


class EndpointGuest(Guest):
    """A model behind an endpoint, which is shown all sources of a sample as the policy is.

    Every answer to a question has a number, so that a cache and a server that keeps to seeds repeat the answers of a
    turn. A question that was sent is paid for: its reply goes to the cache, also where it comes too late.

    Args:
        endpoint: whom to ask: an endpoint, or settings.
        name: see ``Guest``.
        n: see ``Guest``.
        logprobs: ask for log-probabilities of the answers' tokens.

    Raises:
        ConfigError: log-probabilities of another distribution than the one that is drawn from, or of an ``Endpoint``
            that was not told to ask for them.
    """

    def __init__(self, endpoint: Endpoint | EndpointSettings, name: str, n: int = 1, *, logprobs: bool = False) -> None:
        super().__init__(name, n)
        if logprobs and not isinstance(endpoint, Endpoint):
            extra = {**endpoint.extra, "logprobs": True}
            endpoint = EndpointSettings.checked({**endpoint.model_dump(exclude_unset=True), "extra": extra})
        self.endpoint = open_endpoint(endpoint)
        told = self.endpoint.settings
        self.gives_logprobs = bool(told.extra.get("logprobs"))
        if logprobs and not self.gives_logprobs:
            raise ConfigError(
                f"guest {name!r}: its endpoint asks for no log-probabilities; set extra: {{logprobs: true}}"
            )
        if self.gives_logprobs:
            draws_as_it_tells(told.temperature, told.top_p, told.extra)

    async def ask(self, sample: Sample, style: PromptStyle, turn: int) -> Sequence[Utterance | Exception]:
        """See ``Guest.ask``."""
        # Sources in the place of decoded pictures: files that a server reads are sent as they are.
        messages = style.messages(sample, pictures=cast(Any, sample.sources))
        asked = (self.endpoint.ask(messages, sample=number) for number in self.numbers(turn))
        replies = await asyncio.gather(*asked, return_exceptions=True)
        return as_values(self._said(reply) if isinstance(reply, Reply) else reply for reply in replies)

    def check(self, samples: Sequence[Sample]) -> None:
        """Ask whether the server is there and knows the model."""
        self.endpoint.check()

    def trouble(self) -> str | None:
        """What the server last answered instead of a reply, which retries may hide."""
        return self.endpoint.trouble

    def close(self) -> None:
        """Close the connections."""
        self.endpoint.close()

    def _said(self, reply: Reply) -> Utterance:
        budget = self.endpoint.settings.budget
        priced = budget.price_in is not None or budget.price_out is not None
        paid = 0.0 if reply.cached else budget.price(reply.prompt_tokens, reply.completion_tokens)
        return Utterance(
            reply.text,
            self.name,
            logprobs=reply.logprobs,
            tokens=reply.completion_tokens or None,
            cost=paid if priced else None,
            seconds=reply.seconds,
            finished=reply.finished,
        )

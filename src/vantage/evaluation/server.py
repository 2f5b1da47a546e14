"""A vision-language model at an OpenAI-compatible server, asked as a model of this process is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self, cast

from vantage.endpoints import EndpointSettings, Reply, open_endpoint
from vantage.errors import EndpointError
from vantage.evaluation.asking import Wanted
from vantage.generation import Messages, Said
from vantage.samples import MonoView, PromptStyle

PATIENCE = 32
"""Failures one after the other, with no answer between them, after which no further batch is asked."""


class Server:
    """Asks a server; to be used as a context. Pictures are sent, files of them as they are.

    Args:
        where: ``http://host:8000/v1#model``, or settings.
        style: how a sample becomes messages.
        mono: what stands in the other picture slots when some sources are shown.
        max_new_tokens: longest answer.
        temperature: of drawn answers, above 0.
        top_p: probability of the likeliest tokens that are drawn from.
        top_k: how many of them; 0 is all, and is not sent.
        seed: of the draws; a server may not keep to it.

    Raises:
        ConfigError: settings that cannot be.
    """

    decodes = False

    def __init__(
        self,
        where: str | EndpointSettings,
        *,
        style: PromptStyle,
        mono: MonoView = "fill",
        max_new_tokens: int = 512,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
    ) -> None:
        told = where if isinstance(where, EndpointSettings) else EndpointSettings.parse(where)
        plain = {**told.model_dump(exclude_unset=True), "max_tokens": max_new_tokens}
        drawn: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "seed": seed}
        if top_k:
            drawn["extra"] = {**told.extra, "top_k": top_k}
        self._style, self._mono = style, mono
        self._greedy = open_endpoint({**plain, "temperature": 0.0, "top_p": 1.0})
        self._drawn = open_endpoint({**plain, **drawn})
        self._failed = 0
        self._gone: EndpointError | None = None
        self._here = ExitStack()

    def __enter__(self) -> Self:
        self._here.enter_context(self._greedy)
        self._here.enter_context(self._drawn)
        return self

    def __exit__(self, *_: object) -> None:
        self._here.close()

    def check(self) -> None:
        """Find out whether the server is there and knows the model.

        Raises:
            EndpointError: it is not, or does not.
        """
        self._greedy.check()

    def speak(self, batch: Sequence[Wanted]) -> list[Said | Exception]:
        """See ``Speaker.speak``.

        Raises:
            EndpointError: many questions one after the other failed. Where a batch also brought answers, they are
                handed over first, so that nothing is lost, and the next call raises.
        """
        if self._gone is not None:
            raise self._gone
        found: list[Said | Exception] = [EndpointError("not asked")] * len(batch)
        for endpoint, sampled in ((self._greedy, False), (self._drawn, True)):
            places = [place for place, wanted in enumerate(batch) if (wanted.draw is not None) == sampled]
            if not places:
                continue
            numbers = [batch[place].draw or 0 for place in places]
            asked = [self._messages(batch[place]) for place in places]
            for place, reply in zip(places, endpoint.ask_many_sync(asked, samples=numbers), strict=True):
                found[place] = _said(reply)
        for one in found:
            self._failed = 0 if isinstance(one, Said) else self._failed + 1
            if self._failed >= PATIENCE:
                self._gone = EndpointError(f"{PATIENCE} questions one after the other failed; the last: {one}")
        if self._gone is not None and not any(isinstance(one, Said) for one in found):
            raise self._gone
        return found

    def _messages(self, wanted: Wanted) -> Messages:
        sample, origin = wanted.prompt.sample, wanted.prompt.origin
        # Sources in the place of decoded pictures: files that a server reads are sent as they are.
        return self._style.messages(sample, origin, self._mono, pictures=cast(Any, sample.sources))


def _said(reply: Reply | EndpointError) -> Said | Exception:
    return Said(reply.text, reply.completion_tokens, reply.finished) if isinstance(reply, Reply) else reply

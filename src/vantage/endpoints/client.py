"""OpenAI-compatible servers: vLLM, SGLang, Ollama, ``transformers serve``, hosted ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
import openai

from vantage.endpoints import answers, loop
from vantage.endpoints.base import Endpoint
from vantage.endpoints.connection import FAULTS, Answer, Connection
from vantage.endpoints.replies import Again, Emit, Refusal, Reply, Request
from vantage.endpoints.retry import retry_after
from vantage.endpoints.settings import EndpointSettings
from vantage.errors import ConfigError, EndpointError

_GREETING_SECONDS = 10.0
"""After these, a check asks not again."""
_AGAIN = {408, 409, 429}
_UNREACHED = (aiohttp.ClientConnectorError, ConnectionRefusedError, socket.gaierror)
_HINTS = {
    401: "; is the key in the environment variable {key_env!r}?{unsent}",
    403: "; may the key in the environment variable {key_env!r} use this model?{unsent}",
    404: "; does the URL end as the server's API does, mostly in /v1, and does it serve this model?",
}


class ServerEndpoint(Endpoint):
    """A model behind an OpenAI-compatible server.

    The key is read from the environment when the connection is opened. It is no part of this object's text, of errors,
    or of what is kept on disk.

    Raises:
        ConfigError: settings without a URL, or a key that cannot be sent, or that is not where ``key_env`` says.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        if settings.url is None:
            raise ConfigError("a server needs its url, such as http://127.0.0.1:8000/v1")
        super().__init__(settings.model or settings.url, settings)
        self._model = settings.model
        self._link: tuple[asyncio.AbstractEventLoop, Connection] | None = None
        if self._key() is None and "key_env" in settings.model_fields_set:
            raise ConfigError(
                f"{settings.url}: key_env is {settings.key_env!r}, but this environment variable is unset or empty"
            )

    async def models(self) -> list[str]:
        """Names of the models that the server lists.

        Raises:
            EndpointError: it gives no list; says what came.
        """
        return await loop.run(self._models())

    def check(self) -> None:  # noqa: D102 - as the base
        super().check()
        loop.run_sync(self._check())

    async def _check(self) -> None:
        """Look into the list of models; one that it does not name is greeted, which is paid for."""
        listed: list[str] = []
        with contextlib.suppress(EndpointError):  # not every server has a list, and not every list is whole
            listed = await self._models()
        if any(answers.same_model(str(self._model), name) for name in listed):
            return
        longest = int(self.settings.extra.get("max_completion_tokens", 1))
        greeting = Request([{"role": "user", "content": "Hello"}], key="", seed=None, longest=longest)
        try:
            async with self._here().slots:
                await self._tries(greeting, patience=_GREETING_SECONDS)
        except EndpointError as error:
            shown = f"; it lists {self._some(listed)}" if listed else ""
            raise type(error)(f"{error}{shown}") from None

    async def _ready(self) -> None:
        if self._model is not None:
            return
        async with self._here().naming:  # the first question finds the name, the others wait for it
            if self._model is None:
                listed = await self._models()
                if len(listed) != 1:
                    raise Refusal(
                        f"{self.settings.url}: name the model, as in {self.settings.url}#name; "
                        f"it lists {self._some(listed)}"
                    )
                self._model = self.name = listed[0]

    def _identity(self) -> dict[str, Any]:
        return {"model": self._model}

    async def _call(self, request: Request, emit: Emit | None) -> Reply:
        return await self._send(self._body(request, stream=emit is not None), emit)

    async def _send(self, body: bytes, emit: Emit | None) -> Reply:
        try:
            async with asyncio.timeout(self.settings.timeout):
                reply = await (self._whole(body) if emit is None else self._pieces(body, emit))
        except TimeoutError:
            raise Again(f"no reply in {self.settings.timeout:g} seconds", charged=True) from None
        except FAULTS as error:
            raise self._trouble(error) from None
        except EndpointError as error:
            raise self._named(error) from None
        reply = answers.plain(reply, self._key())
        self._verify(reply)
        return reply

    def _verify(self, reply: Reply) -> None:
        if self.settings.check_model and not answers.same_model(str(self._model), reply.model):
            raise EndpointError(
                f"{self.name}: the reply is by {self._cleaned(reply.model)!r}; if that is the model asked for, set "
                "check_model to false"
            )

    def _body(self, request: Request, stream: bool) -> bytes:
        settings = self.settings
        body: dict[str, Any] = {
            "model": self._model,
            "messages": request.messages,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
        }
        if "max_completion_tokens" not in settings.extra:  # the name that some hosted models insist on
            body["max_tokens"] = request.longest
        if request.seed is not None:
            body["seed"] = request.seed
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(body | settings.extra).encode("ascii")

    async def _whole(self, body: bytes) -> Reply:
        answer = await self._connection().chat(body)
        if answer.status >= 300:
            raise self._status(answer)
        return answers.read(answers.decode(answer.body, answer.kind))

    async def _pieces(self, body: bytes, emit: Emit) -> Reply:
        stream = await self._connection().stream(body)
        wipe = answers.Wipe(self._key())
        text: list[str] = []
        refused: list[str] = []
        seen: dict[str, Any] = {}
        reason: object = None
        try:
            async for event in stream:
                if not isinstance(event, Mapping):
                    raise EndpointError(f"a JSON object was expected, and {answers.shape(event)} came")
                seen |= {key: event[key] for key in ("model", "usage") if event.get(key)}
                for choice in event.get("choices") or []:
                    reason = choice.get("finish_reason") or reason
                    delta = choice.get("delta") or {}
                    refused.append(delta.get("refusal") or "")
                    if piece := delta.get("content"):
                        if not isinstance(piece, str):
                            raise TypeError(f"'content' is {answers.shape(piece)}")
                        text.append(piece)
                        if sure := wipe.piece(piece):
                            emit(sure)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise EndpointError(f"an event of the stream cannot be read ({type(error).__name__}: {error})") from None
        finally:
            await stream.close()
        if reason is None:
            raise Again(f"the stream broke off after {len(''.join(text))} characters", charged=True)
        if last := wipe.rest():
            emit(last)
        return answers.finish(seen, "".join(text), reason, "".join(refused))

    async def _models(self) -> list[str]:
        try:
            async with asyncio.timeout(self.settings.timeout):
                answer = await self._connection().models()
            if answer.status >= 300:
                raise self._status(answer)
            found = answers.decode(answer.body, answer.kind)
        except TimeoutError:
            raise EndpointError(
                f"{self.settings.url}: no list of models in {self.settings.timeout:g} seconds"
            ) from None
        except Again as trouble:
            raise EndpointError(f"{self.settings.url}: {trouble}") from None
        except FAULTS as error:
            raise EndpointError(f"{self.settings.url}: {self._trouble(error)}") from None
        except EndpointError as error:
            raise self._named(error) from None
        listed = found.get("data")
        if not isinstance(listed, list):
            raise Refusal(f"{self.settings.url}: no list of models came, but {self._cleaned(answers.shape(found))}")
        return [str(entry["id"]) for entry in listed if isinstance(entry, dict) and "id" in entry]

    def _status(self, answer: Answer) -> Exception:
        """What a status other than success means."""
        status = answer.status
        try:
            said = answers.message(answers.decode(answer.body, answer.kind))
        except EndpointError as error:
            said = str(error)
        text = f"status {status}: {self._cleaned(said)}"
        if status in _AGAIN or status >= 500:
            return Again(text, retry_after(answer.retry_after))
        unsent = "" if self.settings.sends_key else " It is not sent over plain http unless key_env names it."
        hint = _HINTS.get(status, "").format(key_env=self.settings.key_env, unsent=unsent)
        return Refusal(f"{self.name}: {text}{hint}")

    def _trouble(self, error: Exception) -> Exception:
        """What a failed request means; never shows the request itself, whose headers hold the key."""
        if isinstance(error, openai.APIStatusError):
            came = error.response
            kind, wait = came.headers.get("content-type", ""), came.headers.get("retry-after")
            return self._status(Answer(came.status_code, came.content, kind, wait))
        if not isinstance(error, openai.OpenAIError) or isinstance(error, openai.APIConnectionError):
            chain = list(_chain(error))
            if distrust := [e for e in chain if isinstance(e, ssl.SSLCertVerificationError)]:
                said = self._cleaned(distrust[-1].verify_message or str(distrust[-1]))
                return Refusal(f"{self.settings.url}: its certificate is not trusted ({said})")
            # Where there was no connection, nothing was answered and nothing is charged.
            lost = not any(isinstance(e, _UNREACHED) for e in chain)
            said = self._cleaned(str(chain[-1])) or type(chain[-1]).__name__
            what = "the connection was lost" if lost else f"{self.settings.url} cannot be reached"
            return Again(f"{what} ({said})", charged=lost, reached=lost)
        return EndpointError(f"{self.name}: {type(error).__name__}: {self._cleaned(str(error))}")

    def _named(self, error: EndpointError) -> EndpointError:
        if str(error).startswith(f"{self.name}: "):
            return error
        shown = type(error)(f"{self.name}: {self._cleaned(str(error))}")
        if isinstance(error, Refusal) and isinstance(shown, Refusal):
            shown.charged = error.charged
        return shown

    def _some(self, names: list[str]) -> str:
        shown = ", ".join(repr(self._cleaned(name)) for name in sorted(names)[:8])
        return "no model" if not names else shown + (", ..." if len(names) > 8 else "")

    def _cleaned(self, text: str) -> str:
        return answers.clean(text, self._key())

    def _key(self) -> str | None:
        key = os.environ.get(self.settings.key_env, "").strip()
        if key and not (key.isascii() and key.isprintable()):
            # The library's own error would show it.
            raise ConfigError(f"the key in {self.settings.key_env} has characters that no header can hold")
        return key or None

    def _connection(self) -> Connection:
        here = self._here().loop
        if self._link is None or self._link[0] is not here:
            link = Connection(self.settings, self._key())
            self._link = (here, link)
            # An endpoint that nobody holds any more lets go of its connections.
            weakref.finalize(self, loop.later, here, link.close).atexit = False
        return self._link[1]

    async def _close(self) -> None:
        await super()._close()
        if self._link is not None and self._link[0] is asyncio.get_running_loop():
            await self._link[1].close()
        self._link = None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it, also where a library hides that."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

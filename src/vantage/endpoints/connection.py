"""What carries requests to a server. Belongs to the event loop that it is made on.

Whole replies go straight over aiohttp: the way through the OpenAI client takes as much processor time as all else
together. Streams go through the OpenAI client, which knows their format. Neither follows a redirect, which may lead
anywhere, and neither reads on where a reply has no end.
"""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai
from yarl import URL

from vantage.endpoints.settings import EndpointSettings
from vantage.errors import EndpointError

FAULTS = (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, aiohttp.ClientError)
"""What the libraries raise where there is no answer."""
LARGEST = 32 * 2**20
"""Bytes of an answer, at most; a reply of 2,048 tokens takes about a hundredth of a MiB."""
_JSON = "application/json"
_IDLE_SECONDS = 4.0
"""A connection is given up before servers do it, most of which wait 5 seconds or longer: a request that meets a
connection at its end is lost."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sent.

    Attributes:
        status: of HTTP.
        body: whole, or the first ``LARGEST`` bytes of an answer other than success.
        kind: its content type; empty where none is given.
        retry_after: the header of that name.
    """

    status: int
    body: bytes
    kind: str = ""
    retry_after: str | None = None


class Connection:
    """Connections to a server.

    Args:
        settings: where it is.
        key: sent with every request where the settings allow it.
    """

    def __init__(self, settings: EndpointSettings, key: str | None) -> None:
        self._settings = settings
        # The OpenAI client insists on one, and servers without keys do not look at it.
        self._key = (key if settings.sends_key else None) or "none"
        self._models, self._chat = (URL(f"{settings.url}/{path}") for path in ("models", "chat/completions"))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.concurrency + 4,
                keepalive_timeout=_IDLE_SECONDS,
                ssl=_certificates(settings),
            ),
            # A compressed answer may be a thousand times as large as it looks.
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": _JSON, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
            # The proxy alone: with all of the environment, a password of ~/.netrc would take the place of the key.
            proxy=_proxy(settings),
        )
        self._client: openai.AsyncOpenAI | None = None

    async def models(self) -> Answer:
        """The answer to a request for the list of models.

        Raises:
            EndpointError: a success larger than ``LARGEST``.
            FAULTS: there is no answer.
        """
        return await self._fetch("GET", self._models, None)

    async def chat(self, body: bytes) -> Answer:
        """The answer to a question, which is JSON; raises as ``models``."""
        return await self._fetch("POST", self._chat, body)

    async def _fetch(self, method: str, url: URL, body: bytes | None) -> Answer:
        async with self._session.request(method, url, data=body, allow_redirects=False) as response:
            status = response.status
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > LARGEST:
                    response.close()  # or the rest would be read before the connection is used again
                    if status < 300:
                        raise _endless()
                    break
            headers = response.headers
        return Answer(status, bytes(content), headers.get("content-type", ""), headers.get("retry-after"))

    async def stream(self, body: bytes) -> openai.AsyncStream[object]:
        """Events of the answer to a question; to be closed. Raises as ``models``, also when it is read."""
        if self._client is None:
            settings = self._settings
            http = openai.DefaultAsyncHttpxClient(
                cookies=_no_cookies(),
                trust_env=not settings.loopback,
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=settings.concurrency + 4, keepalive_expiry=_IDLE_SECONDS),
                event_hooks={"response": [_bound]},
                verify=_certificates(settings),
            )
            self._client = openai.AsyncOpenAI(
                base_url=settings.url,
                api_key=self._key,
                max_retries=0,
                timeout=settings.timeout,
                http_client=http,
            )
        return await self._client.post(
            "/chat/completions",
            content=body,
            options={"headers": {"Content-Type": _JSON, "Accept-Encoding": "identity"}},
            cast_to=object,
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )

    async def close(self) -> None:
        """Let go of all connections."""
        await self._session.close()
        if self._client is not None:
            await self._client.close()


class _Bounded(httpx2.AsyncByteStream):
    """The bytes of a stream, as far as an answer may be long: more of a success is an error."""

    def __init__(self, stream: httpx2.AsyncByteStream, success: bool) -> None:
        self._stream, self._success = stream, success

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for chunk in self._stream:
            total += len(chunk)
            if total > LARGEST:
                if self._success:
                    raise _endless()
                return
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity") != "identity":
        await response.aclose()
        raise EndpointError("a compressed stream came, which was not asked for")
    response.stream = _Bounded(response.stream, response.is_success)  # type: ignore[arg-type]


def _no_cookies() -> CookieJar:
    """Takes none and gives none: they would tie questions together, and one that no header can hold ends them all."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def _certificates(settings: EndpointSettings) -> ssl.SSLContext:
    # Reading all of them takes a tenth of a second, and plain http on this machine needs none.
    if settings.loopback and str(settings.url).startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.create_ssl_context()


def _endless() -> EndpointError:
    return EndpointError(f"no reply: more than {LARGEST // 2**20} MiB came, and it was not read further")


def _proxy(settings: EndpointSettings) -> str | None:
    """The proxy of the environment, which cannot reach a server on this machine."""
    parts = urlsplit(str(settings.url))
    if settings.loopback or urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme, proxies.get("all"))

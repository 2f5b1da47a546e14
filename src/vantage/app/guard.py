"""A page on loopback answers the browser of this machine, and no web page that this browser happens to show."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

ASGI = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]

REFUSED = (
    b"Refused: a page on loopback answers requests that name localhost or an address, and that come from itself. "
    b"From another machine, reach it through an SSH tunnel."
)


class OwnPageOnly:
    """Refuses what another page sends here, and what comes under a name that anybody may point at 127.0.0.1.

    Gradio tells browsers who may *read* its replies. By then the request has been carried out; and to a page whose own
    name was made to lead here (DNS rebinding) the replies may be read.

    Args:
        app: what is guarded.
    """

    def __init__(self, app: ASGI) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Hand over the request, or answer 403."""
        headers = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
        if scope["type"] not in ("http", "websocket") or allowed(headers.get(b"host", ""), headers.get(b"origin")):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            kind = [(b"content-type", b"text/plain"), (b"content-length", str(len(REFUSED)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": kind})
            await send({"type": "http.response.body", "body": REFUSED})


def allowed(host: str, origin: str | None) -> bool:
    """Whether a request to ``host`` from the page ``origin`` is one of our own page.

    Args:
        host: the request's header: ``localhost`` or an address, which nobody can point elsewhere, with or without port.
        origin: of the page that sent it; ``None`` where the browser names none, as when an address is typed.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if origin is not None and urlsplit(origin.lower()).netloc != host.lower():
            return False
    except ValueError:
        return False
    return name == "localhost" or _address(name) is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on ``host``."""
    address = _address(host.strip("[]"))
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None

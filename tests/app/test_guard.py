"""Who may ask a page on loopback."""

import asyncio

import pytest

from vantage.app.guard import OwnPageOnly, allowed, is_loopback


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("127.0.0.1:7860", None, True),
        ("127.0.0.1:7860", "http://127.0.0.1:7860", True),
        ("localhost:7860", "http://localhost:7860", True),
        ("LOCALHOST:7860", "http://localhost:7860", True),
        ("[::1]:7860", "http://[::1]:7860", True),
        ("localhost", None, True),
        # A name that its owner makes lead to 127.0.0.1.
        ("evil.example:7860", "http://evil.example:7860", False),
        ("evil.example", None, False),
        ("localhost.evil.example", None, False),
        ("127.0.0.1.evil.example:7860", None, False),
        # A page from elsewhere, also of another program of this machine.
        ("127.0.0.1:7860", "http://evil.example", False),
        ("127.0.0.1:7860", "http://127.0.0.1:3000", False),
        ("127.0.0.1:7860", "http://localhost:7860", False),
        ("127.0.0.1:7860", "null", False),
        ("127.0.0.1:7860", "", False),
        # No host, and hosts that are none.
        ("", None, False),
        ("[::1", None, False),
        ("127.0.0.1:7860", "http://[", False),
        ("user@127.0.0.1@evil.example", None, False),
        ("evil.example#@127.0.0.1", None, False),
        ("127.0.0.1 evil.example", None, False),
    ],
)
def test_a_request_comes_from_the_page_itself(host, origin, expected):
    assert allowed(host, origin) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),  # noqa: S104 - only looked at
        ("192.168.1.5", False),
        ("box.lan", False),
    ],
)
def test_loopback(host, expected):
    assert is_loopback(host) is expected


def test_what_is_refused_never_reaches_the_page():
    reached, sent = [], []

    async def page(scope, receive, send):
        reached.append(scope["path"])

    async def send(message):
        sent.append(message)

    async def go():
        for kind, host in (("http", b"evil.example"), ("websocket", b"evil.example"), ("http", b"localhost")):
            await OwnPageOnly(page)({"type": kind, "path": host, "headers": [(b"host", host)]}, None, send)
        await OwnPageOnly(page)({"type": "lifespan", "path": "start"}, None, send)

    asyncio.run(go())
    assert reached == [b"localhost", "start"]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body", "websocket.close"]
    assert sent[0]["status"] == 403 and b"SSH" in sent[1]["body"]

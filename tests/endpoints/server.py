"""A chat server on loopback that misbehaves on command, in a thread of its own.

    with Server(behaviour) as server:
        endpoint = open_endpoint(f"{server.url}#echo")

``behaviour(number, body)`` says what happens to a request: ``number`` counts requests from 0, ``body`` is its JSON.
It returns a name of ``Server``'s methods ``do_...``, or ``(name, argument, ...)``. A request counts as *paid* where its
reply is sent whole.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from vantage.endpoints import Endpoint, EndpointSettings, open_endpoint

Behaviour = Callable[[int, dict[str, Any]], "str | tuple[str, Any]"]


class Server:
    """Replies with the last message in capitals; see the module."""

    def __init__(self, behaviour: Behaviour = lambda number, body: "answer", *, latency: float = 0.0, usage=None):
        self.behaviour, self.latency, self.usage = behaviour, latency, usage
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paid: list[str] = []
        self.under_way = self.most_under_way = 0
        self._started = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, limit=2**26, backlog=256)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                line, *rest = head.split("\r\n")
                headers = {k.lower(): v for k, _, v in (row.partition(": ") for row in rest if row)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.headers.append(headers)
                if line.startswith("GET"):
                    await self._send(writer, 200, json.dumps({"data": [{"id": "echo"}]}))
                    continue
                await self._one(writer, json.loads(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    async def _one(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        number = len(self.requests)
        self.requests.append(body)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            what = self.behaviour(number, body)
            name, *argument = (what,) if isinstance(what, str) else what
            if self.latency:
                await asyncio.sleep(self.latency)
            await getattr(self, f"do_{name}")(writer, body, *argument)
        finally:
            self.under_way -= 1

    def reply(self, body: dict[str, Any], **choice: Any) -> dict[str, Any]:
        text = self.text(body)
        message = {"role": "assistant", "content": text}
        usage = self.usage or {"prompt_tokens": 10, "completion_tokens": 5}
        first = {"index": 0, "message": message, "finish_reason": "stop", **choice}
        return {"id": "x", "object": "chat.completion", "model": body["model"], "choices": [first], "usage": usage}

    @staticmethod
    def text(body: dict[str, Any]) -> str:
        content = body["messages"][-1]["content"]
        return content.upper() if isinstance(content, str) else "PARTS"

    async def do_answer(self, writer, body, **choice):
        if body.get("stream"):
            await self.do_stream(writer, body)
        else:
            self.paid.append(self.text(body))  # before the asker can know
            await self.do_json(writer, body, self.reply(body, **choice))

    async def do_json(self, writer, body, content):
        await self._send(writer, 200, json.dumps(content))

    async def do_choice(self, writer, body, choice):
        await self.do_json(writer, body, self.reply(body, **choice))

    async def do_raw(self, writer, body, text, status=200, kind="application/json"):
        await self._send(writer, status, text, kind)

    async def do_status(self, writer, body, status, headers=(), message="as told"):
        await self._send(writer, status, json.dumps({"error": {"message": message}}), extra=headers)

    async def do_slow(self, writer, body, seconds):
        await asyncio.sleep(seconds)
        await self.do_answer(writer, body)

    async def do_hang(self, writer, body):
        await self._stop.wait()

    async def do_trickle(self, writer, body):
        """A byte now and then, so that no read ever waits for long."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
        while not self._stop.is_set():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def do_drop(self, writer, body):
        writer.transport.abort()

    async def do_bytes(self, writer, body, content):
        writer.write(content)
        await writer.drain()
        writer.close()

    async def do_parts(self, writer, body, parts):
        """Bytes, part by part; ``None`` says nothing more and stays."""
        for part in parts:
            if part is None:
                await self._stop.wait()
                return
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async def do_half(self, writer, body):
        """The headers promise more than comes."""
        text = json.dumps(self.reply(body)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text))
        writer.write(text[: len(text) // 2])
        await writer.drain()
        writer.close()

    async def do_stream(self, writer, body, stop_after=None, end=True):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        text = self.text(body)
        pieces = [text[i : i + 3] for i in range(0, len(text), 3)]
        events: list[dict[str, Any]] = [
            {"model": body["model"], "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
            for piece in pieces[:stop_after]
        ]
        if end:
            events.append({"model": body["model"], "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            events.append({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})
        for event in events:
            writer.write(f"data: {json.dumps(event)}\n\n".encode())
            await writer.drain()
        if end:
            self.paid.append(text)
            writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        writer.close()

    async def do_event(self, writer, body, line):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        writer.write(f"data: {line}\n\n".encode())
        await writer.drain()
        writer.close()

    async def _send(self, writer, status, text, kind="application/json", extra=()):
        content = text.encode("utf-8", "surrogatepass")
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        writer.write((head + "".join(f"{k}: {v}\r\n" for k, v in extra) + "\r\n").encode() + content)
        await writer.drain()


def says(text: str) -> list[dict[str, Any]]:
    """A question."""
    return [{"role": "user", "content": text}]


def at(server: Server, **settings: Any) -> Endpoint:
    """An endpoint that asks a server, patient in small steps."""
    given = {"url": server.url, "model": "echo", "timeout": 5, "backoff": 0.01, "retries": 3, **settings}
    return open_endpoint(EndpointSettings(**given))


def pieces(endpoint: Endpoint, text: str) -> list[str]:
    """Those in which a reply comes."""

    async def collect():
        found = []
        async for piece in endpoint.stream(says(text)):
            found.append(piece)  # noqa: PERF401 - what came before an error counts
        return found

    return asyncio.run(collect())

"""How long many questions take at a server of known latency, over the least that they can take.

    python benchmarks/endpoint_throughput.py --questions 1000 --concurrency 32 --latency 0.05

The server runs in a process of its own, waits for the latency and answers. The ideal is questions / concurrency *
latency: no client that keeps to the concurrency can be faster. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vantage.endpoints import EndpointSettings, Reply, open_endpoint

CAPTION = "A red square stands left of two blue circles; the infrared picture shows one warm person behind them. " * 4


REPLY = {
    "model": "m",
    "choices": [{"message": {"role": "assistant", "content": "\\boxed{2}"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 4},
}


class Server(asyncio.Protocol):
    """One client; the same reply to every question, made once, so that the time that is measured is the client's."""

    def __init__(self, latency: float) -> None:
        self.latency, self.came = latency, b""
        text = json.dumps(REPLY)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        self.reply = (head + text).encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self.transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: D102
        self.came += data
        head, end, rest = self.came.partition(b"\r\n\r\n")
        if end and len(rest) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            self.came = b""  # a client sends its next question after the reply
            asyncio.get_running_loop().call_later(self.latency, self.transport.write, self.reply)


async def serve(latency: float) -> None:
    """Answer chat requests on a free port, which is printed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(latency), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the parent is gone


@contextmanager
def server(latency: float) -> Iterator[str]:
    """URL of a server in a process of its own."""
    command = [sys.executable, __file__, "--serve", str(latency)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.communicate("")


def measure(questions: int, concurrency: int, latency: float, rounds: int, cache: bool = False) -> dict[str, object]:
    """Seconds of each round, and their ratio to the ideal; every question is another one."""
    seconds, processor = [], []
    with server(latency) as url, tempfile.TemporaryDirectory() as folder:
        settings = EndpointSettings(
            url=url, model="m", concurrency=concurrency, cache=Path(folder) / "replies.sqlite" if cache else None
        )
        with open_endpoint(settings) as endpoint:
            endpoint.ask_sync([{"role": "user", "content": "The first opens the connection."}])
            for number in range(rounds):
                asked = [[{"role": "user", "content": f"{number}.{i}: {CAPTION}"}] for i in range(questions)]
                start, spent = time.perf_counter(), time.process_time()
                replies = endpoint.ask_many_sync(asked)
                seconds.append(time.perf_counter() - start)
                processor.append(time.process_time() - spent)
                assert all(isinstance(reply, Reply) and not reply.cached for reply in replies)
    ideal = questions / concurrency * latency
    return {
        "questions": questions,
        "concurrency": concurrency,
        "latency": latency,
        "cache": cache,
        "ideal_seconds": ideal,
        "seconds": [round(value, 4) for value in seconds],
        "processor_seconds": [round(value, 4) for value in processor],
        "processor_milliseconds_a_question": round(1000 * statistics.median(processor) / questions, 4),
        "ratio_median": round(statistics.median(seconds) / ideal, 4),
        "ratio_least": round(min(seconds) / ideal, 4),
        "ratio_largest": round(max(seconds) / ideal, 4),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cache", action="store_true", help="keep every reply on disk, as a run does")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        asyncio.run(serve(given.serve))
        return
    print(json.dumps(measure(given.questions, given.concurrency, given.latency, given.rounds, given.cache), indent=2))


if __name__ == "__main__":
    main()

"""A real OpenAI-compatible server: `transformers serve`, in a process of its own, with a model that the test builds."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from endpoints.tiny_text import build_tiny_text
from vantage.endpoints import EndpointSettings, open_endpoint
from vantage.errors import EndpointError

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = build_tiny_text(tmp_path_factory.mktemp("served"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = shutil.which("transformers", path=str(Path(sys.executable).parent)) or "transformers"
    process = subprocess.Popen(
        [command, "serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert process.poll() is None, process.stdout.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield folder, f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.communicate(timeout=30)


@pytest.mark.slow
def test_a_served_model_says_what_it_says_at_home(served, tmp_path):
    folder, url = served
    questions = [[{"role": "user", "content": f"question {i}" + "?" * i}] for i in range(6)]
    settings = {"model": str(folder), "max_tokens": 16, "timeout": 60, "cache": tmp_path / "cache"}
    with (
        open_endpoint(EndpointSettings(url=url, **settings)) as far,
        open_endpoint(EndpointSettings(model=str(folder), max_tokens=16, device="cpu")) as near,
    ):
        theirs, ours = far.ask_many_sync(questions), near.ask_many_sync(questions)
        assert [reply.text for reply in theirs] == [reply.text for reply in ours]
        assert [reply.prompt_tokens for reply in theirs] == [reply.prompt_tokens for reply in ours]
        assert all(reply.cached for reply in far.ask_many_sync(questions))

        async def streamed():
            question = [{"role": "user", "content": "stream"}]
            return "".join([piece async for piece in far.stream(question)]), await near.ask(question)

        pieces, whole = asyncio.run(streamed())
        assert pieces == whole.text
        far.check()


@pytest.mark.slow
def test_a_model_that_is_not_served_is_an_error_that_says_so(served):
    _, url = served
    with (
        open_endpoint(EndpointSettings(url=url, model="no-such/model", timeout=60, retries=0)) as endpoint,
        pytest.raises(EndpointError),
    ):
        endpoint.ask_sync([{"role": "user", "content": "a"}])

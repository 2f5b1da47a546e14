"""Connections to servers: closed in the end, bounded, and never led elsewhere with the key."""

import asyncio
import http.server
import json
import shutil
import ssl
import subprocess
import sys
import threading

import pytest

from endpoints.server import Server
from vantage.endpoints import EndpointSettings, connection, open_endpoint
from vantage.errors import EndpointError

KEY = "sk-very-secret-0123456789abcdef"
QUESTION = [{"role": "user", "content": "a"}]


def at(url, **settings):
    given = {"url": url, "model": "echo", "timeout": 5, "backoff": 0.01, "retries": 0, **settings}
    return open_endpoint(EndpointSettings(**given))


def streamed(endpoint):
    async def collect():
        return "".join([piece async for piece in endpoint.stream(QUESTION)])

    return asyncio.run(collect())


OPEN = """
import sys
from vantage.endpoints import EndpointSettings, open_endpoint
from vantage.errors import EndpointError

def checked(url):
    endpoint = open_endpoint(EndpointSettings(url=url, model="echo", retries=0))
    try:
        endpoint.check()
    except EndpointError as error:
        print(error)
    return endpoint

for url in sys.argv[1:]:
    checked(url).close()
    held = checked(url)
    checked(url)  # dropped at once, and the process ends before anything else happens
"""


def test_a_process_ends_without_complaints_about_connections():
    """Closed, held, and dropped by whoever had them; with a server and without."""
    for there in (False, True):
        with Server() as server:
            url = server.url if there else "http://127.0.0.1:9/v1"
            command = [sys.executable, "-c", OPEN, url]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.count("cannot be reached") == (0 if there else 3)
        assert done.stderr == ""


def sse(*events, done=True):
    body = "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events)
    return (body + "data: [DONE]\n\n" * done).encode()


def told(text, reason=None, model="echo"):
    return {"model": model, "choices": [{"delta": {"content": text}, "finish_reason": reason}]}


def chunks(content, size):
    """A body in chunks of so many bytes, wherever characters end."""
    pieces = [content[i : i + size] for i in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def head(kind, rest="Transfer-Encoding: chunked"):
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{rest}\r\n\r\n".encode()


FOREIGN = "Zwölf Boxkämpfer 拳击 🥊👩🏽‍🚀"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_characters_may_be_cut_by_chunks(size):
    whole = {"model": "echo", "choices": [{"message": {"content": FOREIGN}, "finish_reason": "stop"}]}
    content = json.dumps(whole, ensure_ascii=False).encode()
    parts = [head("application/json"), chunks(content, size)]
    with Server(lambda n, b: ("parts", parts)) as server, at(server.url) as endpoint:
        assert endpoint.ask_sync(QUESTION).text == FOREIGN
    events = [json.dumps(told(piece), ensure_ascii=False) for piece in FOREIGN]
    content = sse(*events, told("", "stop"))
    # As many writes as bytes, so that reads end inside characters too.
    parts = [
        head("text/event-stream", "Connection: close"),
        *(content[i : i + size] for i in range(0, len(content), size)),
    ]
    with Server(lambda n, b: ("parts", parts)) as server, at(server.url) as endpoint:
        assert streamed(endpoint) == FOREIGN


def test_bytes_that_are_no_text_are_an_error():
    broken = json.dumps({"choices": [{"message": {"content": "ABC"}}]}).encode().replace(b"B", b"\xff")
    parts = [head("application/json"), chunks(broken, 9)]
    with (
        Server(lambda n, b: ("parts", parts)) as server,
        at(server.url) as endpoint,
        pytest.raises(EndpointError, match="no JSON came"),
    ):
        endpoint.ask_sync(QUESTION)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_a_server_that_says_yes_and_then_nothing_is_waited_for_no_longer_than_said(kind):
    with (
        Server(lambda n, b: ("parts", [head(kind), None])) as server,
        at(server.url, timeout=0.3) as endpoint,
        pytest.raises(EndpointError, match=r"no reply in 0\.3 seconds"),
    ):
        streamed(endpoint) if "event" in kind else endpoint.ask_sync(QUESTION)


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("asked", ["whole", "streamed", "streamed, one line"])
def test_an_answer_without_end_is_not_read_to_its_end(asked, status, monkeypatch):
    """The server would send a hundred times as much as is allowed."""
    monkeypatch.setattr(connection, "LARGEST", 2**20)
    line = b"x" * 2**16 if "line" in asked or status != 200 or asked == "whole" else sse(told("x" * 2**16), done=False)
    start = head("text/event-stream", "Connection: close").replace(b"200", b"%d" % status)
    sent = []

    def parts():
        yield start
        for _ in range(1600):
            sent.append(len(line))
            yield line

    with (
        Server(lambda n, b: ("parts", parts())) as server,
        at(server.url) as endpoint,
        pytest.raises(EndpointError, match="more than 1 MiB" if status == 200 else f"status {status}"),
    ):
        endpoint.ask_sync(QUESTION) if asked == "whole" else streamed(endpoint)
    assert sum(sent) < 20 * 2**20


def test_a_small_body_that_unpacks_to_a_large_one_is_not_unpacked_whole(monkeypatch):
    import gzip

    monkeypatch.setattr(connection, "LARGEST", 2**20)
    bomb = gzip.compress(b" " * 2**26)
    start = head("application/json", f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}")
    with Server(lambda n, b: ("parts", [start, bomb])) as server, at(server.url) as endpoint:
        with pytest.raises(EndpointError, match="more than 1 MiB"):
            endpoint.ask_sync(QUESTION)
        with pytest.raises(EndpointError, match="compressed stream"):
            streamed(endpoint)
        assert server.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_error_and_takes_no_key_elsewhere(status, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Server() as other:
        moved = ("status", status, [("Location", f"http://localhost:{other.port}/v1/chat/completions")], "moved")
        with Server(lambda n, b: moved) as server, at(server.url) as endpoint:
            for ask in (endpoint.ask_sync, lambda _: streamed(endpoint)):
                with pytest.raises(EndpointError, match=f"status {status}"):
                    ask(QUESTION)
            assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        assert other.headers == []


@pytest.mark.parametrize("check", [True, False])
def test_a_stream_of_another_model_is_an_error(check):
    content = [head("text/event-stream", "Connection: close"), sse(told("A", "stop", "other"))]
    with Server(lambda n, b: ("parts", content)) as server, at(server.url, check_model=check) as endpoint:
        if check:
            with pytest.raises(EndpointError, match="by 'other'"):
                streamed(endpoint)
        else:
            assert streamed(endpoint) == "A"
        assert endpoint.stats.failures == int(check)


def test_the_proxy_of_the_environment_is_asked_and_no_password_of_netrc_is_sent(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine models.example login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("MY_KEY", KEY)
    with Server() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with at("http://models.example/v1", key_env="MY_KEY") as endpoint:
            assert endpoint.ask_sync(QUESTION).text == "A"
            assert streamed(endpoint) == "A"
    assert {sent["host"] for sent in proxy.headers} == {"models.example"}
    assert {sent["authorization"] for sent in proxy.headers} == {f"Bearer {KEY}"}


def test_hosts_that_the_environment_excepts_are_asked_without_a_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "models.example")
    assert connection._proxy(EndpointSettings(url="http://models.example/v1", model="m")) is None
    assert connection._proxy(EndpointSettings(url="http://models.example:8000/v1", model="m")) is None
    assert connection._proxy(EndpointSettings(url="http://other.example/v1", model="m")) == "http://127.0.0.1:9"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate, and is not here")
def test_a_certificate_that_is_not_trusted_is_an_error_at_once_that_says_so(tmp_path):
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", tmp_path / "key", "-out", tmp_path / "cert"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        with at(f"https://localhost:{server.server_port}/v1", retries=50, backoff=5) as endpoint:
            for ask in (endpoint.ask_sync, lambda _: streamed(endpoint), lambda _: endpoint.check()):
                with pytest.raises(EndpointError, match=r"its certificate is not trusted \(self-signed certificate\)"):
                    ask(QUESTION)
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


@pytest.mark.parametrize("cookie", [b"a=\xff", b"sid=42; Path=/"], ids=["no header can hold it", "of a visitor"])
def test_no_cookie_is_taken_and_none_given_back(cookie):
    """A host's name, since cookie jars take none from bare addresses."""
    answered = json.dumps({"model": "echo", "choices": [{"message": {"content": "A"}, "finish_reason": "stop"}]})
    contents = {True: sse(told("A", "stop")), False: answered.encode()}

    def behaviour(number, body):
        start = head("application/json" if not body.get("stream") else "text/event-stream", "Connection: close")
        start = start.replace(b"Connection", b"Set-Cookie: " + cookie + b"\r\nConnection")
        return ("bytes", start + contents[bool(body.get("stream"))])

    with Server(behaviour) as server, at(server.url.replace("127.0.0.1", "localhost")) as endpoint:
        assert [streamed(endpoint) for _ in range(3)] == ["A"] * 3
        assert [endpoint.ask_sync(QUESTION).text for _ in range(2)] == ["A"] * 2
        assert [headers.get("cookie") for headers in server.headers] == [None] * 5

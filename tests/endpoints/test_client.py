"""Servers that misbehave on command: nothing is lost, paid twice or waited for without end."""

import asyncio
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from endpoints.server import Server, at, pieces, says
from vantage.endpoints import EndpointSettings, Refusal, open_endpoint
from vantage.endpoints.connection import Answer
from vantage.errors import ConfigError, EndpointError

KEY = "sk-very-secret-0123456789abcdef"


def test_a_reply_says_all_that_is_known_of_it():
    with Server() as server, at(server) as endpoint:
        reply = endpoint.ask_sync(says("hello"))
        assert (reply.text, reply.finished, reply.model, reply.cached) == ("HELLO", True, "echo", False)
        assert (reply.prompt_tokens, reply.completion_tokens) == (10, 5)
        assert 0 < reply.seconds < 5
        sent = server.requests[0]
        assert sent["messages"] == says("hello")
        assert (sent["model"], sent["max_tokens"], sent["temperature"]) == ("echo", 2048, 0)
        assert endpoint.stats.calls == 1 and endpoint.stats.prompt_tokens == 10


def test_a_reply_that_the_length_limit_cut_is_not_finished():
    with Server(lambda n, b: ("choice", {"finish_reason": "length"})) as server, at(server) as endpoint:
        assert not endpoint.ask_sync(says("a")).finished


def test_a_reply_that_was_cut_while_it_reasoned_aside_is_empty_and_not_finished():
    cut = {"finish_reason": "length", "message": {"content": None, "reasoning_content": "hm"}}
    with Server(lambda n, b: ("choice", cut)) as server, at(server) as endpoint:
        reply = endpoint.ask_sync(says("a"))
        assert (reply.text, reply.finished) == ("", False)


@pytest.mark.parametrize(
    "trouble",
    [
        ("status", 408),
        ("status", 409),
        ("status", 429, [("Retry-After", "0")]),
        ("status", 500),
        ("status", 503),
        ("raw", "<html><body>Bad gateway</body></html>", 502, "text/html"),
        "drop",
        "half",
        "hang",
        "trickle",
    ],
    ids=str,
)
def test_what_passes_is_asked_again_and_paid_once(trouble):
    def behaviour(number, body):
        return trouble if number < 2 else "answer"

    with Server(behaviour) as server, at(server, timeout=0.3) as endpoint:
        start = time.perf_counter()
        assert endpoint.ask_sync(says("a")).text == "A"
        assert time.perf_counter() - start < 5
        assert server.paid == ["A"]
        assert (endpoint.stats.calls, endpoint.stats.retries, endpoint.stats.failures) == (3, 2, 0)


@pytest.mark.parametrize("trouble", [("status", 500), "drop", "half", "hang", "trickle"], ids=str)
def test_what_does_not_pass_ends_in_an_error_that_says_what_came(trouble):
    with Server(lambda n, b: trouble) as server, at(server, timeout=0.2, retries=2) as endpoint:
        with pytest.raises(EndpointError, match=r"echo: .*(500|lost|no reply in 0.2).*tried 3 times"):
            endpoint.ask_sync(says("a"))
        stats = endpoint.stats
        assert (stats.calls, stats.retries, stats.failures) == (3, 2, 1) and server.paid == []


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (("status", 400, [], "context is 8 tokens"), "status 400: context is 8 tokens"),
        (("status", 401, [], "who are you"), "who are you.*environment variable 'OPENAI_API_KEY'"),
        (("status", 404, [], "no such model"), "no such model.*mostly in /v1"),
        (("status", 422, [], "x" * 9999), r"x{240}\.\.\. \("),
        (("status", 302, [("Location", "http://example.org")], "moved"), "302"),
        (("raw", "<html>Log in to the network</html>", 200, "text/html"), "no JSON.*text/html: <html>Log in"),
        (("raw", '{"choices": [', 200), "no JSON came.*choices"),
        (("raw", "", 200), "an empty body"),
        (("raw", "[" * 100_000, 200), r"no JSON came \(RecursionError\)"),
        (("raw", '{"usage": ' + "9" * 5000 + "}", 200), "no JSON came"),
        (("raw", '"text"', 200), "a JSON object was expected"),
        (("raw", '{"error": {"message": "overloaded"}}', 200), "error came with status 200: overloaded"),
        (("json", {"choices": []}), r"'choices' is \[\]"),
        (("json", {"choices": None}), "'choices' is null"),
        (("json", {"choices": [None]}), "the first choice is null"),
        (("json", {"choices": [{"message": "hi"}]}), "the first choice is"),
        (("choice", {"message": {"content": None}}), "'content' is null.*stop"),
        (("choice", {"message": {"content": 7}}), "'content' is 7"),
        (("choice", {"finish_reason": "content_filter"}), "holds the reply back: content_filter"),
        (("choice", {"message": {"content": None, "refusal": "I will not"}}), "holds the reply back: I will not"),
        (("json", {"model": "other", "choices": [{"message": {"content": "a"}}]}), "by 'other'.*check_model"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_reply_is_an_error_at_once_that_says_what_came(trouble, said):
    with Server(lambda n, b: trouble) as server, at(server) as endpoint:
        with pytest.raises(EndpointError, match=said) as caught:
            endpoint.ask_sync(says("a"))
        assert len(server.requests) == 1
        assert len(str(caught.value)) < 600
        assert caught.value.__cause__ is None, "the library's own error shows the request"


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\xff" * 50,
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        CHUNKED + b"zz\r\nbad\r\n",
        CHUNKED + b'5\r\n{"ch',
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_what_is_no_http_is_an_error_in_its_place(content):
    with Server(lambda n, b: ("bytes", content)) as server, at(server, retries=1) as endpoint:
        (error,) = endpoint.ask_many_sync([says("a")])
        assert isinstance(error, EndpointError)
        assert str(error).startswith("echo: ") and len(str(error)) < 600
        with pytest.raises(EndpointError, match="echo: "):
            pieces(endpoint, "a")


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": -3, "completion_tokens": "5"}, {"prompt_tokens": 1e9}])
def test_counts_that_are_none_count_nothing(usage):
    reply = {"model": "echo", "choices": [{"message": {"content": "a"}}], "usage": usage}
    with Server(lambda n, b: ("json", reply)) as server, at(server) as endpoint:
        found = endpoint.ask_sync(says("a"))
        assert (found.text, found.prompt_tokens, found.completion_tokens) == ("a", 0, 0)


@pytest.mark.parametrize("name", ["echo-2026-01-01", "org/echo", "echo:latest", "Echo", "org/echo@main"])
def test_versions_and_paths_are_names_of_the_same_model(name):
    reply = {"model": name, "choices": [{"message": {"content": "a"}}]}
    with Server(lambda n, b: ("json", reply)) as server, at(server) as endpoint:
        assert endpoint.ask_sync(says("a")).model == name


def test_the_wait_that_a_server_asks_for_is_kept():
    def behaviour(number, body):
        return ("status", 429, [("Retry-After", "0.4")]) if number == 0 else "answer"

    with Server(behaviour) as server, at(server, backoff=0) as endpoint:
        start = time.perf_counter()
        endpoint.ask_sync(says("a"))
        assert 0.4 <= time.perf_counter() - start < 2


def test_many_questions_keep_their_order_and_failures_are_values():
    """Every third request is refused, every fifth fails first, and replies come in another order than questions."""
    failed = set()

    def behaviour(number, body):
        i = int(body["messages"][0]["content"].split()[1])
        if i % 3 == 0:
            return ("status", 400)
        if i % 5 == 0 and i not in failed:
            failed.add(i)
            return "drop"
        return ("slow", 0.02 if i % 2 else 0.0)

    with Server(behaviour) as server, at(server, concurrency=8) as endpoint:
        told = []
        replies = endpoint.ask_many_sync([says(f"q {i}") for i in range(60)], progress=lambda *x: told.append(x))
        assert len(replies) == 60
        for i, reply in enumerate(replies):
            assert isinstance(reply, Refusal) if i % 3 == 0 else reply.text == f"Q {i}"
        assert sorted(server.paid) == sorted(f"Q {i}" for i in range(60) if i % 3)
        assert 2 <= server.most_under_way <= 8
        assert told[-1] == (60, 60) and len(told) == 60


def test_a_server_that_is_not_there_is_an_error_that_names_it():
    with Server() as server:
        url = server.url
    told = rf"{url} cannot be reached.*tried 2 times"
    with at(server, url=url, retries=1, backoff=0) as endpoint, pytest.raises(EndpointError, match=told):
        endpoint.ask_sync(says("a"))
    start = time.perf_counter()
    with (
        at(server, url=url, retries=50, backoff=5) as endpoint,
        pytest.raises(EndpointError, match="cannot be reached"),
    ):
        endpoint.check()
    assert time.perf_counter() - start < 3, "who is not there is not waited for"


def test_it_is_asked_from_running_loops_threads_and_plain_code_alike():
    with Server(latency=0.01) as server, at(server) as endpoint:

        async def inside():
            here = await endpoint.ask(says("awaited"))
            # As TRL's trainer calls a reward in a running loop: the loop stands still meanwhile.
            return here.text, endpoint.ask_sync(says("waited for")).text

        assert asyncio.run(inside()) == ("AWAITED", "WAITED FOR")
        assert asyncio.run(inside())[0] == "AWAITED"  # a second loop, over the same connections
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda i: endpoint.ask_sync(says(f"t {i}")).text, range(40)))
        assert found == [f"T {i}" for i in range(40)]


def test_equal_questions_at_once_are_paid_once():
    with Server(latency=0.1) as server, at(server) as endpoint:
        replies = endpoint.ask_many_sync([says("same")] * 20)
        assert [reply.text for reply in replies] == ["SAME"] * 20
        assert server.paid == ["SAME"]
        assert sum(not reply.cached for reply in replies) == 1
        assert endpoint.stats.cached == 19


def test_sampled_replies_to_equal_questions_are_drawn_apart():
    with Server() as server, at(server, temperature=0.7, seed=3) as endpoint:
        endpoint.ask_many_sync([says("same")] * 4)
        assert len(server.paid) == 4
        seeds = [body["seed"] for body in server.requests]
        assert len(set(seeds)) == 4 and all(0 <= seed < 2**31 for seed in seeds)
        again = at(server, temperature=0.7, seed=3)
        again.ask_many_sync([says("same")] * 4)
        assert sorted(body["seed"] for body in server.requests[4:]) == sorted(seeds)
        again.close()


def test_a_caller_who_leaves_stops_neither_the_others_nor_what_is_paid():
    with Server(latency=0.2) as server, at(server) as endpoint:

        async def leave():
            first = asyncio.create_task(endpoint.ask(says("a")))
            second = asyncio.create_task(endpoint.ask(says("a")))
            await asyncio.sleep(0.1)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await second

        assert asyncio.run(leave()).text == "A"
        assert len(server.requests) == 1


def test_closing_ends_what_is_under_way_and_a_later_question_opens_anew():
    with Server(lambda n, b: "hang" if n == 0 else "answer") as server:
        endpoint = at(server, timeout=30)
        found = []

        def ask():
            with pytest.raises(EndpointError, match="closed"):
                endpoint.ask_sync(says("a"))
            found.append(True)

        thread = threading.Thread(target=ask)
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        endpoint.close()
        thread.join(5)
        assert found
        assert endpoint.ask_sync(says("b")).text == "B"
        endpoint.close()


def test_a_server_with_one_model_needs_no_name():
    with Server() as server, open_endpoint(server.url) as endpoint:
        replies = endpoint.ask_many_sync([says(f"{i}") for i in range(5)])
        assert {reply.model for reply in replies} == {"echo"} == {endpoint.name}
        endpoint.check()


def test_a_check_finds_out_whether_a_model_can_be_asked():
    with Server() as server:
        at(server).check()
        assert not server.requests, "a model that is listed costs nothing"
        at(server, model="hidden").check()
        assert [body["max_tokens"] for body in server.requests] == [1], "one that is not is greeted"
    refuse = ("status", 404, [], "no such model")
    with (
        Server(lambda n, b: refuse) as server,
        at(server, model="another") as endpoint,
        pytest.raises(Refusal, match=r"no such model.*it lists 'echo'"),
    ):
        endpoint.check()
    reply = {"model": "other", "choices": [{"message": {"content": "a"}}]}
    with (
        Server(lambda n, b: ("json", reply)) as server,
        at(server, model="another") as endpoint,
        pytest.raises(EndpointError, match="by 'other'"),
    ):
        endpoint.check()


def test_a_check_greets_again_but_not_for_long(monkeypatch):
    with Server(lambda n, b: ("status", 503) if n == 0 else "answer") as server, at(server, model="hidden") as endpoint:
        endpoint.check()
        assert (endpoint.stats.calls, endpoint.stats.retries) == (2, 1)
    monkeypatch.setattr("vantage.endpoints.client._GREETING_SECONDS", 0.5)
    for trouble in ("hang", ("status", 429, [("Retry-After", "60")])):
        with Server(lambda n, b, it=trouble: it) as server, at(server, model="hidden", timeout=0.6) as endpoint:
            start = time.perf_counter()
            with pytest.raises(EndpointError, match=r"hidden: (no reply in|status 429).*; it lists 'echo'"):
                endpoint.check()
            assert time.perf_counter() - start < 5 and len(server.requests) == 1


def test_names_that_a_server_lists_are_shown_in_part_and_without_the_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = {"data": [{"id": KEY}, {"id": "x" * 9999}, {"id": "\ud800"}]}

    async def listed(_):
        return Answer(200, json.dumps(found).encode())

    monkeypatch.setattr("vantage.endpoints.connection.Connection.models", listed)
    with open_endpoint("http://127.0.0.1:9/v1") as endpoint, pytest.raises(Refusal) as caught:
        endpoint.check()
    assert KEY not in str(caught.value) and "'***'" in str(caught.value) and len(str(caught.value)) < 600
    assert str(caught.value).encode()


def test_the_key_is_sent_and_shown_nowhere(monkeypatch, caplog, tmp_path, capfd):
    """Whatever is printed, raised, logged or stored is searched for the key."""
    monkeypatch.setenv("VANTAGE_TEST_KEY", KEY)
    caplog.set_level(logging.DEBUG)

    def behaviour(number, body):
        said = ("choice", {"message": {"content": f"Your key is {KEY}"}})
        return [said, ("status", 401, [], f"Incorrect key {KEY}"), ("raw", f"<b>{KEY}", 200, "text/html")][number]

    with Server(behaviour) as server, at(server, key_env="VANTAGE_TEST_KEY", cache=tmp_path / "c") as endpoint:
        assert endpoint.ask_sync(says("a")).text == "Your key is ***"
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        shown = [repr(endpoint), str(endpoint.settings), endpoint.settings.model_dump_json(), repr(endpoint.__dict__)]
        for text in "bc":
            with pytest.raises(EndpointError) as caught:
                endpoint.ask_sync(says(text))
            shown += [str(caught.value), repr(caught.value.__cause__), repr(caught.value)]
        assert "***" in shown[-1]
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    captured = capfd.readouterr()
    everything = "\n".join([*shown, caplog.text, captured.out, captured.err, stored.decode("latin-1")])
    assert KEY not in everything and KEY[3:] not in everything


def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(monkeypatch):
    for key in ("sk-\u00e4", "sk-a\nX-Other: b"):
        monkeypatch.setenv("VANTAGE_TEST_KEY", key)
        with pytest.raises(ConfigError, match="VANTAGE_TEST_KEY has characters") as caught:
            open_endpoint(EndpointSettings(url="http://127.0.0.1:1/v1", model="m", key_env="VANTAGE_TEST_KEY"))
        assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("value", [None, " "])
def test_a_key_that_is_not_where_it_was_said_to_be_is_missed_at_once(value, monkeypatch):
    monkeypatch.delenv("VANTAGE_TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("VANTAGE_TEST_KEY", value)
    with pytest.raises(ConfigError, match="key_env is 'VANTAGE_TEST_KEY', but this environment variable is unset"):
        open_endpoint(EndpointSettings(url="http://127.0.0.1:1/v1", model="m", key_env="VANTAGE_TEST_KEY"))


def test_proxies_of_the_environment_are_not_asked_for_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Server() as server, at(server) as endpoint:
        assert endpoint.ask_sync(says("a")).text == "A"


def test_further_fields_are_sent_and_longest_replies_by_either_name():
    with Server() as server:
        with at(server, extra={"top_k": 20}) as endpoint:
            endpoint.ask_sync(says("a"))
        with at(server, extra={"max_completion_tokens": 9}) as endpoint:
            endpoint.ask_sync(says("a"))
        assert server.requests[0]["top_k"] == 20
        assert "max_tokens" not in server.requests[1] and server.requests[1]["max_completion_tokens"] == 9


def test_what_has_no_url_is_no_server():
    from vantage.endpoints.client import ServerEndpoint

    with pytest.raises(ConfigError, match="url"):
        ServerEndpoint(EndpointSettings(model="m"))


def test_replies_do_not_depend_on_the_order_in_which_they_come(tmp_path):
    """Two runs whose servers answer in opposite orders give the same replies and the same keys."""
    found = []
    for name, delay in (("a", lambda i: 0.002 * i), ("b", lambda i: 0.06 - 0.002 * i)):
        with (
            Server(lambda n, b, delay=delay: ("slow", delay(int(b["messages"][0]["content"])))) as server,
            at(server, cache=tmp_path / name, temperature=1.0, seed=1) as endpoint,
        ):
            replies = endpoint.ask_many_sync([says(f"{i % 30}") for i in range(40)])
            seeds = {(body["messages"][0]["content"], body["seed"]) for body in server.requests}
            found.append(([reply.text for reply in replies], seeds))
    assert found[0] == found[1]

"""Replies in pieces: whole ones are kept, half ones are errors."""

import asyncio
import json

import pytest

from endpoints.server import Server, at, pieces, says
from vantage.errors import EndpointError


def test_a_stream_comes_in_pieces_and_is_kept_whole(tmp_path):
    with Server() as server, at(server, cache=tmp_path / "c") as endpoint:
        assert pieces(endpoint, "abcdefgh") == ["ABC", "DEF", "GH"]
        assert pieces(endpoint, "abcdefgh") == ["ABCDEFGH"]
        reply = endpoint.ask_sync(says("abcdefgh"))
        assert reply.cached and (reply.prompt_tokens, reply.completion_tokens) == (10, 5)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (("stream", 2, False), "broke off after 6 characters"),
        (("event", "{broken"), "cannot be read"),
        (("event", "[1]"), "a JSON object was expected"),
        (("event", '{"choices": [7]}'), "cannot be read"),
        (("event", '{"choices": [{"delta": {"content": 7}}]}'), "'content' is 7"),
        (("event", '{"error": {"message": "out of memory"}}'), "out of memory"),
        (("status", 400, [], "no"), "status 400: no"),
    ],
    ids=str,
)
def test_half_a_stream_is_an_error_and_is_not_kept(trouble, said, tmp_path):
    with (
        Server(lambda n, b: trouble if n == 0 else "answer") as server,
        at(server, cache=tmp_path / "c", retries=0) as endpoint,
    ):
        with pytest.raises(EndpointError, match=said):
            pieces(endpoint, "abcdefgh")
        assert "".join(pieces(endpoint, "abcdefgh")) == "ABCDEFGH"


def test_a_stream_that_fails_before_its_first_piece_is_asked_for_again():
    with Server(lambda n, b: ("status", 503) if n == 0 else "answer") as server, at(server) as endpoint:
        assert "".join(pieces(endpoint, "abc")) == "ABC"
    with Server(lambda n, b: ("stream", 1, False)) as server, at(server) as endpoint:
        with pytest.raises(EndpointError, match="broke off"):
            pieces(endpoint, "abcdef")
        assert len(server.requests) == 1, "what was handed over cannot be taken back"


def test_a_stream_of_a_question_under_way_is_not_paid_again():
    with Server(latency=0.2) as server, at(server) as endpoint:

        async def streamed():
            await asyncio.sleep(0.05)
            return [piece async for piece in endpoint.stream(says("abcdef"))]

        async def both():
            return await asyncio.gather(endpoint.ask(says("abcdef")), streamed())

        reply, told = asyncio.run(both())
        assert told == ["ABCDEF"] == [reply.text]
        assert server.paid == ["ABCDEF"] and (endpoint.stats.calls, endpoint.stats.cached) == (1, 1)


def test_a_stream_does_not_stand_in_the_way_of_log_probabilities(tmp_path):
    logprobs = {"content": [{"token": "A", "logprob": -0.5}]}

    def behaviour(number, body):
        return "answer" if body.get("stream") else ("choice", {"logprobs": logprobs})

    with Server(behaviour) as server, at(server, extra={"logprobs": True}, cache=tmp_path / "c") as endpoint:
        assert pieces(endpoint, "a") == ["A"]
        assert endpoint.ask_sync(says("a")).logprobs == (("A", -0.5),)
        assert endpoint.ask_sync(says("a")).cached and pieces(endpoint, "a") == ["A"]
        assert len(server.requests) == 2


def test_neither_pieces_nor_what_is_kept_of_them_hold_the_key(monkeypatch, tmp_path):
    key = "0123456789abcdef0123456789ABCDEF"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    said = [f"you sent {key[:7]}", key[7:], " and \ud83e", "\udd4a", " done", key[:3]]
    content = [json.dumps({"model": "echo\ud800", "choices": [{"delta": {"content": text}}]}) for text in said]
    content.append(json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    body = head + "".join(f"data: {event}\n\n" for event in content).encode()
    with Server(lambda n, b: ("bytes", body)) as server, at(server, cache=tmp_path / "c") as endpoint:
        told = pieces(endpoint, "a")
        assert told == ["you sent ", "***", " and ", "🥊", " done", "012"]
        assert pieces(endpoint, "a") == ["".join(told)]
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"you sent ***" in stored and key[:7].encode() not in stored

"""Replies in pieces: whole ones are kept, half ones are errors."""

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

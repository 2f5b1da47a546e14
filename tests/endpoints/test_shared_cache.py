"""Endpoints that share a file of replies: all who ask see the same reply, and none that its settings refuse."""

import asyncio
import itertools
import json

import pytest

from endpoints.server import Server, at, says
from vantage.endpoints.cache import Cache
from vantage.errors import EndpointError


def test_who_asks_at_once_gets_the_reply_that_is_kept(tmp_path):
    """Two endpoints, as two processes are, ask a server that never says the same twice."""
    number = itertools.count()

    def behaviour(_, body):
        return ("choice", {"message": {"content": f"reply {next(number)}"}})

    with Server(behaviour, latency=0.1) as server:
        settings = {"cache": tmp_path / "c", "temperature": 0.6, "seed": 0}
        with at(server, **settings) as one, at(server, **settings) as two:

            async def both():
                questions = [says(f"{i}") for i in range(10)]
                return await asyncio.gather(one.ask_many(questions), two.ask_many(questions))

            ones, twos = asyncio.run(both())
            assert len(server.requests) == 20, "both were under way"
            assert [reply.text for reply in ones] == [reply.text for reply in twos]
            assert not any(reply.cached for reply in ones + twos), "both were paid"
            for i, reply in enumerate(ones):
                assert one.ask_sync(says(f"{i}")).text == two.ask_sync(says(f"{i}")).text == reply.text


def test_a_kept_reply_of_another_model_is_refused_as_a_fresh_one_is(tmp_path):
    reply = {"model": "other", "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}
    with Server(lambda n, b: ("json", reply)) as server:
        with at(server, cache=tmp_path / "c", check_model=False) as lenient:
            assert lenient.ask_sync(says("a")).text == "a"
            assert lenient.ask_sync(says("a")).cached
        with at(server, cache=tmp_path / "c") as strict:
            with pytest.raises(EndpointError, match=r"by 'other'.*check_model to false \(kept in .*/c\)"):
                strict.ask_sync(says("a"))
            assert (strict.stats.failures, strict.stats.cached, strict.stats.calls) == (1, 0, 0)


def test_half_characters_in_any_text_of_a_reply_are_kept_as_sound_ones(tmp_path):
    choice = {
        "message": {"content": "x \ud800"},
        "finish_reason": "stop",
        "logprobs": {"content": [{"token": "\udfff", "logprob": -1.0}]},
    }
    reply = {"model": "echo\ud800", "choices": [choice]}
    with Server(lambda n, b: ("json", reply)) as server, at(server, cache=tmp_path / "c") as endpoint:
        first, again = endpoint.ask_many_sync([says("a")]) + endpoint.ask_many_sync([says("a")])
        assert (first.text, first.model, first.logprobs) == ("x \ufffd", "echo\ufffd", (("\ufffd", -1.0),))
        assert again.cached and (again.text, again.model, again.logprobs) == (first.text, first.model, first.logprobs)
        assert json.dumps(first.text).isascii() and len(Cache(tmp_path / "c")) == 1

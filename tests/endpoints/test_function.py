import asyncio
import threading

import pytest

from vantage.endpoints import Budget, EndpointSettings, FunctionEndpoint, open_endpoint
from vantage.errors import BudgetError, ConfigError, DataError, EndpointError


def says(text):
    return [{"role": "user", "content": text}]


def shout(messages):
    return messages[-1]["content"].upper()


def test_a_function_is_asked_like_a_model():
    with FunctionEndpoint("shout", shout) as endpoint:
        assert endpoint.name == "shout"
        reply = endpoint.ask_sync(says("hello"))
        assert (reply.text, reply.finished, reply.model) == ("HELLO", True, "shout")
        assert [reply.text for reply in endpoint.ask_many_sync([says(c) for c in "abc"])] == ["A", "B", "C"]
        assert endpoint.ask_many_sync([]) == []

        async def streamed():
            return [piece async for piece in endpoint.stream(says("x"))]

        assert asyncio.run(streamed()) == ["X"]
        assert endpoint.stats.calls == 5
        endpoint.check()


def test_an_endpoint_passes_as_it_is():
    endpoint = FunctionEndpoint("shout", shout)
    assert open_endpoint(endpoint) is endpoint


def test_a_function_that_fails_is_an_error_in_its_place():
    def picky(messages):
        if messages[0]["content"] == "bad":
            raise KeyError("what")
        return 7 if messages[0]["content"] == "number" else "fine"

    with FunctionEndpoint("picky", picky) as endpoint:
        good, bad, number = endpoint.ask_many_sync([says("good"), says("bad"), says("number")])
        assert good.text == "fine"
        assert isinstance(bad, EndpointError) and "KeyError: 'what'" in str(bad)
        assert isinstance(number, EndpointError) and "returned int" in str(number)


def test_calls_to_a_function_are_one_after_the_other_and_within_the_budget():
    running = []

    def alone(messages):
        assert not running
        running.append(threading.get_ident())
        running.pop()
        return "x"

    with FunctionEndpoint("alone", alone, budget=Budget(calls=10)) as endpoint:
        with pytest.raises(BudgetError, match="alone: the budget of 10 calls"):
            endpoint.ask_many_sync([says(str(i)) for i in range(30)])
        assert endpoint.stats.calls == 10


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ("hello", "list of messages"),
        ([], "list of messages"),
        ([{"role": "user"}], "message 0: a message has"),
        ([*says("a"), {"role": "robot", "content": "b"}], "message 1: role 'robot', expected one of"),
        ([{"role": "user", "content": 7}], "text or a list of parts"),
        ([{"role": "user", "content": [{"type": "smell"}]}], "a part is"),
    ],
)
def test_messages_of_another_form_are_an_error_that_says_which(messages, said):
    with FunctionEndpoint("shout", shout) as endpoint:
        with pytest.raises(DataError, match=said):
            endpoint.ask_sync(messages)
        with pytest.raises(DataError, match=said):
            endpoint.ask_many_sync([says("a"), messages])


def test_names_of_embedded_models_are_looked_up(monkeypatch):
    import vantage.tiny

    monkeypatch.setattr(vantage.tiny, "reasoner_path", {"tiny-shout": shout}.__getitem__, raising=False)
    settings = EndpointSettings(model="tiny-shout")
    for where in ("tiny-shout", settings, {"model": "tiny-shout"}):
        with open_endpoint(where) as endpoint:
            assert endpoint.ask_sync(says("a")).text == "A"
    with pytest.raises(ConfigError, match="concurrency"):
        open_endpoint({"model": "tiny-shout", "concurrency": 0})


def test_a_forked_process_asks_on_a_loop_of_its_own():
    """As workers of a data loader are made; the parent's loop thread does not live in the child."""
    import os

    with FunctionEndpoint("shout", shout) as endpoint:
        endpoint.ask_sync(says("parent"))
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(write, endpoint.ask_sync(says("child")).text.encode())
            finally:
                os._exit(0)
        os.close(write)
        assert os.read(read, 100) == b"CHILD"
        os.waitpid(child, 0)
        os.close(read)
        assert endpoint.ask_sync(says("parent again")).text == "PARENT AGAIN"

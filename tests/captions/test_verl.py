import asyncio
import importlib.util
import inspect
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from endpoints.server import Server
from vantage.captions import verl
from vantage.captions.verl import compute_score
from vantage.errors import ConfigError, DataError, EndpointError

KEYS = ["score", "acc", "format", "timeout", "called", "failed", "cut", "leak", "mention"]
INFO = {"index": 4, "question": "How many men?", "num_turns": None, "image_size": np.array([8, 8])}


def boxes(number, body):
    """Boxes the last word of the second line, where the caption stands; refuses what is down."""
    caption = body["messages"][-1]["content"].splitlines()[1]
    if "down" in caption:
        return ("status", 400)
    return ("choice", {"message": {"role": "assistant", "content": f"\\boxed{{{caption.split()[-1]}}}"}})


@pytest.fixture(scope="module")
def server():
    with Server(boxes) as running:
        yield running


@pytest.fixture
def settings(server):
    yield {"url": server.url, "model": "echo", "retries": 0, "reward": "math"}
    close(verl)


def close(module):
    for reward in module._open.values():
        reward.endpoint.close()
    module._open.clear()


def by_path():
    """As verl loads a file: under a name of its own, unknown to sys.modules."""
    spec = importlib.util.spec_from_file_location("custom_module_2", verl.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_loaded_by_path_and_awaited_as_verl_does(settings):
    module = by_path()
    function = module.compute_score
    assert inspect.iscoroutinefunction(function)
    # verl merges reward_kwargs into the call, which is by keyword, and may add keys of its own.
    call = partial(function, **settings, reward_router_address=None)

    async def all_at_once():
        said = ["men: 2", "men: 3", "The answer is 2", ""]
        return await asyncio.gather(
            *(call(data_source="v", solution_str=text, ground_truth="2", extra_info=INFO) for text in said)
        )

    found = asyncio.run(all_at_once())
    close(module)
    assert [list(row) for row in found] == [KEYS] * 4
    assert all(type(value) is float for row in found for value in row.values())
    assert [row["score"] for row in found] == [row["acc"] for row in found] == [1, 0, 1, 0]
    assert [row["called"] for row in found] == [1, 1, 1, 0]
    assert [row["leak"] for row in found] == [0, 0, 1, 0]


def test_settings_of_reward_and_prompts_are_read(server, settings):
    options = {**settings, "leakage": "penalty", "penalty": 0.25, "max_tokens": 7}
    prompts = {"reasoner": "Read:\n{caption}\nAnswer: {question}"}
    found = asyncio.run(compute_score("v", "The answer is 2", "2", INFO, **options, prompts=prompts))
    assert found["score"] == 0.75
    assert server.requests[-1]["messages"][-1]["content"] == "Read:\nThe answer is 2\nAnswer: How many men?"
    assert server.requests[-1]["max_tokens"] == 7


def test_a_row_may_name_its_reward(settings):
    del settings["reward"]
    assert asyncio.run(compute_score("v", "2", "two or 2", {**INFO, "reward": "count"}, **settings))["acc"] == 1
    with pytest.raises(ConfigError, match="no reward is named"):
        asyncio.run(compute_score("v", "2", "2", INFO, **settings))


@pytest.mark.parametrize(
    ("options", "info", "error", "message"),
    [
        ({"modle": "x"}, INFO, ConfigError, "no setting is called 'modle'; 'model' is"),
        ({"leakage": "no"}, INFO, ConfigError, "leakage: one of log"),
        ({"prompts": {"reasoner": "{caption}"}}, INFO, ConfigError, "{question} missing"),
        ({"url": "http://me:secret@host/v1"}, INFO, ConfigError, "must not hold a user or a password"),
        ({}, {"index": 4}, DataError, "'v:4': the reasoner has nothing to answer"),
    ],
)
def test_what_cannot_work_is_an_error_that_names_it(settings, options, info, error, message):
    with pytest.raises(error, match=message) as raised:
        asyncio.run(compute_score("v", "2", "2", info, **{**settings, **options}))
    assert "secret" not in str(raised.value)


def test_a_failed_call_is_an_error_because_verl_needs_a_number(settings):
    with pytest.raises(EndpointError, match=r"row 'v:4': the reasoner's call failed: .*verl needs a number"):
        asyncio.run(compute_score("v", "down", "2", INFO, **settings))


def test_it_loads_neither_networks_nor_trainers():
    code = "import sys, vantage.captions.verl; print({'torch', 'transformers', 'trl', 'verl'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

import asyncio
import inspect

import pytest

from vantage import reward_function
from vantage.captions import CaptionReward, as_trl
from vantage.endpoints import FunctionEndpoint
from vantage.errors import ConfigError


def last_word(messages):
    caption = messages[-1]["content"].splitlines()[1]
    return rf"\boxed{{{caption.split()[-1]}}}" if caption != "down" else None


@pytest.fixture
def reward():
    return CaptionReward(FunctionEndpoint("reader", last_word), inner="math")


def said(text):
    return [{"role": "assistant", "content": text}]


def called(function, texts, **columns):
    logged = {}
    arguments = {
        "prompts": [[{"role": "user", "content": "How many?"}] for _ in texts],
        "completions": [said(text) for text in texts],
        "completion_ids": [[1] * (len(text) + 1) for text in texts],
        "answer": ["2"] * len(texts),
        "log_metric": logged.__setitem__,
        "trainer_state": object(),
    }
    return asyncio.run(function(**{**arguments, **columns})), logged


def test_trl_awaits_it_and_logs_its_figures(reward):
    function = as_trl(reward)
    assert inspect.iscoroutinefunction(function) and function.__name__ == "caption"
    found, logged = called(function, ["men: 2", "men: 3", "down", ""])
    assert found == [1, 0, None, 0]
    assert logged == {
        "rewards/caption/timeouts": 0, "reasoner/called": 0.75, "reasoner/failed": 0.25, "reasoner/cut": 0,
        "reasoner/leak": 0, "reasoner/mention": 0.25,
    }  # fmt: skip


def test_captions_as_long_as_may_be_count_as_cut_where_the_length_is_told(reward):
    texts = ["men: 2", "many men: 2"]
    assert called(as_trl(reward), texts)[0] == [1, 1]
    assert called(as_trl(reward, longest=12), texts)[0] == [1, 0]
    assert called(as_trl(reward, longest=13), texts)[0] == [1, 1]


def test_another_column_may_be_the_truth(reward):
    assert called(as_trl(reward, truth="label"), ["3", "2"], label=["3", "3"])[0] == [1, 0]


def test_a_synchronous_function_does_as_well(reward):
    assert reward_function(reward)(completions=["2", "3"], prompts=["q", "q"], answer=["2", "2"]) == [1, 0]


def test_the_inner_reward_must_be_named(reward):
    with pytest.raises(ConfigError, match=r"CaptionReward\(inner='...'\)"):
        as_trl(CaptionReward(reward.endpoint))

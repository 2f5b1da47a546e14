import math

import pytest

from rows import row, tagged
from vantage import rewards
from vantage.errors import ConfigError, DataError, RewardError
from vantage.rewards import Reward, Score, registry


class Fixed(Reward):
    name = "fixed"
    low, high = 0.0, 1.0

    def __init__(self, value=0.5):
        self.value = value

    def score(self, completion, sample):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value if self.value == "no score" else Score(self.value)


@pytest.fixture
def clean(monkeypatch):
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))


def test_names_are_known_and_give_rewards():
    assert {"answer", "box", "mars-grounding", "mars-vqa"} <= set(rewards.names())
    for name in rewards.names():
        reward = rewards.get(name)
        assert reward is rewards.get(name)
        assert reward.name == name
        assert reward.low < reward.high


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'nope'; known: answer, box, count, grounding, mars-grounding"):
        rewards.get("nope")


def test_registering_ones_own(clean):
    assert rewards.register(Fixed) is Fixed
    assert rewards.call("fixed", "x", row("a")).reward == 0.5
    with pytest.raises(ConfigError, match="'fixed' exists"):
        rewards.register(Fixed())
    with pytest.raises(ConfigError, match="no vantage"):
        rewards.register(object())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1", 1.5, -0.1])
def test_what_is_no_reward_is_an_error_that_names_row_and_reward(value):
    with pytest.raises(RewardError, match="row 'r1': reward 'fixed'"):
        rewards.call(Fixed(value), "x", row("a"))


def test_other_failures():
    with pytest.raises(RewardError, match="returned str, not a Score"):
        rewards.call(Fixed("no score"), "x", row("a"))
    with pytest.raises(RewardError, match="raised ZeroDivisionError: oh"):
        rewards.call(Fixed(ZeroDivisionError("oh")), "x", row("a"))
    with pytest.raises(DataError, match="no coordinate frame"):
        rewards.call("box", tagged("1 2 3 4"), row([1, 2, 3, 4]))


def test_unscored_passes():
    assert rewards.call(Fixed(None), "x", row("a")).reward is None

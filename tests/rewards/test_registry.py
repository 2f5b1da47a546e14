import re
from pathlib import Path

import pytest

from rows import row
from vantage import rewards
from vantage.errors import ConfigError
from vantage.rewards import Reward, Score, registry


def test_every_name_gives_one_reward_that_knows_its_name_and_range():
    for name in rewards.names():
        reward = rewards.get(name)
        assert isinstance(reward, Reward)
        assert reward is rewards.get(name)
        assert reward.name == name
        assert reward.low < reward.high


@pytest.mark.parametrize(
    ("name", "near"), [("mars-vqua", "mars-vqa"), ("Answer", "answer"), ("mars_grounding", "mars-grounding")]
)
def test_a_misspelt_name_is_told_the_nearest_and_all(name, near):
    with pytest.raises(ConfigError, match=f"'{name}' .did you mean '{near}'.*; known: answer, box, "):
        rewards.get(name)


def test_a_name_like_no_other_is_told_all():
    with pytest.raises(ConfigError, match="'zzz'; known: answer, box, "):
        rewards.get("zzz")


@pytest.mark.parametrize("name", [None, 3, ["answer"], {"answer": 1.0}])
def test_what_is_no_text_is_no_name(name):
    with pytest.raises(ConfigError, match="is a text, not"):
        rewards.get(name)


def test_rows_of_one_sum_share_one_reward():
    assert rewards.get("answer + box") is rewards.get("answer + box")


@pytest.mark.parametrize("name", ["a+b", "2*a", "a - b"])
def test_a_name_that_reads_like_a_sum_is_refused(name, monkeypatch):
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))

    class Own(Reward):
        low, high = 0.0, 1.0

        def score(self, completion, sample):
            return Score(1.0)

    Own.name = name
    with pytest.raises(ConfigError, match="reads like a weighted sum"):
        rewards.register(Own)
    Own.name = "a-b"
    rewards.register(Own)
    assert rewards.call("a-b", "", row("x")).reward == 1.0


def test_the_page_of_rewards_lists_every_name_and_only_tests_that_exist():
    here = Path(__file__).parent
    page = (here.parents[1] / "docs" / "rewards.md").read_text(encoding="utf-8")
    table = page[: page.index("\n\nAnswers are read")]
    assert sorted(re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE)) == sorted(registry._BUILT_IN)
    for file, test in re.findall(r"`(test_\w+\.py)::(\w+)`", page):
        assert f"def {test}(" in (here / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_every_test_that_the_page_of_rewards_names_is_there():
    here = Path(__file__).parent
    page = (here.parents[1] / "docs" / "rewards.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", page)
    assert len(named) > 20
    for file, test in named:
        assert test and f"def {test}(" in (here / file).read_text(encoding="utf-8"), f"{file}::{test}"

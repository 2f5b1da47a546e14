import importlib.util
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from rows import fenced, tagged
from vantage.errors import ConfigError, DataError, RewardError
from vantage.rewards import Reward, Score, registry, verl
from vantage.rewards.verl import compute_score

KEYS = ["score", "acc", "format", "timeout"]
BOX = [10, 10, 30, 30]


def by_path():
    """Load the file as verl does: under a name of its own, unknown to sys.modules."""
    spec = importlib.util.spec_from_file_location("custom_module_1", verl.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_loaded_by_path_and_called_as_verl_does():
    # verl merges reward_kwargs into the call, which is by keyword, and adds keys of its own to extra_info.
    function = partial(by_path().compute_score, reward="mars-vqa")
    info = {"index": 7, "num_turns": None, "rollout_reward_scores": {}, "split": "train", "answer": "another column"}
    found = function(data_source="vqa", solution_str=tagged("two"), ground_truth="two or 2", extra_info=info)
    assert found == {"score": 1.5, "acc": 1.0, "format": 1.0, "timeout": 0.0}


def test_every_row_and_reward_has_the_same_keys_and_plain_numbers():
    found = [
        compute_score("a", "", "3", reward="answer"),
        compute_score("b", tagged("3"), 3, None, reward="answer"),
        compute_score("c", fenced('[{"bbox_2d": [10, 10, 30, 30]}]'), [BOX], {}, reward="mars-grounding"),
    ]
    assert [list(row) for row in found] == [KEYS] * 3
    assert all(type(value) is float for row in found for value in row.values())
    assert [row["score"] for row in found] == [0, 1, 1.75]


@pytest.mark.parametrize(
    "truth",
    [
        np.array([BOX]),
        np.array([np.array(BOX)], dtype=object),
        json.dumps([BOX]),
        json.dumps([{"bbox_2d": BOX}]),
        [BOX],
    ],
    ids=["array", "arrays in an array", "text", "text with names", "list"],
)
def test_boxes_are_read_as_parquet_keeps_them(truth):
    # 0..1000 of a picture of 100x50 pixels.
    shown = fenced('[{"bbox_2d": [100, 200, 300, 600]}]')
    info = {"frame": "relative", "image_size": np.array([100, 50]), "resized_size": None, "question": None}
    assert compute_score("g", shown, truth, info, reward="mars-grounding")["score"] == pytest.approx(1.75)


def test_a_row_may_name_its_reward():
    assert compute_score("a", tagged("3"), "3", {"reward": "answer"})["score"] == 1
    assert compute_score("a", tagged("3"), "3", {"reward": "answer"}, reward="mars-vqa")["score"] == 1.5
    with pytest.raises(ConfigError, match="no reward is named"):
        compute_score("a", tagged("3"), "3")
    with pytest.raises(ConfigError, match="no reward is called 'nope'"):
        compute_score("a", tagged("3"), "3", reward="nope")


def test_a_truth_that_cannot_be_read_names_the_row():
    with pytest.raises(DataError, match="llvip:4"):
        compute_score("llvip", "x", "[[1, 2]]", {"index": 4}, reward="mars-grounding")
    with pytest.raises(DataError, match="llvip:4: no truth"):
        compute_score("llvip", "x", None, {"index": 4, "solution": "3"}, reward="answer")


class Silent(Reward):
    name, low, high = "silent", 0.0, 1.0

    def score(self, completion, sample):
        return Score(None, error="no answer key")


def test_what_cannot_be_told_is_an_error_because_verl_needs_a_number(monkeypatch):
    monkeypatch.setattr(registry, "_loaded", {**registry._loaded, "silent": Silent()})
    with pytest.raises(RewardError, match=r"'a:\?': reward 'silent' could not score the completion \(no answer key\)"):
        compute_score("a", "x", "3", reward="silent")


def test_it_is_called_from_many_threads_at_once():
    def one(i):
        return compute_score("a", tagged(str(i % 3)), "1", {"index": i}, reward="mars-vqa")["acc"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(60))) == [float(i % 3 == 1) for i in range(60)]


def test_it_loads_neither_networks_nor_trainers():
    code = "import sys, vantage.rewards.verl; print({'torch', 'transformers', 'trl', 'verl'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

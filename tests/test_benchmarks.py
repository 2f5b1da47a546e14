import importlib.util
import io
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from vantage.tiny.architecture import build_model, build_processor


@pytest.fixture(scope="module")
def step_time():
    path = Path(__file__).parents[1] / "benchmarks" / "step_time.py"
    spec = importlib.util.spec_from_file_location("step_time", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["step_time"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["step_time"]


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    build_model().save_pretrained(folder)
    build_processor().save_pretrained(folder)
    return folder


def test_arms_give_the_same_number_of_answers(step_time):
    answers = {
        name: arm.rollouts(16, ("rgb", "infrared")) + len(arm.method.speakers(("rgb", "infrared")))
        for name, arm in step_time.ARMS.items()
    }
    assert set(answers.values()) == {16}
    assert step_time.ARMS["mars"].rollouts(16, ("rgb", "infrared")) == 14


@pytest.mark.parametrize("sharing", ["auto", pytest.param("off", marks=pytest.mark.slow)])
def test_one_round_times_every_part_of_both_arms(sharing, step_time, untrained):
    setup = step_time.Setup(untrained, answers=4, groups=2, steps=2, completion=4, sharing=sharing)
    text = io.StringIO()
    result = step_time.measure(("mars", "grpo"), setup, 1, Console(file=text, width=100))
    mars, grpo = (result["seconds"][name] for name in ("mars", "grpo"))
    # Where prompts are shared, anchors grow in one batch with the rollouts.
    assert grpo["anchors"] == 0 and (mars["anchors"] > 0) == (sharing == "off")
    for seconds in (mars, grpo):
        assert seconds["step"] > 0
        assert seconds["vision"] < seconds["step"]
    assert result["ratio"] == pytest.approx(mars["step"] / grpo["step"])
    Console(file=text, width=100).print(step_time.table(result))
    assert "round 1 of 1" in text.getvalue()
    assert "over 1 round" in text.getvalue()

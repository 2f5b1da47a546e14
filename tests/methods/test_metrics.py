import math

import pytest
import torch

from vantage.methods import Grpo, Mars, Rewards
from vantage.methods.metrics import group_metrics

NAN = math.nan
# four groups of two fused answers, beside one from each of two sources
FUSED = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
MONO = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])


def figures(method, fused=FUSED, mono=MONO, sources=("rgb", "infrared")):
    rewards = Rewards.of(fused, mono)
    return group_metrics(rewards, fused, mono, method.decide(rewards, 0), sources)


def test_four_groups_counted_on_fingers():
    assert figures(Mars()) == pytest.approx(
        {
            "groups/silent": 0.25,  # the last
            "groups/revived_wrong": 0.25,  # the first
            "groups/revived_right": 0.25,  # the second
            "gain": (-0.5 + 0.5 - 0.5 + 0.0) / 4,
            "gain/rgb": (-1.0 + 1.0 - 0.5 + 0.0) / 4,
            "gain/infrared": (0.0 + 0.0 - 0.5 + 0.0) / 4,
            "anchor/rgb/accuracy": 0.5,
            "anchor/infrared/accuracy": 0.5,
        }
    )


def test_without_anchors_only_silence_is_known():
    assert figures(Grpo(), mono=torch.zeros(4, 0), sources=()) == {"groups/silent": 0.75}


def test_unscored_members_count_nowhere():
    fused = torch.tensor([[NAN, 0.0], [NAN, NAN]])
    mono = torch.tensor([[1.0, NAN], [1.0, 0.0]])
    found = figures(Mars(), fused, mono)
    assert found["groups/revived_wrong"] == 0.5  # the first; of the second nothing is known
    assert found["groups/revived_right"] == 0.0
    assert found["gain"] == -1.0
    assert found["anchor/rgb/accuracy"] == 1.0
    assert found["anchor/infrared/accuracy"] == 0.0

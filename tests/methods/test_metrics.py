import math

import pytest
import torch

from vantage.methods import Decision, Ekipl, Grpo, Mars, MarsTransfer, Rewards
from vantage.methods.metrics import group_metrics, guest_metrics

NAN = math.nan
# four groups of two fused answers, beside one from each of two sources
FUSED = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
MONO = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])


def figures(method, fused=FUSED, mono=MONO, sources=("rgb", "infrared")):
    rewards = Rewards.of(fused, mono)
    return group_metrics(rewards, fused, mono, method.decide(rewards, 0), sources)


def test_four_groups_counted_on_fingers():
    found = figures(Mars())
    assert math.isnan(found.pop("anchors/trained"))  # none does
    assert found == pytest.approx(
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


def test_trained_anchors_counted_on_fingers():
    """Right are four of eight; one of the right ones came without a score."""
    mono = torch.tensor([[1.0, 0.0], [0.0, NAN], [1.0, 1.0], [0.0, 0.0]])
    correct = torch.cat([FUSED, mono], dim=1)
    rewards = Rewards.of(FUSED, mono, correct=correct)
    for method in (MarsTransfer(), MarsTransfer(chosen="blind", placed="truth")):
        found = group_metrics(rewards, FUSED, mono, method.decide(rewards, 0), ("rgb", "infrared"))
        assert found["anchors/trained"] == pytest.approx(3 / 7)  # dealing moves them and changes no number


def test_guests_counted_on_fingers():
    """Two models, the first answers twice; of six guests one is missing, of four rollouts one is unscored."""
    fused = torch.tensor([[1.0, 0.0], [0.0, NAN]])
    guest = torch.tensor([[1.0, 0.5, NAN], [0.0, 1.0, 1.0]])
    rewards = Rewards.of(fused, torch.ones(2, 1), guest)
    # Kept are the first rollout and the first guest of one group, the second and the third guest of the other.
    found = guest_metrics(rewards, Ekipl(base=Mars()).decide(rewards, 0), ["a", "a", "b/large"])
    assert found == pytest.approx(
        {
            "guests/pool": 5 / 8,
            "guests/kept": 3 / 4,
            "guests/a/kept": 2 / 4,
            "guests/a/reward": 2.5 / 4,
            "guests/b/large/kept": 1 / 4,
            "guests/b/large/reward": 1.0,
        }
    )


def test_guests_that_never_came_and_an_update_without_members():
    rewards = Rewards.of(torch.ones(1, 2), None, torch.full((1, 1), NAN))
    found = guest_metrics(rewards, Ekipl().decide(rewards, 0), ["a"])
    assert (found["guests/pool"], found["guests/kept"], found["guests/a/kept"]) == (0, 0, 0)
    assert math.isnan(found["guests/a/reward"])
    nobody = Decision(torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool))
    assert guest_metrics(rewards, nobody, ["a"])["guests/kept"] == 0

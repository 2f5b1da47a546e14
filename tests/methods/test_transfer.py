import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from methods import oracles
from vantage.errors import ConfigError
from vantage.methods import Dapo, Grpo, Mars, MarsTransfer, Ratio, Rewards
from vantage.methods.transfer import deal

NAN = math.nan
BLIND = MarsTransfer(placed="truth", chosen="blind")


def rewards_of(fused, mono):
    """Rewards of which 1 is right and less is wrong."""
    fused, mono = torch.as_tensor(fused), torch.as_tensor(mono)
    members = torch.cat([fused, mono], dim=1)
    return Rewards.of(fused, mono, None, torch.where(members.isnan(), NAN, (members == 1).to(members.dtype)))


def test_a_group_counted_on_fingers():
    """S = {0, 0} u {1, 0}: mean 1/4, variance (3 / 16 + 9 / 16) / 3 = 1/4. A right anchor trains."""
    decision = MarsTransfer().decide(rewards_of([[0.0, 0.0]], [[1.0, 0.0]]), 0)
    spread = 0.5 + 1e-6
    assert decision.trained.tolist() == [[True, True, True, False]]
    assert decision.advantages.tolist() == [pytest.approx([-0.25 / spread, -0.25 / spread, 0.75 / spread, 0.0])]


@settings(max_examples=60, deadline=None)
@given(
    oracles.groups(),
    st.sampled_from(["group", "batch", "none"]),
    st.sampled_from(["mean", "leave_one_out"]),
    st.sampled_from([1, 2]),
)
def test_decisions_are_the_equations(parts, scale, baseline, weight):
    fused, anchors = (np.array(part) for part in parts)
    size = fused.shape[1]
    base = Grpo(scale=scale, baseline=baseline)
    decision = MarsTransfer(base=base, weight=float(weight), eps=1e-3).decide(rewards_of(fused, anchors), 0)
    # Every member of S counts itself: the anchors stand in S as often as they weigh.
    whole = np.concatenate([fused, *[anchors] * weight], axis=1)
    expected = oracles.grpo(whole, scale, "mean", 1e-3)[:, : size + anchors.shape[1]]
    right = np.concatenate([np.ones_like(fused, dtype=bool), anchors == 1], axis=1)
    np.testing.assert_array_equal(decision.trained, right)
    np.testing.assert_allclose(
        decision.advantages[:, :size],
        oracles.grpo(fused, scale, baseline, 1e-3, anchors, weight),
        rtol=1e-8,
        atol=1e-8,
    )
    if baseline == "leave_one_out":
        # r - mean of the others = (r - mean(S)) n / (n - own)
        n = (~np.isnan(whole)).sum(1, keepdims=True)
        expected[:, size:] *= n / np.maximum(n - weight, 1)
    np.testing.assert_allclose(
        decision.advantages[:, size:], np.where(right, expected, 0.0)[:, size:], rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("base", [Grpo(), Grpo(baseline="leave_one_out"), Dapo(scale="batch")], ids=str)
def test_fused_rollouts_have_the_advantages_of_mars(base):
    rewards = rewards_of(torch.rand(4, 5).round(), torch.rand(4, 2).round())
    found, mars = MarsTransfer(base=base).decide(rewards, 0), Mars(base=base).decide(rewards, 0)
    assert torch.equal(found.advantages[:, :5], mars.advantages[:, :5])
    assert torch.equal(found.trained[:, :5], mars.trained[:, :5])


def test_an_anchor_of_no_weight_is_judged_by_the_rollouts_alone():
    decision = MarsTransfer(weight=0.0, base=Grpo(scale="none", baseline="leave_one_out")).decide(
        rewards_of([[0.0, 1.0, 0.0]], [[1.0]]), 0
    )
    assert decision.advantages[0, 3].item() == pytest.approx(1 - 1 / 3)


def test_missing_anchors_and_guests_train_nothing():
    rewards = Rewards.of(torch.zeros(1, 2), torch.tensor([[1.0, NAN]]), torch.ones(1, 2), torch.ones(1, 6))
    decision = MarsTransfer().decide(rewards, 0)
    assert decision.trained.tolist() == [[True, True, True, False, False, False]]
    assert decision.advantages[0, 3:].eq(0).all()


def test_the_anchors_take_their_rows_from_the_fused_rollouts():
    assert MarsTransfer().fused_rollouts(16, 2) == 14
    assert Mars().fused_rollouts(16, 2) == 16
    with pytest.raises(ConfigError, match=r"2 rows of a group \(num_generations\) must hold its 2 anchors"):
        MarsTransfer().fused_rollouts(2, 2)


def test_it_must_know_which_anchors_are_right():
    with pytest.raises(ConfigError, match="which answers are right"):
        MarsTransfer().decide(Rewards.of(torch.zeros(1, 2), torch.ones(1, 1)), 0)


def test_the_text_that_is_placed_changes_no_number():
    rewards = rewards_of([[0.0, 1.0], [0.0, 0.0]], [[1.0], [0.0]])
    plain = MarsTransfer().decide(rewards, 0)
    assert MarsTransfer().anchor_text == "anchor" == Mars().anchor_text
    for placed in ("truth", "relabelled"):
        method = MarsTransfer(placed=placed)
        assert method.anchor_text == placed
        assert torch.equal(method.decide(rewards, 0).advantages, plain.advantages)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=20), st.integers(0, 2**31))
def test_dealing_is_a_permutation_within_each_pattern(rows, seed):
    patterns = torch.tensor(rows)
    dealt = deal(patterns, seed)
    assert sorted(dealt.tolist()) == list(range(len(rows)))
    assert torch.equal(patterns[dealt], patterns)
    assert torch.equal(deal(patterns, seed), dealt)


def test_dealing_favours_no_partner():
    patterns = torch.tensor([[True]] * 3)
    orders = [tuple(deal(patterns, seed).tolist()) for seed in range(600)]
    # six orders of three, each expected a hundred times with a standard deviation of nine
    assert all(60 < orders.count(order) < 140 for order in set(orders)) and len(set(orders)) == 6


def test_blindly_chosen_groups_get_as_many_positives():
    generator = torch.Generator().manual_seed(5)
    fused, mono = (torch.rand(40, n, generator=generator).round() for n in (3, 2))
    mono[:10, 1] = NAN
    rewards = rewards_of(fused, mono)
    sighted = MarsTransfer(placed="truth").decide(rewards, 0)
    blind = BLIND.decide(rewards, 0)
    positives, chosen = sighted.trained[:, 3:], blind.trained[:, 3:]
    assert not torch.equal(positives, chosen)
    assert torch.equal(chosen.sum(0), positives.sum(0)), "as many of each source"
    assert not chosen[mono.isnan()].any(), "and none where a source is missing"
    solved = (fused == 1).all(1)
    for seed in range(5):
        other = BLIND.decide(rewards, seed).trained[:, 3:]
        for part in (solved, ~solved):
            assert other[part].any(1).sum() == positives[part].any(1).sum(), "in as many groups with something to learn"
    # A positive is judged as the answer that it stands for, in every group that still has something to learn.
    assert (blind.advantages[:, 3:][chosen & ~solved[:, None]] > 0).all()
    assert torch.equal(BLIND.decide(rewards, 0).trained, blind.trained)
    assert any(not torch.equal(BLIND.decide(rewards, seed).trained, blind.trained) for seed in range(1, 4))


def test_a_blind_choice_of_one_group_is_that_group():
    rewards = rewards_of([[0.0, 1.0]], [[1.0, 0.0]])
    assert torch.equal(BLIND.decide(rewards, 3).advantages, MarsTransfer().decide(rewards, 3).advantages)


def test_defaults():
    method = MarsTransfer()
    assert (method.off_policy, method.placed, method.chosen) == (Ratio(kind="imitation"), "anchor", "right")
    assert (method.eps, method.anchors, method.wants_guests) == (1e-6, "greedy", False)
    assert Mars().off_policy is None
    assert MarsTransfer(ratio="behaviour", anchors="sampled").off_policy.kind == "behaviour"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"chosen": "blind"}, "placed must be 'truth' or 'relabelled'"),
        ({"shuffled": True}, "chosen: blind"),
        ({"ratio": "behaviour"}, "anchors: sampled and placed: anchor, got greedy and anchor"),
        ({"ratio": "behaviour", "anchors": "sampled", "placed": "truth"}, "got sampled and truth"),
        ({"placed": "gold"}, "placed"),
        ({"placed": "relabelled", "base": {"name": "racro"}}, "would put an answer in the place of one"),
        ({"placed": "truth", "base": {"name": "racro"}}, "would put an answer in the place of one"),
    ],
)
def test_settings_that_cannot_go_together_are_refused(bad, message):
    with pytest.raises(ValidationError, match=message):
        MarsTransfer(**bad)

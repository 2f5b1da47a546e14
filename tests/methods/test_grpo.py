import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods import oracles
from vantage.errors import ConfigError
from vantage.methods import Grpo, Rewards
from vantage.methods.grpo import advantages

SCALES = ("group", "batch", "none")
BASELINES = ("mean", "leave_one_out")


def test_a_group_counted_on_fingers():
    # mean 0.5; deviations 0.5, -0.5, -0.5, 0.5; variance 4 * 0.25 / 3
    expected = 0.5 / (math.sqrt(1 / 3) + 1e-4)
    result = advantages([[1.0, 0.0, 0.0, 1.0]])
    assert result.tolist() == [pytest.approx([expected, -expected, -expected, expected])]


def test_without_a_scale_it_is_dr_grpo():
    assert advantages([[1.0, 0.0, 0.0, 0.0]], scale="none").tolist() == [pytest.approx([0.75, -0.25, -0.25, -0.25])]


def test_leave_one_out_is_rloo():
    # 3 - (1 + 2)/2, 1 - (3 + 2)/2, 2 - (3 + 1)/2
    result = advantages([[3.0, 1.0, 2.0]], scale="none", baseline="leave_one_out")
    assert result.tolist() == [pytest.approx([1.5, -1.5, 0.0])]


def test_batch_scale_divides_by_the_std_of_all_rewards():
    rewards = [[0.0, 1.0], [0.0, 5.0]]
    spread = np.std([0.0, 1.0, 0.0, 5.0], ddof=1) + 1e-4
    expected = [pytest.approx([-0.5 / spread, 0.5 / spread]), pytest.approx([-2.5 / spread, 2.5 / spread])]
    assert advantages(rewards, scale="batch").tolist() == expected


@settings(max_examples=60, deadline=None)
@given(oracles.matrices(), st.sampled_from(SCALES), st.sampled_from(BASELINES), st.sampled_from([1e-6, 1e-4, 0.1]))
def test_advantages_are_the_equations(rewards, scale, baseline, eps):
    result = advantages(np.array(rewards), scale=scale, baseline=baseline, eps=eps)
    np.testing.assert_allclose(result.numpy(), oracles.grpo(rewards, scale, baseline, eps), rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(oracles.matrices(missing=False), st.sampled_from(SCALES))
def test_advantages_of_a_group_sum_to_nothing(rewards, scale):
    result = advantages(np.array(rewards), scale=scale)
    torch.testing.assert_close(result.sum(1), torch.zeros(len(rewards), dtype=torch.double), atol=1e-8, rtol=0)


@settings(max_examples=40, deadline=None)
@given(oracles.matrices(missing=False), st.floats(-5, 5), st.randoms(use_true_random=False))
def test_a_constant_and_the_order_of_rollouts_change_nothing(rewards, constant, random):
    rewards = np.array(rewards)
    order = random.sample(range(rewards.shape[1]), rewards.shape[1])
    plain = advantages(rewards)
    torch.testing.assert_close(advantages(rewards + constant), plain, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(advantages(rewards[:, order]), plain[:, order], atol=1e-12, rtol=0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e6, -0.7])
def test_equal_rewards_have_no_advantage_at_all(scale, baseline, value):
    rewards = torch.full((3, 16), value)
    assert rewards.dtype == torch.float32
    result = advantages(rewards, scale=scale, baseline=baseline, eps=1e-6)
    assert torch.equal(result, torch.zeros(3, 16))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("baseline", BASELINES)
def test_an_unscored_rollout_is_in_no_statistic(scale, baseline):
    full = advantages([[1.0, 0.0, 0.5], [0.0, 1.0, 0.25]], scale=scale, baseline=baseline)
    holes = advantages([[1.0, math.nan, 0.0, 0.5], [0.0, 1.0, 0.25, math.nan]], scale=scale, baseline=baseline)
    assert holes[0, 1] == 0 and holes[1, 3] == 0
    torch.testing.assert_close(holes[0, [0, 2, 3]], full[0])
    torch.testing.assert_close(holes[1, :3], full[1])


@pytest.mark.parametrize("scale", SCALES)
def test_groups_with_one_scored_rollout_or_none_have_no_signal(scale):
    nan = math.nan
    result = advantages([[1.0, nan, nan], [nan, nan, nan], [0.0, 1.0, nan]], scale=scale)
    assert result[:2].tolist() == [[0.0] * 3] * 2
    assert result[2, 1] > 0
    assert advantages([[1.0], [0.0]], scale=scale).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize(
    "rewards",
    [
        [[1, 0, 1]],
        ((1, 0, 1),),
        np.array([[1, 0, 1]]),
        np.array([[1.0, 0.0, 1.0]], dtype=np.float32),
        torch.tensor([[1, 0, 1]]),
        torch.tensor([[True, False, True]]),
    ],
    ids=["list", "tuple", "int array", "float array", "int tensor", "bool tensor"],
)
def test_rewards_come_as_lists_arrays_and_tensors(rewards):
    np.testing.assert_allclose(advantages(rewards).numpy(), oracles.grpo([[1.0, 0.0, 1.0]]), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_floating_type_is_kept(dtype):
    assert advantages(torch.tensor([[0.0, 1.0]], dtype=dtype)).dtype == dtype
    assert advantages(torch.tensor([[0, 1]])).dtype == torch.get_default_dtype()


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ([1.0, 2.0], r"shape \(2,\)"),
        ([[[1.0]]], r"shape \(1, 1, 1\)"),
        ([[1.0], [1.0, 2.0]], "rewards must be a matrix of numbers"),
        ([["good"]], "rewards must be a matrix of numbers"),
        ([[1.0, 2.0], [0.0, math.inf]], r"rewards\[1, 1\] is infinite"),
        ([[-math.inf, 2.0]], r"rewards\[0, 0\] is infinite"),
        ([[1j, 2.0]], "real matrix"),
    ],
)
def test_what_is_no_matrix_of_rewards_is_refused(rewards, message):
    with pytest.raises(ConfigError, match=message):
        advantages(rewards)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"rewards \(1, 2\), pool \(2, 3\).*do not fit"):
        advantages([[0.0, 1.0]], [[0.0, 1.0, 1.0]] * 2)
    with pytest.raises(ConfigError, match=r"weights \(1, 3\) do not fit"):
        advantages([[0.0, 1.0]], weights=[[1.0, 1.0, 1.0]])


@pytest.mark.parametrize("setting", [{"scale": "std"}, {"baseline": "median"}])
def test_an_unknown_setting_is_refused(setting):
    from vantage.methods import grpo

    with pytest.raises(ConfigError, match=f"{next(iter(setting))} must be .* got '{next(iter(setting.values()))}'"):
        grpo.advantages.__wrapped__([[0.0, 1.0]], **setting)


@settings(max_examples=40, deadline=None)
@given(oracles.groups(), st.integers(0, 3), st.sampled_from(SCALES), st.sampled_from(BASELINES))
def test_an_integer_weight_is_repetition(parts, weight, scale, baseline):
    rewards, others = (np.array(part) for part in parts)
    pool = np.concatenate([rewards, others], axis=1)
    weights = np.concatenate([np.ones_like(rewards), np.full_like(others, weight)], axis=1)
    weighted = advantages(rewards, pool, weights, scale=scale, baseline=baseline)
    repeated = np.concatenate([rewards, *[others] * weight], axis=1)
    np.testing.assert_allclose(
        weighted, advantages(rewards, repeated, scale=scale, baseline=baseline), rtol=1e-9, atol=1e-9
    )


def test_the_method_trains_on_every_fused_rollout_and_on_nobody_else():
    fused = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    decision = Grpo().decide(Rewards.of(fused, torch.zeros(2, 3)), seed=0)
    assert decision.advantages.shape == (2, 5)
    torch.testing.assert_close(decision.advantages[:, :2], advantages(fused))
    assert decision.advantages[:, 2:].eq(0).all()
    assert decision.trained.tolist() == [[True, True, False, False, False]] * 2
    assert decision.signal().tolist() == [True, False]


def test_its_settings_reach_the_equations():
    fused = torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 9.0]])
    method = Grpo(scale="none", baseline="leave_one_out")
    assert method.decide(Rewards.of(fused), 0).advantages[0].tolist() == [1.5, -1.5, 0.0]
    assert method.scaling == "none"
    loose = Grpo(eps=10.0).decide(Rewards.of(fused), 0).advantages
    np.testing.assert_allclose(loose, oracles.grpo(fused, eps=10.0), rtol=1e-6)


def test_nothing_else_is_asked_of_the_engine():
    method = Grpo()
    assert method.speakers(("rgb", "infrared")) == ()
    assert method.length_penalty(torch.tensor([[5]]), 10) is None
    assert (method.generation_batches, method.clip_high, method.token_level) == (1, None, False)

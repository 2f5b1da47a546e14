import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from methods import oracles
from vantage.errors import ConfigError
from vantage.groups import mono
from vantage.methods import Dapo, Grpo, Mars, Rewards, grpo
from vantage.methods.mars import advantages, information_gain, shuffle, source_gains

SCALES = ("group", "batch", "none")
BASELINES = ("mean", "leave_one_out")


def test_a_group_counted_on_fingers():
    # S = {1, 0} u {0, 0}: mean 1/4, squares 9/16 + 3 * 1/16 = 3/4, variance 1/4
    result = advantages([[1.0, 0.0]], [[0.0, 0.0]])
    assert result.tolist() == [pytest.approx([0.75 / (0.5 + 1e-6), -0.25 / (0.5 + 1e-6)])]


@settings(max_examples=60, deadline=None)
@given(oracles.groups(), st.sampled_from(SCALES), st.sampled_from(BASELINES), st.integers(0, 3))
def test_advantages_are_the_equations(parts, scale, baseline, weight):
    rewards, anchors = (np.array(part) for part in parts)
    result = advantages(rewards, anchors, weight=float(weight), scale=scale, baseline=baseline)
    expected = oracles.grpo(rewards, scale, baseline, 1e-6, anchors, weight)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(oracles.groups(missing=False), st.floats(0.1, 4))
def test_the_numerator_is_grpos_plus_a_share_of_the_information_gain(parts, weight):
    rewards, anchors = (np.array(part) for part in parts)
    pools = np.concatenate([rewards, anchors], axis=1)
    assume(all(pool.min() < pool.max() for pool in pools))
    share = weight * anchors.shape[1] / (rewards.shape[1] + weight * anchors.shape[1])
    gain = rewards.mean(1, keepdims=True) - anchors.mean(1, keepdims=True)
    expected = rewards - rewards.mean(1, keepdims=True) + share * gain
    np.testing.assert_allclose(advantages(rewards, anchors, weight=weight, scale="none"), expected, atol=1e-10)
    np.testing.assert_allclose(information_gain(rewards, anchors), gain[:, 0], atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(oracles.groups(), st.sampled_from(SCALES), st.sampled_from(BASELINES))
def test_anchors_of_no_weight_leave_grpo(parts, scale, baseline):
    rewards, anchors = (np.array(part) for part in parts)
    without = grpo.advantages(rewards, eps=1e-6, scale=scale, baseline=baseline)
    for nobody, weight in ((anchors, 0.0), (np.zeros((len(rewards), 0)), 1.0)):
        found = advantages(rewards, nobody, weight=weight, scale=scale, baseline=baseline)
        torch.testing.assert_close(found, without, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("baseline", BASELINES)
def test_equal_fused_answers_learn_from_an_anchor_that_differs(scale, baseline):
    rewards = [[1.0] * 4, [0.0] * 4, [1.0] * 4]
    anchors = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    result = advantages(rewards, anchors, scale=scale, baseline=baseline)
    assert (result[0] > 0).all(), "fusion helped"
    assert (result[1] < 0).all(), "fusion interfered"
    assert (result[2] == 0).all(), "nothing differs"
    assert (grpo.advantages(rewards, scale=scale, baseline=baseline) == 0).all()


def test_a_problem_may_lack_a_source():
    ragged = advantages([[1.0, 0.0], [1.0, 0.0]], [[0.5, math.nan], [math.nan, math.nan]])
    torch.testing.assert_close(ragged[:1], advantages([[1.0, 0.0]], [[0.5]]))
    torch.testing.assert_close(ragged[1:], grpo.advantages([[1.0, 0.0]], eps=1e-6))


def test_the_floating_type_is_that_of_the_rewards():
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        assert advantages(torch.tensor([[0.0, 1.0]], dtype=dtype), torch.zeros(1, 1)).dtype == dtype
    assert advantages([[0, 1]], [[1]]).dtype == torch.get_default_dtype()


@pytest.mark.parametrize(
    ("anchors", "options", "message"),
    [
        ([[0.0], [0.0]], {}, r"rewards \(1, 2\) and anchors \(2, 1\)"),
        ([0.0], {}, "anchors must be a real matrix"),
        ([[math.inf]], {}, r"anchors\[0, 0\] is infinite"),
        ([[0.0]], {"weight": -1.0}, "cannot be negative, got -1"),
    ],
)
def test_anchors_that_do_not_fit_are_refused(anchors, options, message):
    with pytest.raises(ConfigError, match=message):
        advantages([[0.0, 1.0]], anchors, **options)


def test_gains_are_fused_minus_single():
    rewards, anchors = [[1.0, 0.0, math.nan], [math.nan] * 3], [[0.0, 1.0], [math.nan, 1.0]]
    assert information_gain(rewards, anchors)[0] == 0.0
    assert information_gain(rewards, anchors)[1].isnan()
    assert source_gains(rewards, anchors)[0].tolist() == [0.5, -0.5]
    assert information_gain([[1.0]], [[math.nan]]).isnan().all()


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(0, 2**31))
def test_shuffling_gives_every_problem_the_anchors_of_another_one(problems, seed):
    anchors = torch.arange(problems * 2.0).reshape(problems, 2)
    shuffled = shuffle(anchors, seed)
    assert (shuffled != anchors).all()
    assert torch.equal(shuffled.sort(0).values, anchors), "rows move whole and each is given once"
    assert torch.equal(shuffled[:, 1] - shuffled[:, 0], torch.ones(problems))
    assert torch.equal(shuffle(anchors, seed), shuffled)


def test_shuffling_depends_on_the_seed_alone_and_needs_two_problems():
    anchors = torch.arange(20.0).reshape(20, 1)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    orders = {tuple(shuffle(anchors, seed).flatten().tolist()) for seed in range(8)}
    assert len(orders) == 8
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ConfigError, match="at least two problems"):
        shuffle(anchors[:1], 3)


def test_shuffling_trades_among_problems_with_the_same_sources():
    nan = torch.nan
    anchors = torch.tensor([[1.0, 2.0, nan], [3.0, 4.0, nan], [5.0, 6.0, 7.0], [8.0, 9.0, nan]])
    shuffled = shuffle(anchors, 0)
    pairs = {tuple(row[:2]) for row in shuffled[[0, 1, 3]].tolist()}
    assert pairs == {(1.0, 2.0), (3.0, 4.0), (8.0, 9.0)}
    assert all(not torch.equal(shuffled[i, :2], anchors[i, :2]) for i in (0, 1, 3))
    assert shuffled[:, 2].isnan().all(), "nobody has the third source to trade"
    assert shuffled[2].isnan().all()


def test_each_source_speaks_once_and_greedily():
    speakers = Mars().speakers(("rgb", "infrared", "depth"))
    assert [s.origin for s in speakers] == [mono("rgb"), mono("infrared"), mono("depth")]
    assert all(s.greedy for s in speakers)
    assert not any(s.greedy for s in Mars(anchors="sampled").speakers(("rgb", "infrared")))


def test_chosen_sources_speak_in_the_order_chosen():
    method = Mars(sources=("depth", "rgb"))
    assert [s.origin.name for s in method.speakers(("rgb", "infrared", "depth"))] == ["depth", "rgb"]
    with pytest.raises(ConfigError, match=r"method\.sources names depth.*it has rgb, infrared"):
        method.speakers(("rgb", "infrared"))


def test_one_source_is_an_error_unless_grpo_will_do():
    with pytest.raises(ConfigError, match=r"one source \(rgb\).*single_source to 'grpo'"):
        Mars().speakers(("rgb",))
    assert Mars(single_source="grpo").speakers(("rgb",)) == ()
    assert len(Mars(single_source="grpo").speakers(("rgb", "infrared"))) == 2


def test_fused_rollouts_train_and_anchors_do_not():
    fused, anchors = torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.tensor([[0.0], [math.nan]])
    decision = Mars().decide(Rewards.of(fused, anchors), seed=0)
    torch.testing.assert_close(decision.advantages[:, :2], advantages(fused, anchors))
    assert decision.advantages[:, 2].tolist() == [0.0, 0.0]
    assert decision.trained.tolist() == [[True, True, False]] * 2
    assert decision.signal().tolist() == [True, True]


@pytest.mark.parametrize("base", [Grpo(scale="none"), Grpo(scale="batch"), Dapo(baseline="leave_one_out")])
def test_the_base_says_how_to_scale_and_mars_says_eps(base):
    fused, anchors = torch.tensor([[1.0, 0.5], [0.0, 1.0]]), torch.tensor([[0.0], [1.0]])
    decision = Mars(base=base, eps=0.5, weight=2.0).decide(Rewards.of(fused, anchors), seed=0)
    expected = oracles.grpo(fused, base.scale, base.baseline, 0.5, anchors, 2)
    np.testing.assert_allclose(decision.advantages[:, :2], expected, rtol=1e-6)
    assert Mars(base=base).scaling == base.scale


def test_the_control_uses_the_anchors_of_another_group():
    fused, anchors = torch.zeros(2, 3), torch.tensor([[1.0], [0.0]])
    own = Mars().decide(Rewards.of(fused, anchors), seed=1).signal()
    control = Mars(shuffled=True).decide(Rewards.of(fused, anchors), seed=1).signal()
    assert own.tolist() == [True, False]
    assert control.tolist() == [False, True]


def test_what_the_base_asks_of_the_engine_passes_through():
    base = Dapo(epsilon_high=0.3, max_generation_batches=4, overlong_buffer=10)
    method, lengths = Mars(base=base), torch.tensor([[5, 15, 20]])
    assert method.clip_high == 0.3
    assert method.generation_batches == 4
    assert method.token_level
    assert torch.equal(method.length_penalty(lengths, 20), torch.tensor([[0.0, -0.5, -1.0]]))
    plain = Mars()
    assert (plain.clip_high, plain.generation_batches, plain.token_level) == (None, 1, False)
    assert plain.length_penalty(lengths, 20) is None


def test_the_papers_defaults():
    method = Mars()
    assert (method.eps, method.weight, method.anchors, method.sources) == (1e-6, 1.0, "greedy", None)
    assert isinstance(method.base, Grpo)


@pytest.mark.parametrize("bad", [{"weight": -1}, {"eps": 0}, {"sources": ()}, {"sources": ("rgb", "rgb")}])
def test_settings_out_of_bounds_are_refused(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        Mars(**bad)

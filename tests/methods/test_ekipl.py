import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from methods import oracles
from vantage.methods import AnyMethod, Dapo, Ekipl, Grpo, Mars, Racro, Ratio, Rewards

NAN = math.nan
BASES = [
    Grpo(),
    Grpo(scale="batch"),
    Grpo(scale="none", baseline="leave_one_out"),
    Dapo(baseline="leave_one_out"),
    Racro(),
    Mars(),
    Mars(shuffled=True, weight=2.0),
    Mars(base=Dapo(scale="none")),
]


def test_a_group_counted_on_fingers():
    """Kept: the rollouts of 1 and 0.5, the first of the two zeros, and the guest. Mean 0.625, std sqrt(0.6875 / 3)."""
    rewards = Rewards.of(torch.tensor([[0.0, 1.0, 0.5, 0.0]]), None, torch.tensor([[1.0, 0.0]]))
    decision = Ekipl().decide(rewards, 0)
    assert decision.trained.tolist() == [[True, True, True, False, True, False]]
    spread = math.sqrt((0.625**2 + 2 * 0.375**2 + 0.125**2) / 3) + 1e-4
    expected = [-0.625 / spread, 0.375 / spread, -0.125 / spread, 0.0, 0.375 / spread, 0.0]
    assert decision.advantages.tolist() == [pytest.approx(expected)]


def test_statistics_over_all_see_what_selection_hides():
    """Two right rollouts and two right guests fill the group: the kept do not differ, all six do."""
    rewards = Rewards.of(torch.tensor([[1.0, 0.0, 1.0, 0.0]]), None, torch.ones(1, 2))
    assert Ekipl().decide(rewards, 0).signal().tolist() == [False]
    found = Ekipl(statistics="all").decide(rewards, 0)
    spread = math.sqrt((4 * (1 / 3) ** 2 + 2 * (2 / 3) ** 2) / 5) + 1e-4
    assert found.trained.tolist() == [[True, False, True, False, True, True]]
    assert found.advantages[found.trained].tolist() == pytest.approx([(1 / 3) / spread] * 4)


@settings(max_examples=80, deadline=None)
@given(
    oracles.groups(parts=2),
    st.sampled_from(["policy", "guests"]),
    st.sampled_from(["kept", "all"]),
    st.sampled_from(["group", "batch", "none"]),
    st.sampled_from(["mean", "leave_one_out"]),
    st.integers(0, 2),
)
def test_decisions_are_the_equations(parts, ties, statistics, scale, baseline, weight):
    fused, anchors, guest = (torch.tensor(part, dtype=torch.double) for part in parts)
    base = Grpo(scale=scale, baseline=baseline, eps=1e-3)
    over_mars = Mars(base=base, weight=float(weight), eps=1e-3)
    own = {"ties": ties, "statistics": statistics}
    size = fused.shape[1]
    for method, beside in ((Ekipl(base=base, **own), None), (Ekipl(base=over_mars, **own), anchors.numpy())):
        decision = method.decide(Rewards.of(fused, anchors, guest), 0)
        advantages, kept = oracles.ekipl(
            parts[0], parts[2], beside, ties, statistics, weight, scale=scale, baseline=baseline, eps=1e-3
        )
        chosen = [*range(size), *range(size + anchors.shape[1], decision.trained.shape[1])]
        np.testing.assert_array_equal(decision.trained[:, chosen], kept)
        np.testing.assert_allclose(decision.advantages[:, chosen], advantages, rtol=1e-8, atol=1e-8)
        anchored = slice(size, size + anchors.shape[1])
        assert not decision.trained[:, anchored].any() and decision.advantages[:, anchored].eq(0).all()


@pytest.mark.parametrize("base", BASES, ids=str)
@pytest.mark.parametrize("statistics", ["kept", "all"])
@pytest.mark.parametrize("ties", ["policy", "guests", "random"])
def test_without_guests_it_is_its_base(base, statistics, ties):
    generator = torch.Generator().manual_seed(1)
    fused = torch.rand(5, 4, generator=generator).round(decimals=1)
    fused[0, 1] = fused[1] = NAN
    mono = torch.rand(5, 2, generator=generator)
    for guests in (0, 3):
        rewards = Rewards.of(fused, mono, torch.full((5, guests), NAN))
        expected, found = base.decide(rewards, 3), Ekipl(base=base, statistics=statistics, ties=ties).decide(rewards, 3)
        assert torch.equal(found.advantages, expected.advantages)
        assert torch.equal(found.trained, expected.trained)


@pytest.mark.parametrize("statistics", ["kept", "all"])
def test_a_group_without_guests_beside_one_with_is_still_the_bases(statistics):
    fused = torch.tensor([[1.0, 0.0, NAN, 0.0], [1.0, 0.0, NAN, 0.0]])
    rewards = Rewards.of(fused, None, torch.tensor([[1.0], [NAN]]))
    found, base = Ekipl(statistics=statistics).decide(rewards, 0), Grpo().decide(Rewards.of(fused), 0)
    assert torch.equal(found.advantages[1, :4], base.advantages[1])
    assert found.trained.tolist() == [[True, True, False, True, True], [True, True, True, True, False]]


def test_never_more_than_a_batch_holds_and_nothing_untrained_has_an_advantage():
    generator = torch.Generator().manual_seed(2)
    rewards = Rewards.of(*(torch.rand(6, n, generator=generator) for n in (4, 2, 7)))
    for statistics in ("kept", "all"):
        decision = Ekipl(base=Mars(), statistics=statistics).decide(rewards, 0)
        assert decision.trained.sum(1).tolist() == [4] * 6
        assert decision.advantages[~decision.trained].eq(0).all()
        assert decision.advantages.dtype == torch.float32


def test_the_papers_defaults():
    method = Ekipl()
    assert (method.base, method.statistics, method.ties, method.off_policy) == (Grpo(), "kept", "policy", Ratio())
    assert method.off_policy.kind == "paper"
    assert method.fused_rollouts(8, 0) == 8


@pytest.mark.parametrize("ratio", ["shaped", {"kind": "shaped", "gamma": 0.1}])
def test_recipes_name_the_ratio_alone_or_with_its_settings(ratio):
    adapter = TypeAdapter(AnyMethod)
    method = adapter.validate_python(
        {"name": "ekipl", "base": {"name": "mars", "base": {"name": "dapo"}}, "ratio": ratio}
    )
    assert method.off_policy == Ratio(kind="shaped")
    assert isinstance(method.base.base, Dapo)
    assert adapter.validate_python(method.model_dump(mode="json")) == method

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional

from vantage.errors import ConfigError
from vantage.methods import Ratio
from vantage.methods.ratio import effective_sample_size, weights

KINDS = ("paper", "imitation", "shaped", "behaviour")
PROBABILITY = st.floats(1e-6, 1.0)


def oracle(kind, p, old, q, gamma=0.1, c=2.0):
    """The table of the equations, on probabilities."""
    return {"paper": p / old, "imitation": 1.0, "shaped": gamma * p / (p + gamma) ** 2, "behaviour": min(p / q, c)}[
        kind
    ]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), PROBABILITY, PROBABILITY, PROBABILITY, st.floats(0.01, 2), st.floats(1, 20))
def test_weights_are_the_equations(kind, p, old, q, gamma, c):
    ratio = Ratio(kind=kind, **{"shaped": {"gamma": gamma}, "behaviour": {"truncation": c}}.get(kind, {}))
    now, before, drawn = (torch.tensor([[x]], dtype=torch.double).log() for x in (p, old, q))
    found = weights(ratio, now, before, drawn).item()
    assert found == pytest.approx(oracle(kind, p, old, q, gamma, c), rel=1e-9)


def test_counted_on_fingers():
    now = torch.tensor([[0.1, 0.5, 0.9]]).log()
    old, q = torch.tensor([[0.2, 0.5, 0.3]]).log(), torch.tensor([[0.5, 0.5, 0.1]]).log()

    def of(ratio):
        return weights(Ratio.model_validate(ratio), now, old, q)[0].tolist()

    assert of("paper") == pytest.approx([0.5, 1.0, 3.0])
    assert of("imitation") == [1.0, 1.0, 1.0]
    # 0.1 * p / (p + 0.1)^2: the most, a quarter, where p = gamma
    assert of("shaped") == pytest.approx([0.25, 0.05 / 0.36, 0.09])
    assert of("behaviour") == pytest.approx([0.2, 1.0, 2.0])
    assert of({"kind": "behaviour", "truncation": 20}) == pytest.approx([0.2, 1.0, 9.0])


@pytest.mark.parametrize("gamma", [0.02, 0.1, 0.7])
@pytest.mark.parametrize("p", [0.001, 0.05, 0.1, 0.6, 0.999])
def test_shaped_is_the_slope_of_its_loss(gamma, p):
    """Central difference of p / (p + gamma) along log p: that is what multiplies grad log p."""

    def loss(log_p):
        return np.exp(log_p) / (np.exp(log_p) + gamma)

    step = 1e-5
    slope = (loss(np.log(p) + step) - loss(np.log(p) - step)) / (2 * step)
    found = weights(Ratio(kind="shaped", gamma=gamma), torch.tensor([[np.log(p)]])).item()
    assert found == pytest.approx(slope, rel=1e-6)


class Toy(torch.nn.Module):
    """Two layers, five tokens of vocabulary; log-probs (B, T) of the given tokens."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5)).double()
            self.inputs, self.tokens = torch.randn(3, 6, 4).double(), torch.randint(5, (3, 6))
            self.old, self.q = (torch.rand(3, 6).double().clamp(min=0.05).log() for _ in range(2))

    def logps(self):
        return self.layers(self.inputs).log_softmax(-1).gather(-1, self.tokens[..., None])[..., 0]

    def gradient(self, loss):
        self.zero_grad()
        loss.backward()
        return torch.cat([parameter.grad.flatten().clone() for parameter in self.parameters()])


ADVANTAGES = torch.tensor([[1.3], [-0.4], [0.7]], dtype=torch.double)


def test_imitation_is_weighted_supervised_learning():
    toy = Toy()
    logps = toy.logps()
    found = toy.gradient(-(ADVANTAGES * weights(Ratio(kind="imitation"), logps) * logps).sum())
    losses = functional.cross_entropy(toy.layers(toy.inputs).flatten(0, 1), toy.tokens.flatten(), reduction="none")
    torch.testing.assert_close(found, toy.gradient((ADVANTAGES * losses.view(3, 6)).sum()))


@pytest.mark.parametrize("kind", ["paper", "shaped", "behaviour"])
def test_the_gradient_is_that_of_the_loss_in_its_table(kind):
    toy = Toy()
    logps = toy.logps()
    ratio = Ratio(kind=kind, **({"truncation": 1e9} if kind == "behaviour" else {}))
    found = toy.gradient(-(ADVANTAGES * weights(ratio, logps, toy.old, toy.q) * logps).sum())
    p = toy.logps().exp()
    loss = {"paper": p / toy.old.exp(), "shaped": p / (p + 0.1), "behaviour": p / toy.q.exp()}[kind]
    torch.testing.assert_close(found, toy.gradient(-(ADVANTAGES * loss).sum()))
    sft = toy.gradient(-(ADVANTAGES * toy.logps()).sum())
    assert not torch.allclose(found, sft, rtol=1e-2), "and not that of supervised learning"


def test_behaviour_estimates_the_policys_own_gradient_and_the_others_do_not():
    """Every answer of one token, each with the probability that its author gives it: expectations without sampling."""
    logits = torch.tensor([0.3, -0.5, 1.0, 0.1], dtype=torch.double, requires_grad=True)
    q = torch.tensor([0.4, 0.3, 0.1, 0.2], dtype=torch.double)
    reward = torch.tensor([1.0, 0.0, 0.5, -1.0], dtype=torch.double)

    def expected(distribution, weight):
        logps = logits.log_softmax(0)
        return torch.autograd.grad((distribution * reward * weight * logps).sum(), logits)[0]

    logps = logits.log_softmax(0).detach()[None]
    truth = expected(logps[0].exp(), torch.ones(4))

    def off_policy(ratio):
        return expected(q, weights(ratio, logps, logps, q.log()[None])[0])

    torch.testing.assert_close(off_policy(Ratio(kind="behaviour", truncation=100)), truth)
    for kind in ("paper", "imitation", "shaped"):
        assert not torch.allclose(off_policy(Ratio(kind=kind)), truth, rtol=0.05)


def test_the_papers_ratio_is_imitation_before_the_first_update():
    logps = torch.tensor([[-0.1, -3.0]])
    ones = weights(Ratio(kind="imitation"), logps)
    assert torch.equal(weights(Ratio(), logps), ones)
    assert torch.equal(weights(Ratio(), logps, logps.clone()), ones)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_carry_no_gradient_and_are_not_rounded_to_half_precision(kind):
    for dtype, expected in ((torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.double,) * 2):
        logps = torch.tensor([[-0.5, -2.0]], dtype=dtype, requires_grad=True)
        found = weights(Ratio(kind=kind), logps, logps - 0.5, logps - 0.25)
        assert found.dtype == expected
        assert not found.requires_grad


def test_extreme_probabilities_stay_finite():
    logps = torch.tensor([[0.0, -1e4, -torch.inf]])
    for kind in ("imitation", "shaped"):
        assert weights(Ratio(kind=kind), logps).isfinite().all()
    # What its author held impossible weighs the most that is allowed; what the policy holds impossible, nothing.
    found = weights(Ratio(kind="behaviour"), logps, None, torch.tensor([[-torch.inf, 0.0, -1.0]]))
    assert found.tolist() == [[2.0, 0.0, 0.0]]


def test_behaviour_needs_the_log_probs_of_the_author():
    logps = torch.zeros(2, 2)
    with pytest.raises(ConfigError, match=r"'behaviour' .* needs the log-probs .*none are given"):
        weights(Ratio(kind="behaviour"), logps)
    with pytest.raises(ConfigError, match="row 1 lacks some"):
        weights(Ratio(kind="behaviour"), logps, None, torch.tensor([[0.0, 0.0], [-1.0, math.nan]]))


def test_a_kind_alone_says_enough():
    assert Ratio.model_validate("shaped") == Ratio(kind="shaped", gamma=0.1)
    assert Ratio.model_validate({"kind": "behaviour", "truncation": 5}).truncation == 5.0
    for ratio in (Ratio(), Ratio(kind="shaped", gamma=0.3)):
        assert Ratio.model_validate(ratio.model_dump(mode="json")) == ratio
        assert ratio.name == ratio.kind


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"kind": "shaped", "gamma": 0}, "gamma"),
        ({"kind": "behaviour", "truncation": 0.5}, "truncation"),
        ({"kind": "behaviour", "truncation": math.inf}, "truncation"),
        ("shape", "kind"),
        ({"kind": "shaped", "gama": 1}, "gama"),
        ({"gamma": 0.3}, "gamma is 0.3, which only kind 'shaped' uses; the kind is 'paper'"),
        ({"kind": "shaped", "truncation": 3}, "only kind 'behaviour' uses"),
    ],
)
def test_settings_that_mean_nothing_are_refused(bad, message):
    with pytest.raises(ValidationError, match=message):
        Ratio.model_validate(bad)


def test_the_effective_sample_size_lies_between_one_and_all():
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    assert effective_sample_size(torch.full((2, 3), 0.3), mask).item() == pytest.approx(4)
    one = torch.tensor([[0.0, 7.0, 0.0], [0.0, 9.0, 9.0]])
    assert effective_sample_size(one, mask).item() == pytest.approx(1)
    # (1 + 2 + 3)^2 / (1 + 4 + 9)
    assert effective_sample_size(torch.tensor([1.0, 2.0, 3.0]), torch.ones(3).bool()).item() == pytest.approx(36 / 14)
    assert effective_sample_size(torch.ones(2), torch.zeros(2).bool()).item() == 0
    assert effective_sample_size(torch.ones(0), torch.zeros(0).bool()).item() == 0
    # What stands where there is no token is not looked at.
    assert effective_sample_size(torch.tensor([1.0, math.nan]), torch.tensor([True, False])).item() == 1

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from methods import oracles
from vantage.errors import ConfigError
from vantage.methods import Dapo, Rewards
from vantage.methods.dapo import overlong_penalty


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, 0.0), (99, 0.0), (100, 0.0), (101, -0.04), (110, -0.4), (124, -0.96), (125, -1.0), (130, -1.0)],
)
def test_the_punishment_of_equation_13(length, expected):
    # L_max 125, L_cache 25: nothing up to 100, then (100 - |y|) / 25, then -1
    assert overlong_penalty(torch.tensor([[length]]), 125, 25).item() == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), st.floats(0, 3), st.lists(st.integers(0, 5000), min_size=1))
def test_the_punishment_is_bounded_and_never_falls_with_length(limit, buffer, penalty, lengths):
    buffer = min(buffer, limit)
    values = overlong_penalty(torch.tensor(sorted(lengths)), limit, buffer, penalty)
    assert (values <= 0).all() and (values >= -penalty - 1e-6).all()
    assert (values.diff() <= 1e-6).all()


@pytest.mark.parametrize("buffer", [0, -1, 13])
def test_a_buffer_that_does_not_fit_is_refused(buffer):
    with pytest.raises(ConfigError, match=f"overlong_buffer is {buffer} tokens but a completion has at most 12"):
        overlong_penalty(torch.tensor([[1]]), 12, buffer)


@pytest.mark.parametrize(
    ("buffer", "limit", "start"),
    [(0.2, 20480, 16384), (0.2, 100, 80), (25, 100, 75), (1, 100, 99), (0.001, 100, 99), (100, 100, 0)],
    ids=["the paper's", "a fraction", "tokens", "one token", "never less than one token", "all of it"],
)
def test_the_buffer_is_tokens_or_a_fraction_of_the_limit(buffer, limit, start):
    values = Dapo(overlong_buffer=buffer).length_penalty(torch.tensor([[start, start + 1, limit]]), limit)
    assert values[0, 0] == 0 and values[0, 1] < 0
    assert values[0, 2] == -1


def test_punishment_scales_and_can_be_off():
    lengths = torch.tensor([[20, 15]])
    assert Dapo(overlong_buffer=10, overlong_penalty=0.5).length_penalty(lengths, 20).tolist() == [[-0.5, -0.25]]
    assert Dapo(overlong_buffer=None).length_penalty(lengths, 20) is None
    with pytest.raises(ConfigError, match="at most 20"):
        Dapo(overlong_buffer=21).length_penalty(lengths, 20)


@pytest.mark.parametrize("buffer", [1.5, 20.25])
def test_half_a_token_is_no_length(buffer):
    with pytest.raises(ValidationError, match="overlong_buffer"):
        Dapo(overlong_buffer=buffer)


def test_what_it_asks_of_the_engine():
    method = Dapo()
    assert (method.clip_high, method.generation_batches, method.token_level, method.scaling) == (
        0.28,
        10,
        True,
        "group",
    )
    assert method.speakers(("rgb", "infrared")) == ()


def test_advantages_are_grpos():
    fused = torch.tensor([[1.0, 0.0, 0.5], [1.0, 1.0, 1.0]], dtype=torch.double)
    decision = Dapo().decide(Rewards.of(fused, torch.ones(2, 1)), seed=0)
    np.testing.assert_allclose(decision.advantages[:, :3], oracles.grpo(fused), rtol=1e-9)
    assert decision.trained.tolist() == [[True, True, True, False]] * 2
    assert decision.signal().tolist() == [True, False]

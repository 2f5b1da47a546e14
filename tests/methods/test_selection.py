import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods import oracles
from vantage.errors import ConfigError
from vantage.methods import Ekipl, Imitation, Mars, Rewards
from vantage.methods.selection import top

NAN = math.nan


def kept(fused, guest, *rule):
    """Positions of who is kept in each group."""
    mask = top(torch.tensor(fused), torch.tensor(guest), *rule)
    return [row.nonzero().flatten().tolist() for row in mask]


def test_a_group_counted_on_fingers():
    fused, guest = [[0.0, 1.0, 0.5, 0.0]], [[1.0, 0.0]]
    assert kept(fused, guest) == [[0, 1, 2, 4]]  # of three zeros the policy's first
    assert kept(fused, guest, "guests") == [[1, 2, 4, 5]]


def test_ties_of_large_groups_stand_in_column_order():
    """On a device whose plain sort is not stable this shows with many members, not with few."""
    assert kept([[0.0, 1.0] * 150], [[1.0] * 100]) == [sorted([*range(1, 300, 2), *range(300, 400), *range(0, 100, 2)])]


@settings(max_examples=80, deadline=None)
@given(oracles.groups(), st.sampled_from(["policy", "guests"]))
def test_the_best_are_kept(parts, ties):
    fused, guest = parts
    expected = [sorted(oracles.best(ours, theirs, ties)) for ours, theirs in zip(fused, guest, strict=True)]
    assert kept(fused, guest, ties) == expected


@settings(max_examples=40, deadline=None)
@given(oracles.groups(), st.integers(0, 2**40))
def test_a_random_rule_keeps_as_good_ones(parts, seed):
    fused, guest = (torch.tensor(part, dtype=torch.double) for part in parts)
    members = torch.cat([fused, guest], dim=1).numpy()
    by_rule, at_random = top(fused, guest).numpy(), top(fused, guest, "random", seed).numpy()
    for rewards, ours, theirs in zip(members, by_rule, at_random, strict=True):
        np.testing.assert_array_equal(np.sort(rewards[ours]), np.sort(rewards[theirs]))


def test_a_random_rule_favours_nobody_and_draws_from_its_seed_alone():
    fused, guest = torch.zeros(500, 2), torch.zeros(500, 2)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = top(fused, guest, "random", 5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, top(fused, guest, "random", 5))
    assert not torch.equal(first, top(fused, guest, "random", 6))
    # Each of the four is kept half of the time; 0.1 is more than four standard errors.
    assert ((first.double().mean(0) - 0.5).abs() < 0.1).all()
    assert (first.sum(1) == 2).all()


def test_missing_guests_leave_the_group_smaller():
    assert kept([[0.0, NAN, 1.0], [NAN, NAN, NAN]], [[NAN, 0.5], [1.0, NAN]]) == [[0, 2, 4], [3]]


def test_a_group_to_which_no_guest_came_keeps_its_rollouts():
    assert kept([[0.0, NAN, 1.0]], [[NAN, NAN]]) == [[0, 1, 2]]
    assert top(torch.zeros(1, 3), torch.zeros(1, 0)).tolist() == [[True] * 3]


def test_an_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match="'policy', 'guests' or 'random', got 'best'"):
        inspect.unwrap(top)(torch.zeros(1, 2), torch.zeros(1, 1), "best")  # past the checks of types


@pytest.mark.parametrize("method", [Ekipl(base=Mars()), Imitation(base=Mars())], ids=["ekipl", "imitation"])
def test_anchors_are_never_kept(method):
    rewards = Rewards.of(torch.zeros(1, 2), torch.full((1, 2), 9.0), torch.ones(1, 1))
    assert method.keep(rewards, 0).tolist() == [[True, False, False, False, True]]
    assert method.wants_guests

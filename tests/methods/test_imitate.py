import math

import pytest
import torch

from vantage.errors import ConfigError
from vantage.methods import Ekipl, Imitation, Mars, Ratio, Rewards

NAN = math.nan
# Two rollouts, an anchor and three guests: the first is right, the second wrong, the third right or missing.
FUSED = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
MONO = torch.tensor([[1.0], [0.0]])
GUEST = torch.tensor([[1.0, 0.5, 1.0], [1.5, 0.5, NAN]])
CORRECT = torch.tensor([[1.0, 0.0, 1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0, 0.0, NAN]])
REWARDS = Rewards.of(FUSED, MONO, GUEST, CORRECT)


def test_kept_guests_that_are_right_train_with_an_advantage_of_one():
    decision = Imitation().decide(REWARDS, 0)
    # Kept are a rollout and a guest of the first group, both scored guests of the second; one of these is wrong.
    assert decision.trained.int().tolist() == [[0, 0, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0]]
    assert torch.equal(decision.advantages, decision.trained.float())
    assert decision.advantages.dtype == FUSED.dtype


def test_wrong_ones_train_too_where_that_is_asked():
    decision = Imitation(only_right=False).decide(REWARDS, 0)
    assert decision.trained.int().tolist() == [[0, 0, 0, 1, 0, 0], [0, 0, 0, 1, 1, 0]]
    assert torch.equal(decision.advantages, decision.trained.float())
    # Nobody has to know who is right.
    assert Imitation(only_right=False).decide(Rewards.of(FUSED, MONO, GUEST), 0).trained.sum() == 3


@pytest.mark.parametrize("ties", ["policy", "guests", "random"])
@pytest.mark.parametrize("base", [Ekipl().base, Mars()], ids=["grpo", "mars"])
def test_its_guests_are_those_that_ekipl_keeps(ties, base):
    generator = torch.Generator().manual_seed(4)
    parts = [torch.randint(3, (20, n), generator=generator).float() for n in (4, 2, 3)]
    rewards = Rewards.of(*parts)
    ours = Imitation(only_right=False, ties=ties, base=base).decide(rewards, 9).trained
    theirs = Ekipl(ties=ties, base=base).decide(rewards, 9).trained
    assert torch.equal(ours[:, 6:], theirs[:, 6:]) and ours.any()
    assert not ours[:, :6].any()


def test_without_guests_nothing_is_learned():
    decision = Imitation().decide(Rewards.of(FUSED, correct=torch.ones(2, 2)), 0)
    assert not decision.trained.any() and not decision.signal().any()


def test_it_must_know_who_is_right():
    with pytest.raises(ConfigError, match="which answers are right"):
        Imitation().decide(Rewards.of(FUSED, MONO, GUEST), 0)


def test_every_token_weighs_one():
    assert Imitation().off_policy == Ratio(kind="imitation")

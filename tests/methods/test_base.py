import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError
from pydantic import TypeAdapter, ValidationError

from vantage.errors import ConfigError
from vantage.methods import METHODS, AnyMethod, Dapo, Decision, Grpo, Mars, Rewards
from vantage.methods.dapo import overlong_penalty
from vantage.methods.mars import shuffle

WRONG = (TypeCheckError, BeartypeCallHintViolation)


def test_a_wrong_shape_is_caught_in_tests():
    """The import hook of tests/conftest.py is at work: what the annotations say is what is passed."""
    with pytest.raises(WRONG):
        shuffle(torch.zeros(3), 0)
    with pytest.raises(WRONG):
        overlong_penalty(torch.zeros(2, 2), 10, 5)  # lengths are whole numbers
    with pytest.raises(WRONG):
        Rewards(torch.zeros(2, 3), torch.zeros(3, 1), torch.zeros(2, 0))
    with pytest.raises(WRONG):
        Decision(torch.zeros(2, 3), torch.zeros(2, 3))  # who trains is a yes or a no
    with pytest.raises(WRONG):
        Decision(torch.zeros(2, 3), torch.zeros(2, 4, dtype=torch.bool))


def test_members_stand_in_the_order_fused_mono_guest():
    rewards = Rewards.of(torch.zeros(2, 3), torch.ones(2, 2), torch.full((2, 1), 2.0))
    assert rewards.members().tolist() == [[0, 0, 0, 1, 1, 2]] * 2
    alone = Rewards.of(torch.zeros(2, 3))
    assert (alone.mono.shape, alone.guest.shape, alone.members().shape) == ((2, 0), (2, 0), (2, 3))


@pytest.mark.parametrize("mono", [torch.zeros(3, 2), torch.zeros(2)])
def test_parts_of_another_number_of_problems_are_refused(mono):
    with pytest.raises(ConfigError, match=r"of one P; got \(2, 3\)"):
        Rewards.of(torch.zeros(2, 3), mono)


@pytest.mark.parametrize("correct", [torch.zeros(2, 4), torch.zeros(1, 5), torch.zeros(5)])
def test_who_is_right_is_known_of_every_member_or_of_none(correct):
    with pytest.raises(ConfigError, match=r"correct is \(P, N\) of all members, \(2, 5\); got"):
        Rewards.of(torch.zeros(2, 3), torch.zeros(2, 1), torch.zeros(2, 1), correct)
    assert Rewards.of(torch.zeros(2, 3)).correct is None


def test_columns_lead_from_members_to_their_kind():
    rewards = Rewards.of(torch.zeros(1, 2), torch.ones(1, 1), torch.full((1, 3), 2.0))
    for kind, part in (("fused", rewards.fused), ("mono", rewards.mono), ("guest", rewards.guest)):
        assert torch.equal(rewards.members()[:, rewards.columns(kind)], part)


def test_right_is_who_is_scored_and_right():
    correct = torch.tensor([[1.0, 0.0, 1.0, torch.nan, 1.0]])
    rewards = Rewards.of(torch.ones(1, 2), torch.ones(1, 1), torch.tensor([[0.0, torch.nan]]), correct)
    assert [rewards.right(kind).tolist() for kind in ("fused", "mono", "guest")] == [
        [[True, False]], [[True]], [[False, False]],
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="pass correct too"):
        Rewards.of(torch.zeros(1, 2)).right("fused")


def test_signal_is_an_advantage_that_is_trained_on():
    advantages = torch.tensor([[0.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    trained = torch.tensor([[True, True], [True, False], [True, False]])
    assert Decision(advantages, trained).signal().tolist() == [False, False, True]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.__name__)
def test_settings_survive_plain_values_and_are_frozen(method):
    adapter = TypeAdapter(AnyMethod)
    made = method()
    assert adapter.validate_python(made.model_dump(mode="json")) == made
    with pytest.raises(ValidationError, match="frozen"):
        made.eps = 1.0
    with pytest.raises(ValidationError, match="Extra inputs"):
        method(epsylon=1.0)
    for eps in (float("nan"), float("inf"), 0.0):
        with pytest.raises(ValidationError):
            method(eps=eps)
    assert all(field.description for key, field in method.model_fields.items() if key != "name"), (
        "every setting says what it means"
    )


def test_a_method_within_a_method_survives_too():
    made = Mars(base=Dapo(epsilon_high=0.3), sources=("rgb",))
    assert TypeAdapter(AnyMethod).validate_python(made.model_dump(mode="json")) == made


@pytest.mark.parametrize("method", [Grpo(), Dapo(), Mars()], ids=lambda m: m.name)
def test_on_policy_methods_want_no_guests_and_train_on_nothing_else(method):
    assert not method.wants_guests
    assert method.off_policy is None
    assert method.anchor_text == "anchor"
    assert method.fused_rollouts(8, 2) == 8


def test_exactly_the_fused_rollouts_train():
    rewards = Rewards.of(torch.rand(3, 4), torch.rand(3, 2))
    for method in (Grpo(), Dapo(), Mars(), Mars(base=Dapo(), shuffled=True)):
        decision = method.decide(rewards, 7)
        assert decision.trained.sum(1).tolist() == [4, 4, 4]
        assert decision.advantages[~decision.trained].eq(0).all()

"""The oracle is right as often as it is told, and wrong in the form of an answer."""

import asyncio
import math

import pytest

from scripted import sample
from vantage import worlds
from vantage.errors import ConfigError
from vantage.guests import Guests
from vantage.guests.oracle import OracleGuest
from vantage.rewards import call_many
from vantage.samples import PromptStyle


def said(guest, sample, turn=0):
    return [one.text for one in asyncio.run(guest.ask(sample, PromptStyle(), turn))]


@pytest.mark.parametrize("world", worlds.NAMES)
def test_it_is_right_with_probability_p_and_always_well_formed(world):
    samples = list(worlds.get(world).dataset(n=72))
    guest = OracleGuest(0.7, n=4)
    answers = [(text, sample) for sample in samples for text in said(guest, sample)]
    scores = call_many([s.reward for _, s in answers], [text for text, _ in answers], [s for _, s in answers])
    assert all(score.formatted and not score.error for score in scores)
    right = [text == worlds.gold(s) for text, s in answers]
    four_sigma = 4 * math.sqrt(0.7 * 0.3 / len(right))
    assert abs(sum(right) / len(right) - 0.7) < four_sigma
    # No other answer counts as right; one to another task's question would not even be read.
    assert [score.correct for score in scores] == right


@pytest.mark.parametrize(("p", "right"), [(1.0, 24), (0.0, 0)])
def test_the_ends_are_certain(p, right):
    samples = list(worlds.get("night").dataset(n=24))
    assert sum(said(OracleGuest(p), sample) == [worlds.gold(sample)] for sample in samples) == right


def test_a_wrong_answer_is_one_to_the_same_question():
    """The night world asks about four halves; the chain of a wrong answer is about the half that was asked about."""
    guest = OracleGuest(0.0)
    for scene in worlds.get("night").dataset(n=30, tasks=["exists"]):
        half = scene.question.split()[-2]
        assert said(guest, scene)[0].split()[1] == half


def test_what_it_says_depends_on_nothing_but_its_arguments():
    samples = list(worlds.get("night").dataset(n=12))
    forward = [said(OracleGuest(0.5, n=2), sample, turn=3) for sample in samples]
    guest = OracleGuest(0.5, n=2)
    assert [said(guest, sample, turn=3) for sample in reversed(samples)][::-1] == forward
    assert [said(guest, sample, turn=4) for sample in samples] != forward
    assert [said(OracleGuest(0.5, n=2, seed=1), sample, turn=3) for sample in samples] != forward
    assert [said(OracleGuest(0.5, n=2, name="other"), sample, turn=3) for sample in samples] != forward


def test_turns_go_on_where_the_last_ended():
    sample = worlds.get("night").dataset(n=1)[0]
    one_by_one = [said(OracleGuest(0.5), sample, turn)[0] for turn in range(6)]
    assert [text for turn in range(2) for text in said(OracleGuest(0.5, n=3), sample, turn)] == one_by_one


def test_it_knows_drawn_scenes_only():
    guest = OracleGuest(0.5)
    with pytest.raises(ConfigError, match="only samples drawn by a world"):
        Guests([guest]).check([sample("a", "rgb")])
    (row,) = Guests([guest]).start([sample("a", "rgb")], PromptStyle(), [0]).collect()
    assert row[0].kind == "failed"


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_probability_lies_between_0_and_1(p):
    with pytest.raises(ConfigError, match=r"0\.\.1"):
        OracleGuest(p)

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rows import row, tagged
from vantage import rewards, worlds
from vantage.errors import DataError, TruthError
from vantage.worlds.base import answer_text

CELLS = {"frame": "relative:8", "truth_frame": "relative:8"}


@pytest.mark.parametrize(
    ("text", "reward", "formatted"),
    [
        (tagged("3"), 1, True),
        (tagged(" 3. "), 1, True),
        ("<answer>3</answer>", 1, False),
        (tagged("4"), 0, True),
        (tagged("33"), 0, True),
        (tagged(""), 0, False),
        ("3", 0, False),
        (tagged("3") + tagged("3"), 0, False),
        ("<answer>3</answer><think>late</think>", 1, False),
        ("<think>so <answer>3</answer></think>", 0, False),
        ("<think>so <answer>3</answer>", 0, False),
    ],
)
def test_answer(text, reward, formatted):
    for truth in (3, "3"):
        found = rewards.call("answer", text, row(truth))
        assert (found.reward, found.correct, found.formatted) == (reward, bool(reward), formatted)
        assert found.parts == {"accuracy": reward, "format": formatted}


OPTIONS = "Which one?\nA. a cat\nB. two dogs\nC. 5"


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("5.0", "5"),
        ("5", "5.0"),
        ("5", 5.0),
        ("05", 5),
        ("1,000", 1000),
        ("\N{MINUS SIGN}2", "-2"),
        ("3.50", 3.5),
        ("1" + "0" * 22, 1e22),
        ("two", "two or 2"),
        ("2.0", "two or 2"),
        ("grey", ["gray", "grey"]),
        ("Yes.", "<answer>yes</answer>"),
        ("(b)", "B"),
        ("B. two dogs", "B"),
        ("two dogs", "B"),
        ("9" * 5000 + ".0", "9" * 5000),
        ("do or die", ["Do or Die"]),
        ("**3**", 3),
    ],
)
def test_answers_that_agree(text, truth):
    assert rewards.call("answer", tagged(text), replace(row(truth), question=OPTIONS)).reward == 1
    assert rewards.get("answer").check(row(truth)) is None


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("yes or no", "yes"),
        ("two or 3", "two or 2"),
        ("e", "yes"),
        ("yes it is", "yes"),
        ("5.01", "5"),
        ("5 cm", "5"),
        ("five", "5"),
        ("50", "5"),
        ("5!", "5"),
        ("a cat", "B"),
        ("B. a cat", "B"),
        ("A or B", "B"),
        ("9007199254740993", 9007199254740992),
        ("nan", "5"),
        ("-0.5", "0.5"),
        ("die", ["Do or Die"]),
        ("A and B", "B"),
        ("A. a cat B. two dogs", "B"),
    ],
)
def test_answers_that_do_not(text, truth):
    found = rewards.call("answer", tagged(text), replace(row(truth), question=OPTIONS))
    assert (found.reward, found.correct, found.formatted) == (0, False, True)


@pytest.mark.parametrize("world", ["night", "depth"])
def test_the_truth_of_every_drawn_scene_is_a_right_answer_and_no_other_is(world):
    answers = ("yes", "no", *map(str, range(10)))
    for sample in worlds.get(world).dataset("test", n=40):
        if sample.reward == "answer":
            assert rewards.call("answer", tagged(answer_text(sample.truth)), sample).correct
            right = [text for text in answers if rewards.call("answer", tagged(text), sample).correct]
            assert right == [sample.truth]


@pytest.mark.parametrize("truth", [None, "", " ", ".", True, float("nan"), [], ["yes", None], [[3]], {"a": 1}])
def test_answer_finds_an_unreadable_truth(truth):
    with pytest.raises(TruthError, match=r"'r1'.*'answer'"):
        rewards.get("answer").check(row(truth))
    assert rewards.get("answer").check(row("yes")) is None


@pytest.mark.parametrize("text", ["2 1 4 5", "2,1,4,5", "[2, 1, 4, 5]", "2 1 4 4"])
def test_box_in_the_declared_frame(text):
    found = rewards.call("box", tagged(text), row([2, 1, 4, 5], "box", **CELLS))
    assert (found.reward, found.formatted, found.error) == (1, True, "")


@pytest.mark.parametrize("text", ["2 1 4", "4 5 2 1", "2 1 4 2", "nan nan nan nan", "2 1 4 5 6", "x"])
def test_box_that_is_not_there(text):
    assert rewards.call("box", tagged(text), row([2, 1, 4, 5], "box", **CELLS)).reward == 0


def test_an_overlap_of_exactly_a_half_is_enough():
    found = rewards.call("box", tagged("0 0 2 1"), row([0, 0, 2, 2], "box", **CELLS))
    assert (found.reward, found.parts["iou"]) == (1, 0.5)


def test_the_truth_is_in_the_frame_of_the_model_unless_named():
    assert rewards.call("box", tagged("2 1 4 5"), row([2, 1, 4, 5], "box", frame="relative:8")).reward == 1
    pixels = row([16, 6, 32, 30], "box", frame="relative:8", truth_frame="pixel")
    assert rewards.call("box", tagged("2 1 4 5"), pixels).reward == 1
    with pytest.raises(DataError, match="'r1': no coordinate frame"):
        rewards.get("box").check(row([2, 1, 4, 5], "box"))


def test_box_finds_an_unreadable_truth():
    rewards.get("box").check(row([2, 1, 4, 5], "box", **CELLS))
    for truth in (None, [], [2, 1, 4], [[2, 1, 4, 5], [0, 0, 1, 1]], [2, 1, 4, 50]):
        with pytest.raises(TruthError, match="'r1'"):
            rewards.get("box").check(row(truth, "box", **CELLS))


@given(st.text(max_size=60))
def test_any_text_scores_zero_or_one(text):
    for completion in (text, tagged(text)):
        assert rewards.call("answer", completion, row("3")).reward in (0, 1)
        assert rewards.call("box", completion, row([2, 1, 4, 5], "box", **CELLS)).reward in (0, 1)


def test_a_box_inside_the_thought_is_none():
    found = rewards.call("box", "<think><answer>2 1 4 5</answer></think>", row([2, 1, 4, 5], "box", **CELLS))
    assert (found.reward, found.error) == (0, "the answer block lies inside the thought")

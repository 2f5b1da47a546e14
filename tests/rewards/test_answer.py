import pytest
from hypothesis import given
from hypothesis import strategies as st

from rows import row, tagged
from vantage import rewards
from vantage.errors import DataError, TruthError

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
    ],
)
def test_answer(text, reward, formatted):
    for truth in (3, "3"):
        found = rewards.call("answer", text, row(truth))
        assert (found.reward, found.correct, found.formatted) == (reward, bool(reward), formatted)
        assert found.parts == {"accuracy": reward, "format": formatted}


@pytest.mark.parametrize("truth", [None, "", " ", ".", True, 3.5, [3]])
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

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows import row, tagged
from vantage import rewards
from vantage.errors import TruthError

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
WORDS += [
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]


def count(answer, truth):
    return rewards.call("count", tagged(answer), row(truth, "count"))


@pytest.mark.parametrize(
    "answer",
    [
        "3",
        " 3 ",
        "3.",
        "3.0",
        "03",
        "+3",
        "three",
        "Three.",
        "\n3\n",
        "**3**",
        "__3__",
        "$3$",
        r"\[3\]",
        r"\boxed{3}",
        "`3`",
        '"three"',
        "three!",
    ],
)
@pytest.mark.parametrize("truth", [3, "3", 3.0, "three", "three or 3", ["3"], "<answer>3</answer>"])
def test_three_however_written(answer, truth):
    found = count(answer, truth)
    assert (found.reward, found.correct, found.formatted, found.error) == (1, True, True, "")
    assert found.parts == {"accuracy": 1, "distance": 0}


@given(st.integers(0, 20), st.integers(0, 20), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_distance_is_counted_on_fingers(given_number, truth, in_words, truth_in_words):
    found = count(WORDS[given_number] if in_words else given_number, WORDS[truth] if truth_in_words else truth)
    assert found.parts["distance"] == abs(given_number - truth)
    assert (found.reward, found.correct) == (given_number == truth, given_number == truth)


def test_any_number_of_a_truth_with_several_is_right():
    for truth in ("two or 5", [2, "five"], ["2", 5.0]):
        assert count("5", truth).reward == count("two", truth).reward == 1
        assert count("3", truth).parts == {"accuracy": 0, "distance": 1}


@pytest.mark.parametrize(
    "answer",
    [
        "3 people",
        "3!",
        "3 or 4",
        "two or 3",
        "2, 3",
        "3.5",
        "thirty",
        "3/1",
        "none",
        "x",
        "3 3",
        "1_0",
        "\N{SUPERSCRIPT THREE}",
    ],
)
def test_what_is_not_one_whole_number_earns_nothing(answer):
    found = count(answer, 3)
    assert (found.reward, found.parts, found.error) == (0, {"accuracy": 0}, "the answer is not a whole number")


def test_numbers_are_compared_exactly_however_long():
    long = "9" * 10_000
    assert count(long, long).reward == 1
    assert count(long[:-1] + "8", long).reward == 0
    assert "distance" not in count(long, 3).parts
    assert count("9007199254740993", 9007199254740992).reward == 0
    assert count("1,000", 10**3).reward == 1
    assert count("-3", 3).parts == {"accuracy": 0, "distance": 6}


@pytest.mark.parametrize(
    "truth",
    [
        None,
        "",
        "x",
        True,
        -1,
        "-1",
        2.5,
        [],
        [3, "x"],
        ["two or 2"],
        "3 or so",
        math.nan,
        "3 people",
        [[3]],
        {"a": 3},
        pytest.param(-(10**5000), id="huge"),
    ],
)
def test_a_truth_that_is_no_count_is_found(truth):
    with pytest.raises(TruthError, match="row 'r1': reward 'count'"):
        rewards.get("count").check(row(truth))

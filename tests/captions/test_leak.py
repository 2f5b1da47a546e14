import time
from dataclasses import replace

import pytest

from rows import row
from vantage.captions import leak
from vantage.rewards.tryout import hostile

OPTIONS = "Which? [A. a red car, B. a blue bus]"


def asking(truth, question="What?"):
    return replace(row(truth), question=question)


@pytest.mark.parametrize(
    ("caption", "truth"),
    [
        (r"Two men. So it is \boxed{3}.", "2"),
        (r"Two men. \fbox 3", "2"),
        ("Two men. <answer>3</answer>", "2"),
        ("Two men. <answer>", "2"),
        ("Two men. The answer is 3.", "2"),
        ("Two men. The final answer to the question is: 3", "2"),
        ("Two men.\n**Answer**: three", "2"),
        ("Two men.\nAnswer: 3", "2"),
        ("The answer, therefore, is red", "blue"),
        ("The answer should be\n\nB", "A"),
        ("So the correct option is (B).", "A"),
        ("Two men by a car. 2.", "2"),
        ("Two men by a car.\n**Two**", 2),
        ("Yes, there is a man.", "yes"),
        ("There is a man. No.", "yes"),
        ("A bus in the rain. (B)", "B"),
        ("A blue bus.", "B"),
    ],
)
def test_captions_that_state_an_answer(caption, truth):
    assert leak.states(caption, asking(truth, OPTIONS))


@pytest.mark.parametrize(
    ("caption", "truth"),
    [
        ("Two men stand beside a red car, 2 m apart.", "2"),
        ("A man answers the phone; it is black.", "black"),
        ("To answer the question, look at the sign: it is red.", "red"),
        ("The answer is not visible.", "red"),
        ("The answer is **unclear** from here.", "red"),
        ("1. a car\n2. a bus\n3. A tram", "2"),
        ("No people can be seen on the left.", "0"),
        ("No person is in the left half", "no"),
        ("The bus is blue and stands behind a car.", "B"),
        ("", "2"),
        ("Where? Here!", [[1, 2, 3, 4]]),
    ],
)
def test_captions_that_describe(caption, truth):
    assert not leak.states(caption, asking(truth, OPTIONS))
    assert leak.stripped(caption, asking(truth, OPTIONS)) == caption


@pytest.mark.parametrize(
    ("caption", "truth", "expected"),
    [
        ("2 men", "2", True),
        ("Two men", "2", True),
        ("two men", 2, True),
        ("2.0 m", "2", True),
        ("12 men, 2.5 m, x2y", "2", False),
        ("1,234 seats", "1234", True),
        ("rows 2,3", "3", True),
        ("The car is RED.", "red", True),
        ("The car is reddish.", "red", False),
        ("a stop   sign", "Stop sign", True),
        ("C++ code", "C++", True),
        ("a red car", "B", False),
        ("a blue bus", "B", True),
        ("option B", "B", True),
        ("A man", "A", False),
        ("minus -3 degrees", "-3", True),
        ("minus -3 degrees", "3", False),
        ("dos o two", ["zwei", "two"], True),
        ("10 10 30 30", [[10, 10, 30, 30]], False),
        ("anything", None, False),
    ],
)
def test_mentions_are_whole_words_and_numbers(caption, truth, expected):
    assert leak.mentions(caption, asking(truth, OPTIONS)) is expected


@pytest.mark.parametrize(
    ("caption", "rest"),
    [
        ("Two men. The answer is 3. One car.", "Two men. One car."),
        ("Two men.\nThe answer is 3.\nOne car.", "Two men.\nOne car."),
        ("Two men. The answer is\n\nthree", "Two men."),
        (r"Two men. Hence \boxed{3. Or 4}. One car.", "Two men. One car."),
        (r"Two men. Hence \boxed{\boxed{3}. 4} it is. One car.", "Two men. One car."),
        (r"Two men. Hence \boxed{3. One car.", "Two men. One car."),
        ("Two men. <answer>3.\nNo, 4.</answer> One car.", "Two men."),
        ("Two men. <answer>3. One car.", "Two men."),
        ("<answer>3</answer>", ""),
        ("Two men.  One car.\n\n- a tree\n- 2", "Two men.  One car.\n\n- a tree"),
    ],
)
def test_stripping_takes_the_sentences_away_that_state_an_answer(caption, rest):
    assert leak.stripped(caption, asking("2")) == rest
    assert not leak.states(leak.stripped(caption, asking("2")), asking("2"))


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in hostile()])
def test_hostile_captions_are_read_in_time(text):
    start = time.perf_counter()
    for truth in ("2", "yes", "a"):
        leak.states(text, asking(truth))
        leak.mentions(text, asking(truth))
    assert not leak.states(leak.stripped(text, asking("2")), asking("2"))
    assert time.perf_counter() - start < 10


def test_time_is_linear_in_the_length():
    def took(n):
        start = time.perf_counter()
        for piece in ("the answer is not ", "\\boxed{", "answer, then ", "<answer>", "1. ", "a. b! ", "2 "):
            leak.states(piece * n, asking("7"))
            leak.mentions(piece * n, asking("7"))
        return time.perf_counter() - start

    took(100)
    assert took(20_000) < 40 * max(took(2_000), 0.01)

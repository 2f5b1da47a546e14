import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows import row, tagged
from vantage import rewards
from vantage.errors import TruthError
from vantage.rewards import numerals


def number(answer, truth):
    return rewards.call("reason-rft-number", tagged(answer), row(truth, "reason-rft-number"))


def public_rule(predicted: float, truth: float) -> float:
    """Reason-RFT's, in differences rather than shares."""
    off, near, far = abs(predicted - truth), 0.05 * abs(truth), 0.2 * abs(truth)
    if off < near:
        return 1.0
    if off > far:
        return 0.0
    return 0.5 * (math.cos(math.pi * (off - near) / (far - near)) + 1)


@pytest.mark.parametrize(
    ("answer", "truth", "reward", "right"),
    [
        ("5", "5", 1, True),
        ("5.0", "5", 1, True),
        ("5", 5, 1, True),
        ("104.9", "100", 1, True),
        ("95.1", 100.0, 1, True),
        # The middle of the slope, and a quarter of it: 0.5 (cos(pi/4) + 1).
        ("112.5", "100", 0.5, False),
        ("87.5", "100", 0.5, False),
        ("108.75", "100", 0.5 * (math.sqrt(0.5) + 1), False),
        ("120", "100", 0, False),
        ("80", "100", 0, False),
        ("1000", "100", 0, False),
        ("-100", "100", 0, False),
        ("-100", "-100", 1, True),
        ("5", "<answer>5</answer>", 1, True),
        ("4", "3", 0, False),
    ],
)
def test_scores_worked_by_hand(answer, truth, reward, right):
    found = number(answer, truth)
    assert found.reward == pytest.approx(reward, abs=1e-12)
    assert (found.correct, found.formatted, found.error) == (right, True, "")
    assert found.parts["accuracy"] == found.reward


@given(st.floats(-1e6, 1e6).filter(lambda x: abs(x) > 1e-6), st.floats(0.7, 1.3))
@settings(deadline=None, derandomize=True)
def test_the_slope_is_the_public_one(truth, factor):
    found = number(repr(truth * factor), repr(truth))
    assert found.reward == pytest.approx(public_rule(truth * factor, truth), abs=1e-6)
    assert found.parts["relative_error"] == pytest.approx(abs(factor - 1), abs=1e-9)


def test_a_truth_of_nought_is_met_by_nought_alone():
    for answer in ("0", "0.0", "-0", "0 cm", "\\boxed{0}"):
        assert number(answer, 0).reward == 1
    for answer in ("0.001", "1", "-1e-9"):
        found = number(answer, "0")
        assert (found.reward, found.correct, found.error) == (0, False, "")
        assert "relative_error" not in found.parts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5), ("5.0", 5), (".5", 0.5), ("5.", 5), ("-3", -3), ("\N{MINUS SIGN}3", -3), ("- 3", -3), ("+3", 3),
        ("1,234", 1234), ("1,234,567.5", 1234567.5), ("1e3", 1000), ("1.5E-3", 0.0015), ("3/4", 0.75), ("3 / 4", 0.75),
        ("-3/4", -0.75), ("\\frac{3}{4}", 0.75), ("-\\dfrac{1}{2}", -0.5), ("$5$", 5), ("$5", 5), ("\\boxed{5}", 5),
        ("$\\boxed{\\frac{1}{4}}$", 0.25), ("**5**", 5), ("x = 5", 5), ("AB=5 cm", 5), ("x \\approx 5.1", 5.1),
        ("\\angle ABC = 40^\\circ", 40), ("40^{\\circ}", 40), ("40\N{DEGREE SIGN}", 40), ("40 degrees", 40),
        ("\N{ALMOST EQUAL TO}5", 5), ("\\approx 5", 5), ("$\\approx 5$", 5), ("`5`", 5), ("__5__", 5), ("\\[5\\]", 5),
        ('"5"', 5),
        ("40\N{MASCULINE ORDINAL INDICATOR}", 40), ("\N{VULGAR FRACTION ONE HALF}", 0.5), ("5$", 5), ("= 5", 5),
        ("5 cm", 5), ("5cm", 5), ("5 \\text{ cm}", 5), ("12 square units", 12), ("12 cm^2", 12),
        ("12 m\N{SUPERSCRIPT TWO}", 12),
        ("50%", 50), ("50\\%", 50), ("5 CM.", 5), ("9" * 300, float("9" * 300)), ("0." + "3" * 10**6, 1 / 3),
    ],
)  # fmt: skip
def test_numbers_that_are_read(text, value):
    assert numerals.read(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "inf", "-inf", "nan", "Infinity", "1e400", "9" * 10**6, "1e" + "9" * 10**6, "5 or 6", "5, 6", "5 6",
        "5-6", "3/4/5", "1/0", "0/0", "1,23", "12,34", "1_000", "1.2.3", "2x = 10", "5x", "5 = x", "x = 5 = 6",
        "5 million", "5 apples", "five", "\N{ARABIC-INDIC DIGIT THREE}", "\N{FULLWIDTH DIGIT FIVE}", "0x10", "10**10",
        "9^9", "5!", "(5)", "\\boxed{5", "\\boxed{5} \\boxed{6}", "\\frac{1}{2}{3}", "3 + 2", "\\sqrt{4}", "5 cm 6 cm",
        "yes",
        "2\N{VULGAR FRACTION ONE HALF}", "10\N{SUPERSCRIPT TWO}", "$5$ $6$", "\\boxed{5}, \\boxed{6}", "about 5",
    ],
)  # fmt: skip
def test_texts_that_state_no_one_number(text):
    assert numerals.read(text) is None
    found = number(text, 5)
    assert (found.reward, found.correct) == (0, False)
    assert found.error == ("the answer is not one number" if text else "not exactly one answer block")


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None, derandomize=True)
def test_every_float_is_read_back(value):
    assert numerals.read(repr(value)) == value


def test_an_answer_is_read_on_several_lines_and_from_one_block_only():
    assert number("\n5\n", 5).reward == 1
    for text in ("5", tagged("5") + tagged("5"), "<answer>5"):
        found = rewards.call("reason-rft-number", text, row(5))
        assert (found.reward, found.error) == (0, "not exactly one answer block")


@pytest.mark.parametrize(
    "truth",
    [
        None,
        "",
        "x",
        True,
        [],
        [5, "x"],
        ["5 or 6"],
        math.nan,
        math.inf,
        "nan",
        "1e400",
        pytest.param(10**5000, id="huge"),
        "5 or x",
        "x=1 or x=2",
    ],
)
def test_a_truth_that_is_no_number_is_found(truth):
    with pytest.raises(TruthError, match=r"row 'r1'.*'reason-rft-number'"):
        rewards.get("reason-rft-number").check(row(truth))


@pytest.mark.parametrize("truth", ["100 or 200", [100, "200"], "<answer>100 or 200</answer>"])
def test_of_several_truths_the_nearest_counts(truth):
    rewards.get("reason-rft-number").check(row(truth))
    assert number("200", truth).reward == number("104", truth).reward == 1
    assert number("112.5", truth).reward == pytest.approx(0.5)
    assert number("112.5", truth).parts["relative_error"] == pytest.approx(0.125)
    assert number("150", truth).reward == 0


def test_an_answer_inside_the_thought_is_none():
    found = rewards.call("reason-rft-number", "<think>so <answer>5</answer></think>", row(5))
    assert (found.reward, found.error) == (0, "the answer block lies inside the thought")

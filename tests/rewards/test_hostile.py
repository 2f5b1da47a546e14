"""Every reward that needs no mathematics library meets every text: no crash, no hang, no value out of its range."""

import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows import fenced, row, tagged
from vantage import rewards
from vantage.errors import TruthError

GUARDED = {"math", "racro-boxed", "reason-rft-accuracy"}
"""They hand texts to a mathematics library and have hostile tests of their own."""

TRUTHS = {
    "answer": ["yes", "two or 2", 5, ["A", "B"], "D", 0.5],
    "box": [[10, 10, 30, 30]],
    "count": [0, 5, "two or 2", [3, "four"]],
    "grounding": [[[10, 10, 30, 30]], [[0, 0, 5, 5], [10, 10, 30, 30], {"bbox_2d": [20, 20, 40, 40]}]],
    "mars-grounding": [[[10, 10, 30, 30]], [[0, 0, 5, 5], [10, 10, 30, 30], [20, 20, 40, 40]]],
    "mars-vqa": ["yes", "two or 2", 7, "D"],
    "reason-rft-format": [None, "anything"],
    "reason-rft-number": [0, 5, -3.5, "1,234", "3/4", 1e300, 5e-324],
    "reason-rft-transformation": ["f(1, a), g(2, b-c)", [["f", 1, "a"], ["f", 2, ["b", 1]]]],
    "reason-rft-transformation-exact": ["f(1, a), g(2, b-c)"],
    "answer + 0.5*mars-vqa - 0.25*reason-rft-format": ["yes", "two or 2"],
    "-2*grounding + mars-grounding": [[[10, 10, 30, 30]]],
}
OPTIONS = "Which?\nA. one\nB. two\nC. yes\nD. five"

VALID = [
    "yes", "5", "5.0", "two or 2", "(D)", "D. five", "0", "1,234", "3/4", "x = 5 cm", "f(1, a)", "g(2, b-c), f(1, a)",
    "10 10 30 30", "[10, 10, 30, 30]", '[{"bbox_2d": [10, 10, 30, 30]}]', "\\frac{3}{4}", "\\boxed{5}", "-3.5", "1e300",
]  # fmt: skip
HOSTILE = [
    "<think>", "</think>", "<answer>", "</answer>", "```json", "```", "[", "]", "{", "}", "(", ")", ",", '"bbox_2d":',
    "9^{9^{9^{9}}}", "10**10**10", "1e999", "-1e999", "1e-999", "NaN", "-Infinity", "inf", "0/0", "1/0", "9" * 5_000,
    "1," * 50, "\ud800", "\0", "\u202e", "\N{RIGHT-TO-LEFT MARK}", "\N{MINUS SIGN}", "\N{SUPERSCRIPT TWO}", "null",
    "\N{ARABIC-INDIC DIGIT THREE}", "\N{FULLWIDTH DIGIT FIVE}", "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "true",
    "f(", "f(f(", "_", "-", "=", "$", "\\", "\\text{", "\\frac{", " or ", "\n", "\r", "\x85", "\N{NO-BREAK SPACE}",
    "<ANSWER>",
]  # fmt: skip
CONTENT = st.lists(st.sampled_from(VALID + HOSTILE) | st.text(max_size=8), max_size=10).map("".join)
COMPLETION = st.sampled_from(["{}", "<answer>{}</answer>", tagged("{}"), fenced("{}")]).flatmap(
    lambda layout: CONTENT.map(lambda content: layout.replace("{}", content))
)

LONG = 250_000
"""Characters, roughly, of each text that is long to do harm; quadratic work on them takes minutes at least."""
HORRORS = {
    "digits": "9" * LONG,
    "decimals": "0." + "3" * LONG,
    "thousands": "1" + ",111" * (LONG // 4),
    "exponent": "1e" + "9" * LONG,
    "fraction": "9" * (LONG // 2) + "/" + "7" * (LONG // 2),
    "brackets": "[" * 100_000,
    "braces": '{"bbox_2d":' * 25_000,
    "parentheses": "(" * 100_000 + ")" * 100_000,
    "power tower": "9^{" * 60_000 + "9" + "}" * 60_000,
    "fractions": "\\frac{" * 40_000,
    "texts": "\\text{" * 40_000,
    "tags": "<answer>" * 30_000,
    "fences": "```json" * 35_000,
    "boxes": "[" + '{"bbox_2d":[1,2,3,4]},' * 12_000 + '{"bbox_2d":[9,9,31,31]}]',
    "bare boxes": "[" + "[10,10,30,30]," * 18_000 + "[10,10,30,30]]",
    "no boxes": "[" + "{}," * 80_000 + "{}]",
    "calls": "f(1,a)," * 35_000,
    "open calls": "f(1," * 60_000,
    "words": "w" * LONG,
    "spaces": " " * LONG + "x",
    "or": "a or " * 50_000,
    "options": "A. " * 80_000,
    "surrogates": "\ud800" * LONG,
    "nulls": "\0" * LONG,
    "right to left": "\N{RIGHT-TO-LEFT MARK}" * LONG,
}


def sample_of(name, truth):
    return row(truth, name, frame="pixel", truth_frame="pixel")


def judge(name, text, sample):
    """Score it, twice, and hold the scores to what every reward promises."""
    reward = rewards.get(name)
    found = rewards.call(reward, text, sample)
    assert found.reward is not None
    assert reward.low <= found.reward <= reward.high
    assert all(isinstance(value, float) and math.isfinite(value) for value in found.parts.values())
    assert isinstance(found.correct, bool)
    assert isinstance(found.formatted, bool)
    assert not found.timed_out
    assert rewards.call(reward, text, sample) == found
    json.dumps(found.record(), allow_nan=False)
    return found


def test_every_reward_is_met():
    assert set(rewards.names()) - GUARDED <= set(TRUTHS)


@pytest.mark.parametrize("name", TRUTHS)
def test_any_text_scores_in_range(name):
    samples = [sample_of(name, truth) for truth in TRUTHS[name]]
    for sample in samples:
        rewards.get(name).check(sample)

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(COMPLETION, st.sampled_from(samples))
    def meet(text, sample):
        judge(name, text, sample)

    meet()


@pytest.mark.parametrize("name", TRUTHS)
def test_the_question_and_the_truth_may_be_hostile_too(name):
    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(CONTENT, st.sampled_from(VALID))
    def meet(content, answer):
        sample = sample_of(name, content)
        object.__setattr__(sample, "question", content)
        try:
            rewards.get(name).check(sample)
        except TruthError:
            return
        judge(name, tagged(answer), sample)
        judge(name, tagged(content), sample)

    meet()


@pytest.mark.parametrize("name", [name for name in TRUTHS if "+" not in name and not name.endswith("-exact")])
def test_long_texts_take_no_time(name):
    sample = sample_of(name, TRUTHS[name][-1])
    for horror, text in HORRORS.items():
        start = time.perf_counter()
        rewards.call(name, tagged(text), sample)
        # Linear work takes a quarter of a second at most on an idle core.
        assert time.perf_counter() - start < 5, horror

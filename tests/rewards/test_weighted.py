import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rows import row, tagged
from vantage import rewards
from vantage.errors import ConfigError, RewardError, TruthError
from vantage.rewards import Reward, Score, registry
from vantage.rewards.weighted import Weighted

WRONG_TRUTH = (None, "", " ")


class Length(Reward):
    """Characters of the completion, up to 100."""

    name, low, high = "length", 0.0, 100.0

    def __init__(self):
        self.calls = []

    def score(self, completion, sample):
        return self.score_many([completion], [sample])[0]

    def score_many(self, completions, samples):
        self.calls.append(len(completions))
        return [
            Score(None if "?" in text else float(len(text)), True, True, {"words": 1.0}, "long", "!" in text)
            for text in completions
        ]


@pytest.fixture
def length(monkeypatch):
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    registry._sum.cache_clear()
    own = Length()
    rewards.register(own)
    yield own
    registry._sum.cache_clear()


def test_a_sum_worked_by_hand(length):
    found = rewards.call("answer + 0.5*mars-vqa - 0.01*length", "<answer>3</answer>", row("3"))
    # answer 1; mars-vqa 0.25 for the answer block and 1 for its text; 18 characters.
    assert found.reward == pytest.approx(1 + 0.5 * 1.25 - 0.01 * 18)
    assert found.parts == {
        "answer": 1.0, "answer/accuracy": 1.0, "answer/format": 0.0,
        "mars-vqa": 1.25, "mars-vqa/think": 0.0, "mars-vqa/answer": 0.25, "mars-vqa/accuracy": 1.0,
        "length": 18.0, "length/words": 1.0,
    }  # fmt: skip
    assert (found.correct, found.formatted, found.error, found.timed_out) == (True, False, "length: long", False)


def test_the_first_term_says_what_is_correct_and_all_say_what_is_formatted(length):
    assert not rewards.call("answer + length", tagged("4"), row("3")).correct
    assert rewards.call("length + answer", tagged("4"), row("3")).correct
    assert rewards.call("length + answer", tagged("4"), row("3")).formatted
    assert not rewards.call("length + answer", "<answer>3</answer>", row("3")).formatted


def test_a_term_that_is_unscored_or_stopped_marks_the_sum(length):
    unscored = rewards.call("answer + length", tagged("3?"), row("3"))
    assert unscored.reward is None
    assert "length" not in unscored.parts
    assert unscored.parts["answer"] == 0.0
    assert rewards.call("answer + length", tagged("3!"), row("3")).timed_out


def test_every_term_gets_all_rows_at_once(length):
    samples = [row(str(i)) for i in range(5)]
    found = rewards.call_many(["answer + 0.01*length"] * 5, [tagged(str(i % 2)) for i in range(5)], samples)
    assert length.calls == [5]
    assert [score.correct for score in found] == [True, True, False, False, False]


def test_errors_of_a_term_name_row_and_term(length):
    with pytest.raises(RewardError, match=r"row 'r1': reward 'length' returned 200.0, outside .* 0\.\.100"):
        rewards.call("answer + length", "x" * 200, row("3"))
    for truth in WRONG_TRUTH:
        with pytest.raises(TruthError, match="'r1'"):
            rewards.get("length + answer").check(row(truth))


def test_the_range_is_that_of_the_terms():
    both = rewards.get("mars-vqa - 2*answer")
    assert (both.low, both.high) == (-2.0, 1.5)
    grounding = rewards.get("-0.5*mars-grounding + answer")
    assert (grounding.low, grounding.high) == (-math.inf, 1.0)


@given(
    st.dictionaries(
        st.sampled_from(["answer", "box", "mars-vqa", "mars-grounding"]),
        st.floats(-1e300, 1e300).filter(bool),
        min_size=1,
    )
)
def test_the_name_of_a_sum_is_the_line_that_makes_it(weights):
    name = Weighted(weights).name
    again = rewards.get(name)
    assert getattr(again, "weights", {name: 1.0}) == weights
    assert again.name == name


@pytest.mark.parametrize(
    "line", ["answer+0.5*box", " answer  +  0.5 * box ", "answer - -0.5*box", "1*answer+5e-1*box", "answer\n+ .5*box"]
)
def test_spaces_and_spelling_are_free(line):
    assert rewards.get(line).name == "answer + 0.5*box"


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("answer + ", "'' is no term"),
        ("+ answer", "'' is no term"),
        ("answer*2", r"'answer\*2' is no term"),
        ("nan*answer", r"'nan\*answer' is no term"),
        ("2*3*answer", r"'2\*3\*answer' is no term"),
        ("answer + box + answer", "'answer' stands there twice"),
        ("0*answer", "other than 0, not 0.0"),
        ("1e999*answer", "not inf"),
        ("answer + 0.5*answr", "no reward is called 'answr' .did you mean 'answer'.*known: answer"),
    ],
)
def test_a_line_that_is_no_sum_says_why(line, match):
    with pytest.raises(ConfigError, match=match):
        rewards.get(line)


@pytest.mark.parametrize("weights", [{}, {"answer": 0}, {"answer": True}, {"answer": "1"}, {"answer": math.nan}])
def test_weights_that_cannot_be(weights):
    with pytest.raises(ConfigError):
        Weighted(weights)
    with pytest.raises(ConfigError, match="itself a sum"):
        Weighted({"answer + box": 1.0})


def test_reason_rft_trains_on_accuracy_and_layout():
    line = "reason-rft-accuracy + 0.5*reason-rft-format"
    found = rewards.call_many([line] * 3, [tagged("5.0"), "<answer>5</answer>", tagged("6")], [row("5")] * 3)
    assert [score.reward for score in found] == [1.5, 1.0, 0.5]
    assert [score.correct for score in found] == [True, True, False]
    assert (rewards.get(line).low, rewards.get(line).high) == (0.0, 1.5)

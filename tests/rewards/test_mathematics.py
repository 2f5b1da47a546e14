import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from math_verify import LatexExtractionConfig, parse, verify

from rows import row, tagged
from vantage.errors import TruthError
from vantage.rewards import mathematics
from vantage.rewards.guard import Guard
from vantage.rewards.mathematics import Math, equal_many
from vantage.rewards.racro import RacroBoxed
from vantage.rewards.reason_rft_accuracy import ReasonRftAccuracy

MATH = Math()


def oracle(truth, answer):
    """The verdict of math-verify itself, unhurried and unchanged, in this process."""
    gold, given = (parse(f"${text}$", [LatexExtractionConfig()], parsing_timeout=None) for text in (truth, answer))
    return verify(gold, given, timeout_seconds=None)


def plain_numbers(count):
    """Pairs of numbers as people write them; about half of them are equal."""
    draw = random.Random(7)
    for _ in range(count):
        number = draw.choice([draw.randint(-20, 20), draw.randint(-99_999, 9_999_999), 0])
        decimals = draw.choice([0, 0, 1, 2, 6])
        value = number / 10**decimals
        other = value + draw.choice([0, 0, 1, 10**-decimals])
        yield tuple(
            # Not both: of +1,234 math-verify makes the set of 1 and 234.
            f"{x:{draw.choice(['', ',', '+'])}.{decimals + draw.choice([0, 0, 1])}f}"
            for x in (value, other)
        )


def fractions(count):
    draw = random.Random(8)
    for _ in range(count):
        above, below, times = draw.randint(0, 9), draw.randint(1, 9), draw.randint(1, 4)
        form = draw.choice(["{}/{}", "-{}/{}", r"\frac{{{}}}{{{}}}", r"-\dfrac{{{}}}{{{}}}"])
        yield (
            form.format(above, below),
            draw.choice(
                [form.format(above * times, below * times), f"{above / below:.6f}", str(above), f"{above}/{below + 1}"]
            ),
        )


EXPRESSIONS = [
    (r"\frac{3}{4}\sqrt{2}", r"\frac{3\sqrt{2}}{4}"),
    (r"\frac{3}{4}\sqrt{2}", r"\frac{3}{4}\sqrt{3}"),
    (r"\frac{3}{4}\sqrt{2}", "1.060660"),
    ("x^2+5x+6", "(x+2)(x+3)"),
    ("x^2+5x+6", "(x+2)(x+4)"),
    (r"\sqrt{x^2}", "x"),
    (r"\sin^2 x+\cos^2 x", "1"),
    ("(1, 2, 3)", "(1,2,3)"),
    ("(1, 2, 3)", "(1,3,2)"),
    ("[1, 2)", r"\left[1,2\right)"),
    ("[1, 2)", "[1, 2]"),
    ("(1,2)", "(2,1)"),
    (r"\{1,2\}", "2,1"),
    (r"(-\infty,3)\cup(5,\infty)", r"(5,\infty)\cup(-\infty,3)"),
    ("y=2x+1", "y = 1 + 2x"),
    ("y=2x+1", "2x-y+1=0"),
    ("y=2x+1", "y=2x+2"),
    ("x=5", "5"),
    ("5", "x=5"),
    ("x<3", "3>x"),
    ("1<x<2", "(1,2)"),
    (r"50\%", "0.5"),
    (r"50\%", "50"),
    ("0.5", r"50\%"),
    (r"5\text{ cm}", "5"),
    (r"90^\circ", "90"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    (r"\pi", "3.141593"),
    ("2^{10}", "1024"),
    ("5!", "120"),
    (r"\binom{5}{2}", "10"),
    (r"\log_2 8", "3"),
    ("2i", "2i"),
    ("2+3i", "3+2i"),
    ("1/0", "5"),
    ("0.1234561", "0.1234562"),
    (r"a\cdot b", "ba"),
    (r"\emptyset", "5"),
    ("garbage(", "5"),
    (r"n(n+1)/2", r"\frac{n^2+n}{2}"),
    ("x_1^2+x_2", "x_2+x_1^{2}"),
    ("x_1^2+x_2", "x_2^2+x_1"),
    ("a_{n}=2^{n}", "a_n=2^n"),
    ("2^{x^{2}}", "2^{x^2}"),
    (r"\sum_{i=1}^{n} i", r"\frac{n(n+1)}{2}"),
    ("3x-2y=1", "6x-4y=2"),
    ("3x-2y=1", "3x-2y=2"),
    ("3x-2y=1", r"y=\frac{3x-1}{2}"),
    (r"y=\frac{x}{3}", "y=0.333333x"),
    ("x=0", "x=0.00000001"),
    ("x=2", "x=3"),
    ("x+y+z=6", "z=6-x-y"),
]


@pytest.fixture(scope="module", autouse=True)
def _short_limit():
    """The texts that never end then cost little."""
    with Guard(workers=2, seconds=1.0) as own, pytest.MonkeyPatch.context() as patch:
        patch.setattr(mathematics, "shared", lambda: own)
        yield


def test_equality_is_that_of_math_verify():
    pairs = [*plain_numbers(120), *fractions(40), *EXPRESSIONS]
    found = [outcome.value for outcome in equal_many(pairs)]
    expected = [oracle(*pair) for pair in pairs]
    assert [(p, f) for p, f, e in zip(pairs, found, expected, strict=True) if f != e] == []
    assert 60 < sum(expected) < 150


@pytest.mark.parametrize(
    ("truth", "answer", "equal"),
    [
        ("on", "no", False),  # one product of letters to math-verify
        ("yes", "Yes", True),
        ("yes", r"\text{ Yes }", True),
        ("B", "(B)", True),
        ("B", "b.", True),
        ("B", r"\text{(B)}", True),
        ("B", "C", False),
        ("not the same", "Not the same.", True),
        ("741,188", "+741,188", True),
        ("garbage(", "garbage(", True),
        ("5", "5 or 6", False),
        ("5", "I count 5", False),  # no number is looked for among words
        ("5", "", False),
        ("", "", False),
        ("5", "$5$.", True),
        ("5", r"\boxed{5}", True),
        ("5", "$$ 5.0 $$", True),
        ("3/4", "3/0", False),
        ("1/3", "0.333333", True),
        ("1/3", "0.33", False),
        ("8", "2**3", True),
        (r"2\sqrt{3}", "2√3", True),
        (r"\sqrt{3}", "√{3}", True),
        (r"\sqrt{x+1}", "√(x+1)", True),
        (r"\sqrt{3}", "√5", False),
        ("50", "50°", True),
        (r"60^\circ", "60°", True),
        (r"60^\circ", "61°", False),
        ("x^2", "x²", True),
        (r"2\pi", "2π", True),
        (r"[1,\infty)", "[1, ∞)", True),
        ("-3", "−3", True),
        ("x" * 3000, "x" * 3000, False),
        ("10^{23}", "10²³", True),
        ("x^{-1}", "x⁻¹", True),
        (r"60^\circ", "60º", True),
        ("0.5", "½", True),
        ("3/4", "¾", True),
        ("5", "$5", True),
        ("1000", "1e3", True),
        ("1.5e-3", "0.0015", True),
        ("1000", "1e4", False),
        ("3", "**3**", True),
        ("3", "__3__", True),
        ("3", r"\[3\]", True),
        ("3", "`3`", True),
        ("3", "“3”;", True),
        ("5", "5!", False),
        ("yes", "Yes!", True),
        ("n", "n!", False),
        ("6", "$5$ $6$", False),  # math-verify takes the last
        ("6", r"\(5\) or rather \[6\]", False),
        ("x=5, y=6", "$x=5$, $y=6$", True),
        ("5", "$5$, that is $5$", True),
        ("3 cm", "3 m", True),  # units are dropped, as math-verify does
        ("0.5", "50%", True),
        ("50", r"50\%", True),
    ],
)
def test_equality_where_it_is_our_own(truth, answer, equal):
    assert equal_many([(truth, answer)])[0].value is equal


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (tagged("5"), True),
        (tagged(r"so \boxed{5}"), True),
        (r"\boxed{4} " + tagged("5"), True),
        (tagged("4") + r" \boxed{5}", False),
        (tagged("5") + tagged("5"), False),
        (tagged("5") + tagged("6") + r" \boxed{5}", True),
        (r"first \boxed{4}, no: \boxed{5}", True),
        (r"first \boxed{5}, no: \boxed{4}", False),
        (r"\boxed{5", False),
        ("5", True),
        (" 5.0\n", True),
        ("4\n5", False),
        ("it is 5", False),
        ("5" + " " * 300 + "5", False),
        (tagged(r"\boxed{4} or \boxed{5}"), False),
        (tagged(r"\boxed{5}, that is \boxed{5}"), True),
        ("<think>4</think>5", True),
        ("<think>4</think>\n5\n", True),
        ("4</think> 5", True),
        ("<think>4</think>4\n5", False),
        ("<think>5", False),
        (r"<think>\boxed{5}</think>", False),
        (r"<think>so \boxed{5}", False),
        (r"<think>\boxed{4}</think> so \boxed{5}", True),
        (r"\boxed{5}<think>late</think>", False),
        ("<answer>5</answer><think>late</think>", True),
        ("<think>so <answer>5</answer></think>", False),
        ("<think>so <answer>5</answer>", False),
        ("<ANSWER>5</ANSWER>", False),
        (tagged(""), False),
        ("<answer>5", False),
        ("", False),
    ],
)
def test_where_the_answer_is_read(text, right):
    score = MATH.score(text, row(5, "math"))
    assert (score.reward, score.correct, score.parts) == (right, right, {"accuracy": right})


def test_the_format_is_a_thought_before_an_answer():
    assert MATH.score(tagged("6"), row(5, "math")).formatted
    assert not MATH.score(r"\boxed{5}", row(5, "math")).formatted
    assert not MATH.score("<answer>5</answer>", row(5, "math")).formatted


def test_a_long_answer_is_none_and_says_so():
    score = MATH.score(tagged("1" * 2001), row(5, "math"))
    assert (score.reward, score.error) == (0, "the answer has 2,001 characters, more than 2,000")
    assert "answer block" in MATH.score("it is\n5", row(5, "math")).error


@pytest.mark.parametrize("truth", [5, 5.0, "5", "$5$", r"\boxed{5}", "<answer> 5 </answer>", ["4", 5], (5,)])
def test_a_truth_may_be_written_several_ways(truth):
    MATH.check(row(truth, "math"))
    assert MATH.score(tagged("5"), row(truth, "math")).correct
    assert not MATH.score(tagged("6"), row(truth, "math")).correct


@pytest.mark.parametrize(
    "truth", [None, "", " . ", "$$", [], ["5", ""], True, float("nan"), float("inf"), {}, "x" * 2001, [[5]]]
)
@pytest.mark.parametrize("reward", [MATH, RacroBoxed(), ReasonRftAccuracy()])
def test_an_unreadable_truth_is_found_before_training(reward, truth):
    with pytest.raises(TruthError, match=f"'r1': reward '{reward.name}'"):
        reward.check(row(truth, reward.name))


def test_an_endless_integer_is_no_truth():
    for truth in (10**5000, [10**5000]):  # which Python refuses to write
        with pytest.raises(TruthError, match=r"'r1'.*too long"):
            MATH.check(row(truth, "math"))


def test_an_endless_answer_costs_its_own_reward_only():
    answers = ["5", "9^{9^{9^{9}}}", r"\frac{10}{2}", "(2+3)", "10^{10^{10}}!", "6"]
    scores = MATH.score_many([tagged(answer) for answer in answers], [row(5, "math")] * 6)
    assert [score.reward for score in scores] == [1, 0, 1, 1, 0, 0]
    assert scores[1].timed_out and "wall limit of 1 s" in scores[1].error
    assert not any(score.timed_out or score.error for score in (*scores[:1], *scores[2:4], scores[5]))


EVERY = [MATH, RacroBoxed(), ReasonRftAccuracy()]


def verdict(reward, answer, truth, question="What?"):
    text = f"<think>t</think>\\boxed{{{answer}}}" if reward.name == "racro-boxed" else tagged(answer)
    return reward.score(text, replace(row(truth, reward.name), question=question)).reward


@pytest.mark.parametrize("reward", EVERY)
def test_any_alternative_of_a_truth_is_right(reward):
    for truth, answers in {
        "two or 2": ["two", "2", "2.0", "two or 2"],
        r"$5$ or $\frac{1}{2}$": ["5", "0.5"],
        r"\boxed{5 or 6}": ["5", "6"],
        ("two or 2", "3"): ["two or 2", "3"],
    }.items():
        reward.check(row(truth, reward.name))
        assert [verdict(reward, answer, truth) for answer in answers] == [1] * len(answers)
    for truth in ("x=1 or x=2", ["Do or Die"], ("two or 2", "3")):  # both roots; a list is literal
        assert [verdict(reward, answer, truth) for answer in ("x=1", "1", "x=2", "Do", "Die", "2", "two")] == [0] * 7
    assert verdict(reward, "x=1 or x=2", "x=1 or x=2") == 1


@pytest.mark.parametrize("reward", EVERY)
def test_hedging_earns_nothing(reward):
    for answer in ("5 or 6", "5, 6", "5 and 6", "$5$ $6$", "$5$ or $6$", "I get $5$. No: $6$", "yes or no", "yes, no"):
        assert [verdict(reward, answer, truth) for truth in (5, "6", "yes", "no")] == [0] * 4


@pytest.mark.parametrize("reward", EVERY)
@pytest.mark.parametrize("truth", ["B", "(B)", "B)", "B.", r"\text{(B)}"])
def test_options_are_compared_as_options(reward, truth):
    assert [verdict(reward, answer, truth) for answer in ("B", "(b)", "B. dog", "(B) dog")] == [1] * 4
    hedges = ("A and B", "A. cat B. dog", "B. dog or A", "B. C", "A. dog", "A")
    assert [verdict(reward, answer, truth) for answer in hedges] == [0] * 6
    for question in ("Which? Options: A. 4 B. 5", "Which? (A) 4 (B) 5", "Which?\nA. 4\nB. 5"):
        answers = {"B": 1, "5": 1, "B. 5": 1, "4": 0, "B. 4": 0, "A. 5": 0, "A. 4 B. 5": 0}
        assert {answer: verdict(reward, answer, truth, question) for answer in answers} == answers


def test_the_reason_is_told():
    sample = row(5, "math")
    for text, error in {
        "<ANSWER>5</ANSWER>": "not exactly one answer block, and no closed box behind the thought",
        "<think>so <answer>5</answer></think>": "the answer block lies inside the thought, and no closed box behind",
        "<think>so 5": "nothing stands behind the thought",
        tagged(r"\boxed{4} \boxed{5}"): "boxes of different contents",
        "<think>t</think>4\n5": "not a short line",
        tagged("(" * 50 + "5" + ")" * 50): "the answer has 50 brackets open at once, more than 40 deep",
    }.items():
        assert MATH.score(text, sample).error.startswith(error) or MATH.score(text, sample).error.endswith(error)


PIECES = st.sampled_from(
    [
        *(
            "\\boxed{",
            "\\frac{",
            "}",
            "{",
            "<answer>",
            "</answer>",
            "$",
            "\\(",
            "\\)",
            "\\text{",
            "5",
            "x",
            "=",
            "<",
            ",",
        ),
        *("(", "]", "\\%", "\\sqrt", "^", "_", "\\", "\\begin{pmatrix}", "&", "\ud800", "\0", "\u202e", "\n", " or "),
        *("\\infty", "\\cup", "1,234", ".5", "0", "/", "\\pm", "|", "\\left", "!", "yes"),
    ]
)


@given(
    st.lists(st.one_of(st.text(max_size=6), PIECES), max_size=12).map("".join), st.sampled_from(["5", "yes", "(1,2)"])
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_text_scores_zero_or_one(text, truth):
    for reward in (MATH, RacroBoxed(), ReasonRftAccuracy()):
        texts = [text, tagged(text), f"\\boxed{{{text}}}"]
        for score in reward.score_many(texts, [row(truth, reward.name)] * 3):
            assert score.reward in (0, 1)
            assert score.correct == (score.reward == 1)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 1_000_000,
        "{" * 100_000,
        "[" * 100_000,
        r"\frac{" * 100_000,
        r"\boxed{" * 100_000,
        "$" * 1_000_000,
        " " * 1_000_000,
    ],
    ids=lambda text: text[:7],
)
def test_a_long_text_scores_zero_quickly(text):
    for reward in (MATH, RacroBoxed(), ReasonRftAccuracy()):
        for completion in (text, tagged(text), f"\\boxed{{{text}}}"):
            assert reward.score(completion, row("5", reward.name)).reward == 0


def test_a_deep_text_is_no_answer():
    for text in ("{" * 1900, r"\frac{" * 300, "(" * 900 + "5" + ")" * 900):
        score = MATH.score(tagged(text), row("5", "math"))
        assert score.reward == 0 and "40 deep" in score.error
    assert MATH.score(tagged("(" * 8 + "5" + ")" * 8), row("5", "math")).error == ""

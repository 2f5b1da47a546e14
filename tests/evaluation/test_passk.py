"""Several answers to a question: every estimate against an enumeration or a formula written out by hand."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from vantage.errors import ConfigError, DataError
from vantage.evaluation.passk import (
    Question,
    SampledEvaluation,
    all_at,
    change,
    counted,
    curves,
    interval,
    majority_at,
    pass_at,
    summary,
    vote,
)


def row(name: str, answer: str, right: bool, **more) -> dict:
    text = f"<think> so </think> <answer> {answer} </answer>"
    plain = {"id": name, "origin": "fused", "task": "", "text": text, "finished": True}
    return {**plain, "score": float(right), "correct": right, **more}


def rows(**answers: str) -> list[dict]:
    """Of each question its answers, one letter each; a capital is right."""
    return [row(name, letter, letter.isupper()) for name, letters in answers.items() for letter in letters]


def evaluation(**answers: str) -> SampledEvaluation:
    return summary(rows(**answers), model="m", data="d", seconds=1.0)


def enumerated(answers: str, k: int) -> tuple[Fraction, Fraction, Fraction]:
    """Pass, all and majority over every choice of k of the answers."""
    once, always, most = [], [], []
    for chosen in combinations(answers, k):
        once.append(any(letter.isupper() for letter in chosen))
        always.append(all(letter.isupper() for letter in chosen))
        top = max(chosen.count(letter) for letter in set(chosen))
        leading = [letter for letter in set(chosen) if chosen.count(letter) == top]
        most.append(Fraction(sum(letter.isupper() for letter in leading), len(leading)))
    return tuple(Fraction(sum(found), len(found)) for found in (once, always, most))


@pytest.mark.parametrize("answers", ["AAbb", "Abcd", "AAAbbcd", "abc", "AAAA", "AAAbbbcc"])
def test_estimates_are_those_of_every_choice_of_k(answers: str):
    n, right = len(answers), sum(letter.isupper() for letter in answers)
    votes = [(answers.count(letter), answers.count(letter) * letter.isupper()) for letter in set(answers)]
    majority = majority_at(n, votes, answers)
    for k in range(1, n + 1):
        once, always, most = enumerated(answers, k)
        assert pass_at(n, right, k) == pytest.approx(float(once), abs=1e-12)
        assert all_at(n, right, k) == pytest.approx(float(always), abs=1e-12)
        # Averaged over random orders: within five of its own standard errors, each draw being in 0..1.
        assert majority[k - 1] == pytest.approx(float(most), abs=1e-12 if k in (1, n) else 5 * 0.5 / math.sqrt(100))


def test_majorities_have_no_bias_over_questions():
    answers = "AAAbbbcc"
    votes = [(answers.count(letter), answers.count(letter) * letter.isupper()) for letter in "Abc"]
    found = np.mean([majority_at(8, votes, f"q{i}") for i in range(400)], axis=0)
    expected = [float(enumerated(answers, k)[2]) for k in range(1, 9)]
    assert found == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(400 * 100))


def test_pass_at_k_is_unbiased_where_the_plug_in_is_not():
    p, n, k = 0.2, 6, 4
    chances = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    truth = 1 - (1 - p) ** k
    assert sum(w * pass_at(n, c, k) for c, w in enumerate(chances)) == pytest.approx(truth)
    assert sum(w * all_at(n, c, k) for c, w in enumerate(chances)) == pytest.approx(p**k)
    assert abs(sum(w * (1 - (1 - c / n) ** k) for c, w in enumerate(chances)) - truth) > 0.03


def test_thousands_of_answers_are_no_trouble():
    # The product form of the same estimator: 1 - prod over i of (1 - k / i), i from n - c + 1 to n.
    n, right, k = 5000, 3, 1000
    product = math.prod(1 - k / i for i in range(n - right + 1, n + 1))
    assert pass_at(n, right, k) == pytest.approx(1 - product, rel=1e-12)


@pytest.mark.parametrize(("n", "right", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5), (0, 0, 1)])
@pytest.mark.parametrize("estimate", [pass_at, all_at])
def test_no_estimate_of_what_was_not_tried(estimate, n: int, right: int, k: int):
    with pytest.raises(ConfigError, match=f"n = {n}, {right} right, k = {k}"):
        estimate(n, right, k)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("<think> a </think> <answer> 5 </answer>", "<think> b </think> <answer>5.0</answer>"),
        ("<answer>Yes.</answer>", "<answer> yes </answer>"),
        (r"so it is \boxed{5}", "<answer>5</answer>"),
        ("<think> hm </think> a cat", "A cat."),
        ("<answer> 8  16 24 32 </answer>", "<answer>8 16 24 32</answer>"),
    ],
)
def test_equal_answers_are_one_vote(text: str, other: str):
    assert vote(text) == vote(other) != ""


def test_blank_answers_are_no_votes_and_different_ones_differ():
    assert vote("") == vote("<think> still thinking") == vote("   ") == ""
    assert len({vote(f"<answer>{answer}</answer>") for answer in ("5", "6", "yes", "-5")}) == 4


def test_blank_answers_cannot_win():
    blank = row("a", "x", False) | {"text": ""}
    questions, k = counted([row("a", "Y", True), blank, blank, blank])
    assert questions == [Question(id="a", right=1, votes=[(1, 1)])] and k == 4
    found = curves(questions, k)
    assert found.majority_at[3].value == 1.0
    assert found.majority_at[0].value == found.pass_at[0].value == 0.25


def test_counting_by_hand():
    found = evaluation(p="AAbb", q="bbbb", r="AAAA")
    assert (found.n, found.k, found.unfinished, found.unscored) == (3, 4, 0, 0)
    assert [question.right for question in found.questions] == [2, 0, 4]
    # Of p, two answers: 1 - C(2, 2) / C(4, 2) = 5/6 hold a right one, 1/6 are both right.
    assert found.pass_at[1].value == pytest.approx((5 / 6 + 0 + 1) / 3)
    assert found.all_at[1].value == pytest.approx((1 / 6 + 0 + 1) / 3)
    assert [figures[0].value for figures in (found.pass_at, found.all_at, found.majority_at)] == [0.5] * 3
    assert found.majority_at[3].value == 0.5  # p is a tie


def test_kinds_of_questions_are_counted_apart():
    some = [row("a", "Y", True, task="ask"), row("b", "n", False, task="look"), row("c", "n", False)]
    found = summary(some, model="m", data="d", seconds=0.0)
    assert {task: figures.pass_at[0].value for task, figures in found.tasks.items()} == {"ask": 1.0, "look": 0.0}


def test_what_was_cut_or_unscored_is_told_and_wrong():
    found = summary(
        [row("a", "Y", True, finished=False), row("a", "y", False, score=None)], model="m", data="d", seconds=0.0
    )
    assert (found.unfinished, found.unscored, found.pass_at[0].value) == (1, 1, 0.5)


def test_answers_from_single_sources_do_not_count():
    questions, k = counted([row("a", "Y", True), row("a", "n", False, origin="mono:rgb")])
    assert (k, questions[0].right) == (1, 1)


@pytest.mark.parametrize(
    ("some", "message"),
    [
        ([], "no answers"),
        ([row("a", "Y", True, origin="mono:rgb")], "no answers from all sources"),
        (rows(a="YY", b="Y"), "'b' has 1 answers and others have 2"),
    ],
)
def test_rows_that_cannot_be_counted(some: list, message: str):
    with pytest.raises(DataError, match=message):
        counted(some)


def test_an_interval_counts_questions_and_not_answers():
    """With many questions the bootstrap is the normal interval of a mean over questions."""
    values = np.random.default_rng(1).random((800, 2)) ** [1, 6]
    low, high = interval(values)
    half = 1.959964 * values.std(axis=0) / math.sqrt(800)
    assert (high - low) / 2 == pytest.approx(half, rel=0.08)
    assert (high + low) / 2 == pytest.approx(values.mean(axis=0), abs=0.15 * half.max())


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(2)
    held = []
    for _ in range(150):
        difficulty = random.beta(0.7, 1.0, size=80)  # questions are easy or hard, which is why answers cluster
        right = random.binomial(8, difficulty)
        values = np.array([[pass_at(8, int(c), 4)] for c in right])
        low, high = interval(values)
        # E[1 - (1 - p)^4] of Beta(a, b) is 1 - B(a, b + 4) / B(a, b).
        a, b = 0.7, 1.0
        truth = 1 - math.gamma(b + 4) * math.gamma(a + b) / (math.gamma(a + b + 4) * math.gamma(b))
        held.append(low[0] <= truth <= high[0])
    assert 0.88 <= np.mean(held) <= 0.99


def test_questions_that_all_agree_have_wilsons_interval():
    found = evaluation(**{f"q{i}": "ab" for i in range(20)}).pass_at[0]
    z2 = 1.959963984540054**2
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(z2 / (20 + z2))  # Wilson's, for 0 of 20
    always = evaluation(**{f"q{i}": "AB" for i in range(20)}).all_at[1]
    assert (always.high, always.low) == (1.0, pytest.approx(20 / (20 + z2)))


def test_a_change_pairs_the_questions():
    before = evaluation(a="Aabb", b="bbbb", c="AAAA")
    after = evaluation(c="AAAA", b="Abbb", a="AAAb")  # in another order
    found = change(before, after)
    assert found.pass_at[0].value == pytest.approx((2 / 4 + 1 / 4 + 0) / 3)
    assert found.pass_at[3].value == pytest.approx(1 / 3)
    same = change(before, before)
    most = pytest.approx(3.841459 / (3 + 3.841459))  # Wilson's of 0 of 3: none changed, which is no proof of few
    for estimate in (*same.pass_at, *same.all_at, *same.majority_at):
        assert (estimate.value, -estimate.low, estimate.high) == (0.0, most, most)


def test_a_paired_change_is_known_better_than_its_ends():
    right = np.random.default_rng(3).integers(0, 4, size=60)
    before = evaluation(**{f"q{i}": "A" * c + "b" * (4 - c) for i, c in enumerate(right)})
    after = evaluation(**{f"q{i}": "A" * (c + 1) + "b" * (3 - c) for i, c in enumerate(right)})
    found = change(before, after).pass_at[0]
    assert found.value == found.low == found.high == 0.25  # every question gained one answer of four
    assert before.pass_at[0].high > after.pass_at[0].low - 0.15


def test_a_change_reaches_to_the_smaller_number_of_answers():
    found = change(evaluation(a="AAbb"), evaluation(a="Ab"))
    assert len(found.pass_at) == 2
    assert found.pass_at[1].value == pytest.approx(1 - 5 / 6)


def test_other_questions_are_no_change():
    with pytest.raises(DataError, match="only one of the evaluations has row 'b'"):
        change(evaluation(a="A"), evaluation(a="A", b="A"))


def test_saved_and_loaded_it_is_the_same(tmp_path):
    found = evaluation(a="AAbb", b="bbbb")
    found.save(tmp_path / "passk.json")
    assert SampledEvaluation.load(tmp_path / "passk.json") == found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"right": 2', '"right": 9', "row 'a' has more than 4 answers"),
        ('"n": 2', '"n": 3', "figures of 3 questions"),
        ('"k": 4', '"k": 5', "and 5 answers"),
        ('"model": "m",', "", "model: Field required"),
    ],
)
def test_a_file_that_contradicts_itself_is_named(tmp_path, old: str, new: str, message: str):
    path = tmp_path / "passk.json"
    evaluation(a="AAbb", b="bbbb").save(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=rf"passk\.json: not an evaluation of sampled answers; .*{message}"):
        SampledEvaluation.load(path)

import itertools
import json
import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows import row, shared, tagged
from vantage import rewards
from vantage.errors import TruthError
from vantage.rewards.transformation import credit, triples

NAME = "reason-rft-transformation"
TRUTH = "change_size(2, small), change_color(0, red)"


def score(answer, truth=TRUTH, name=NAME):
    return rewards.call(name, tagged(answer), row(truth, name))


def both(answer, truth=TRUTH):
    return [score(answer, truth, name).reward for name in (NAME, f"{NAME}-exact")]


@pytest.mark.parametrize(
    ("answer", "reward", "exact"),
    [
        ("change_size(2, small), change_color(0, red)", 1, 1),
        ("change_color(0,red)change_size(2,small)", 1, 1),
        # One exact of two.
        ("change_size(2, small)", 1 / 2, 1 / 2),
        # An object wrong: (func, value); a value wrong: (func, object); both wrong: the function alone.
        ("change_size(2, small), change_color(5, red)", (1 + 0.5) / 2, 1 / 2),
        ("change_size(2, small), change_color(0, blue)", (1 + 0.5) / 2, 1 / 2),
        ("change_size(2, small), change_color(5, blue)", (1 + 0.25) / 2, 1 / 2),
        ("change_size(2, small), change_shape(0, red)", 1 / 2, 1 / 2),
        ("change_material(2, small)", 0, 0),
        # Three against two are over three.
        ("change_size(2, small), change_color(0, red), change_shape(1, cube)", 2 / 3, 2 / 3),
        # The same twice: one different of two written, over two; times 1/2.
        ("change_size(2, small), change_size(2, small)", 1 / 2 * 1 / 2, 1 / 2 * 1 / 2),
        # Two right, one of them twice: 2 of 3 written are different.
        (f"{TRUTH}, change_color(0, red)", 2 / 3, 2 / 3),
        # Only one of two predictions can be matched with the one truth of its function.
        ("change_size(2, large), change_size(3, small)", 0.5 / 2, 0),
        ("no change", 0, 0),
    ],
)
def test_scores_worked_by_hand(answer, reward, exact):
    assert both(answer) == pytest.approx([reward, exact])


def test_partial_matches_are_the_best_ones_in_any_order():
    # Object first, as they stand, pairs (1, b) with (1, a) and leaves (2, a) with (3, b): 0.5 + 0.25. The other way
    # round (1, b) shares its value with (3, b), and (2, a) with (1, a): 0.5 + 0.5.
    truth = "move(1, a), move(3, b)"
    for answer in ("move(1, b), move(2, a)", "move(2, a), move(1, b)"):
        assert score(answer, truth).reward == pytest.approx((0.5 + 0.5) / 2)


def test_parts_and_what_counts_as_right():
    found = score(f"{TRUTH} {TRUTH}")
    assert found.parts == {"accuracy": 0.5, "exact": 2, "triples": 4, "truth_triples": 2}
    assert (found.correct, found.formatted, found.error) == (True, True, "")
    assert not score("change_size(2, small)").correct
    assert score("nothing").error == "the answer is not a list of func(object, value)"
    twice = rewards.call(NAME, tagged(TRUTH) + tagged(TRUTH), row(TRUTH))
    assert (twice.reward, twice.error) == (0, "not exactly one answer block")


@pytest.mark.parametrize(
    "answer",
    [
        "change_position(3, front_left)",
        "change_position(3, front-left)",
        "change_position(3, front left)",
        "change_position(3, 'Front-Left')",
        "['change_position(3, front_left)']",
        "Change_Position( 3 ,\n  front_left\n)",
        "1. change_position(3, front_left).",
        "(change_position(3, (front_left)))",
        "change_position(0, left, change_position(3, front_left)",
        "change_position (3, front_left)",
        r"change\_position(3, front\_left)",
        "change_position(object 3, front_left)",
        "change_position(obj_3, front_left)",
        "The change is (as I see it) change_position (Object_3, front left)",
        *(f"change_position(3, front{hyphen}left)" for hyphen in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"),
    ],
)
def test_ways_to_write_one_change(answer):
    for truth in (
        "change_position(3, front-left)",
        "change_position(object 3, front\u2013left)",
        [["change_position", 3, "front_left"]],
        [["change_position", "obj_3", "front\u2013left"]],
    ):
        assert score(answer, truth).reward == 1


@pytest.mark.parametrize(
    "answer", ["change_position(3, left)", "change_position(3, frontleft)", "change_position(33, front_left)"]
)
def test_ways_to_write_another(answer):
    assert 0 < score(answer, "change_position(3, front_left)").reward < 1
    assert score(answer, "change_position(3, front_left)", f"{NAME}-exact").reward == 0


def test_answers_of_several_lines_are_read():
    lines = "change_size(2, small)\nchange_color(0, red)\n"
    assert both(lines) == [1, 1]
    assert both(f"\n{lines}") == [1, 1]


def test_the_truth_of_a_real_scene():
    changes = json.loads(shared("trance/example.json").read_text(encoding="utf-8"))["transformations"]
    truth = [[f"change_{change['attr']}", change["obj_idx"], change["val"]] for change in changes]
    assert both("change_color(2, cyan), change_position(2, (behind, 2)), change_color(4, brown)", truth) == [1, 1]
    assert both("change_color(2, cyan), change_position(2, behind)", truth) == pytest.approx([1.5 / 3, 1 / 3])


def test_forms_of_truth():
    texts = ["change_size(2, small)", "change_color(0, red)"]
    lists = [["change_size", 2, "small"], ("change_color", "0", "red")]
    for truth in (TRUTH, [TRUTH], texts, f"<answer>{TRUTH}</answer>", lists):
        rewards.get(NAME).check(row(truth))
        assert both(TRUTH, truth) == [1, 1]


@pytest.mark.parametrize(
    "truth",
    [None, "", [], "no change", ["change_size(2, small)", "x"], [[1, 2, 3]], [["f", 1]], ["f", 1, "x"],
     [["f", "", "x"]], [["f", True, "x"]], [["f", 1, None]], {"f": 1}, 3, [["f", i, "x"] for i in range(65)]],
)  # fmt: skip
def test_a_truth_without_changes_is_found(truth):
    for name in (NAME, f"{NAME}-exact"):
        with pytest.raises(TruthError, match=f"row 'r1': reward '{name}'"):
            rewards.get(name).check(row(truth))


def worth(prediction, truth):
    """The worth of a pair."""
    if prediction == truth:
        return 1.0
    if prediction[0] != truth[0]:
        return 0.0
    return 0.5 if prediction[1] == truth[1] or prediction[2] == truth[2] else 0.25


def best(predicted, truth):
    """Every way to match them, one after the other."""
    small, large = sorted((list(predicted), list(truth)), key=len)
    ways = itertools.permutations(large, len(small))
    return max(sum(max(worth(a, b), worth(b, a)) for a, b in zip(small, way, strict=True)) for way in ways)


def greedy(answer, truth):
    """Reason-RFT's rule, restated: exact pairs, then object, then value, then function, each as it comes."""
    found = [re.findall(r"(\w+)\((\w+), *'?(\w+)'?\)", text) for text in (answer, truth)]
    predicted, wanted = (sorted(set(entries)) for entries in found)
    share = len(predicted) / len(found[0]) / max(len(predicted), len(wanted))
    total = 0.0
    for keys, value in (((0, 1, 2), 1.0), ((0, 1), 0.5), ((0, 2), 0.5), ((0,), 0.25)):
        for prediction in list(predicted):
            same = [t for t in wanted if all(prediction[key] == t[key] for key in keys)]
            if same:
                predicted.remove(prediction)
                wanted.remove(same[0])
                total += value
    return total * share


TRIPLE = st.tuples(st.sampled_from("fg"), st.sampled_from("012"), st.sampled_from("ab"))


@given(st.sets(TRIPLE, max_size=6), st.sets(TRIPLE, min_size=1, max_size=4))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_credit_is_that_of_the_best_matching(predicted, truth):
    assert credit(predicted, truth) == (best(predicted, truth) if predicted else 0)


@given(st.lists(TRIPLE, min_size=1, max_size=6), st.sets(TRIPLE, min_size=1, max_size=4))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_public_rule_never_gives_more_and_the_same_where_no_order_matters(predicted, truth):
    answer, wanted = (", ".join(f"{f}({o}, {v})" for f, o, v in entries) for entries in (predicted, sorted(truth)))
    ours, public = score(answer, wanted).reward, greedy(answer, wanted)
    assert ours >= public - 1e-9
    if len({f for f, _, _ in truth}) == len(truth) and len({f for f, _, _ in predicted}) == len(set(predicted)):
        assert ours == pytest.approx(public)
    assert score(answer, wanted, f"{NAME}-exact").reward == pytest.approx(
        len(set(predicted) & truth) / max(len(set(predicted)), len(truth)) * len(set(predicted)) / len(predicted)
    )


def test_a_flood_of_triples_is_scored_quickly_and_as_few_would_be():
    truth = "".join(f"f({i}, v{i}) " for i in range(64))
    flood = "".join(f"f({i}, w{i % 70}) " for i in range(100_000))
    start = time.perf_counter()
    found = score(flood, truth)
    # Linear work takes about a second; matching 100,000 with 64 as they come, or reading them anew, takes minutes.
    assert time.perf_counter() - start < 10
    assert found.reward == pytest.approx(64 * 0.5 / 100_000)
    assert found.parts["triples"] == 100_000


def test_triples_are_read_as_one_character_at_a_time_would_be():
    dice = random.Random(0)
    for _ in range(3_000):
        text = "".join(dice.choice("fa(((),,)) 1") for _ in range(dice.randrange(25)))
        assert triples(text) == one_at_a_time(text)


def one_at_a_time(text):
    found, word, call, start, depth = [], "", "", 0, 0
    for index, character in enumerate(text):
        if character == "(" and word:
            call, start, depth = word, index + 1, 1
        elif character == "(":
            depth += 1
        elif character == ")" and call:
            depth -= 1
            if depth == 0:
                first, _, rest = text[start:index].partition(",")
                parts = (" ".join(re.sub(r"[(),]", " ", part).split()) for part in (first, rest))
                triple = (call, *parts)
                found += [triple] if all(triple) else []
                call = ""
        word = word + character if character.isalnum() else ""
    return found

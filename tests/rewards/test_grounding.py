import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows import fenced, row, tagged
from vantage import rewards
from vantage.errors import DataError, TruthError
from vantage.rewards.grounding import grounding_term

GROUNDING = rewards.get("mars-grounding")
TRUTH = [[10, 10, 30, 30]]


def write(boxes) -> str:
    return fenced(json.dumps([{"bbox_2d": list(box), "label": "person"} for box in boxes]))


def score(boxes, truth=TRUTH, **metadata):
    sample = row(truth, "mars-grounding", **({"frame": "pixel"} | metadata))
    return rewards.call("mars-grounding", write(boxes), sample)


def test_one_perfect_box():
    found = score(TRUTH)
    assert found.reward == 1.75
    assert found.correct
    assert found.formatted
    assert found.parts == {
        "think": 0.25, "answer": 0.25, "json": 0.25, "grounding": 1.0, "iou": 1.0, "boxes": 1.0, "truth_boxes": 1.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("boxes", "truth", "term", "iou"),
    [
        # Half of the width: 10x20 of 20x20.
        ([[10, 10, 20, 30]], TRUTH, 0.5, 0.5),
        # 6x20 of 20x20 is exactly 0.3, which earns nothing but is measured.
        ([[10, 10, 16, 30]], TRUTH, 0.0, 0.3),
        # One box too many: 1 - 0.5.
        ([[10, 10, 30, 30], [40, 40, 45, 45]], TRUTH, 0.5, 1.0),
        # Two too many: the penalty is at its most.
        ([[10, 10, 30, 30], [40, 40, 45, 45], [0, 0, 5, 5]], TRUTH, 0.0, 1.0),
        ([], TRUTH, 0.0, 0.0),
        # Two of two: 1 + 0.3 ln 2, in any order.
        ([[40, 0, 50, 10], [10, 10, 30, 30]], [[10, 10, 30, 30], [40, 0, 50, 10]], 1 + 0.3 * math.log(2), 1.0),
        # One of two: no penalty for a box too few.
        ([[40, 0, 50, 10]], [[10, 10, 30, 30], [40, 0, 50, 10]], 0.5 * (1 + 0.3 * math.log(2)), 0.5),
        # Three for two: minus 0.25.
        ([[40, 0, 50, 10], [10, 10, 30, 30], [0, 0, 1, 1]], [[10, 10, 30, 30], [40, 0, 50, 10]],
         1 + 0.3 * math.log(2) - 0.25, 1.0),
        # The same box twice matches once and costs as one too many.
        ([[10, 10, 30, 30]] * 2, TRUTH, 0.5, 1.0),
    ],
)  # fmt: skip
def test_scores_worked_by_hand(boxes, truth, term, iou):
    found = score(boxes, truth)
    assert found.reward == pytest.approx(0.75 + term)
    assert found.parts["iou"] == pytest.approx(iou)
    assert found.correct == (iou > 0.5)


def test_a_mean_overlap_of_exactly_a_half_is_not_right():
    assert not score([[10, 10, 20, 30]]).correct
    assert score([[10, 10, 21, 30]]).correct


def test_predictions_and_truth_are_compared_in_one_frame():
    assert score([[156.25, 208.3333333, 468.75, 625]], frame="relative").reward == pytest.approx(1.75)
    assert score([[5, 5, 15, 15]], frame="resized", resized_size=[32, 24]).reward == pytest.approx(1.75)
    assert score([[10, 10, 30, 30]], frame="resized", resized_size=[32, 24]).reward < 1
    assert score([[10, 10, 30, 30]], frame="relative:8", truth_frame="relative:8").reward == 1.75


def test_frames_must_be_named():
    with pytest.raises(DataError, match="'r1': no coordinate frame"):
        GROUNDING.score(write(TRUTH), row(TRUTH, "mars-grounding"))
    with pytest.raises(DataError, match="'r1': no coordinate frame"):
        GROUNDING.check(row(TRUTH, "mars-grounding"))


@pytest.mark.parametrize("truth", [[], None, [[1, 1, 1, 1]]])
def test_an_unreadable_truth_is_found_before_training(truth):
    with pytest.raises(TruthError, match="'r1'"):
        GROUNDING.check(row(truth, "mars-grounding", frame="pixel"))


@pytest.mark.parametrize(
    ("text", "reward", "error"),
    [
        (tagged(json.dumps([{"bbox_2d": [10, 10, 30, 30]}])), 1.5, ""),
        (write(TRUTH).replace("<think>because</think>", ""), 1.5, ""),
        (write(TRUTH) + "<answer>x</answer>", 0.25, "not exactly one answer block"),
        (tagged("```json [] ``` ```json [] ```"), 0.5, "no readable JSON boxes"),
        (fenced("[10, 10, 30, 30"), 0.75, "no readable JSON boxes"),
        (fenced("[]"), 0.75, ""),
        (json.dumps([{"bbox_2d": [10, 10, 30, 30]}]), 0.0, "not exactly one answer block"),
        ("", 0.0, "not exactly one answer block"),
        # The format terms are those of the public rule; boxes inside the thought are none.
        ("<think>so " + fenced("[]").replace("</think>", "").replace("<think>", "") + "</think>", 0.75,
         "the answer block lies inside the thought"),
    ],
)  # fmt: skip
def test_layouts(text, reward, error):
    found = GROUNDING.score(text, row(TRUTH, "mars-grounding", frame="pixel"))
    assert found.reward == pytest.approx(reward)
    assert found.error == error


def test_entries_that_are_no_boxes_count_as_predictions():
    sample = row(TRUTH, "mars-grounding", frame="pixel")
    text = fenced('[{"bbox_2d": [10, 10, 30, 30]}, {"bbox_2d": [1, 2, NaN, 4]}]')
    assert GROUNDING.score(text, sample).reward == pytest.approx(0.75 + 0.5)
    inside_out = fenced('[{"bbox_2d": [30, 30, 10, 10]}]')
    assert GROUNDING.score(inside_out, sample).parts["iou"] == 0.0


def test_a_megabyte_of_entries_is_scored():
    found = GROUNDING.score(fenced("[" + "{}," * 330_000 + "{}]"), row(TRUTH, "mars-grounding", frame="pixel"))
    assert found.reward == 0.75
    assert found.parts["boxes"] == 330_001


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 100))
def test_the_term_stays_in_its_range(matched, n_predicted):
    n = len(matched)
    assert 0.0 <= grounding_term(matched, n_predicted) <= 1 + 0.3 * math.log(n) + 1e-9
    kept = [m if m > 0.3 else 0.0 for m in matched]
    factor = 1.0 if n == 1 else 1 + 0.3 * math.log(n)
    penalty = min(0.5 * (n_predicted - n) / n, 1.0) if n_predicted > n else 0.0
    assert grounding_term(matched, n_predicted) == pytest.approx(max(sum(kept) / n * factor - penalty, 0.0))


@given(st.text(max_size=80))
@settings(deadline=None)
def test_any_text_scores_in_range(text):
    sample = row(TRUTH, "mars-grounding", frame="pixel")
    for completion in (text, tagged(text), fenced(text)):
        found = rewards.call("mars-grounding", completion, sample)
        assert found.reward is not None
        assert 0.0 <= found.reward <= 1.75


def public_rule(predicted, truth) -> float:
    """MARS's grounding reward, restated: every way to match, then thresholds, bonus and penalty."""

    def overlap(a, b):
        width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
        inter = max(width, 0) * max(height, 0)
        return inter / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - inter)

    n, p = len(truth), len(predicted)
    pairs = np.array([[overlap(a, b) for b in truth] for a in predicted]).reshape(p, n)
    ways = itertools.permutations([*range(p), *[-1] * n], n)
    matched = max(([pairs[i, k] if i >= 0 else 0.0 for k, i in enumerate(way)] for way in ways), key=sum)
    kept = sum(m for m in matched if m > 0.3)
    if n == p == 1:
        return 0.75 + kept
    term = kept / n * ((1 + 0.3 * math.log(n)) if n > 1 else 1.0)
    return 0.75 + max(term - (min(0.5 * (p - n) / n, 1) if p > n else 0.0), 0.0)


def test_the_public_rule_over_random_boxes():
    dice = np.random.default_rng(0)
    for _ in range(150):
        corners = dice.uniform(0, 30, (dice.integers(1, 4) + dice.integers(0, 5), 2))
        boxes = np.concatenate([corners, corners + dice.uniform(2, 17, corners.shape)], 1).tolist()
        n = int(dice.integers(1, min(len(boxes), 3) + 1))
        # Half of the predictions lie near a truth.
        truth, predicted = boxes[:n], boxes[n:]
        predicted += [[x + dice.uniform(-1, 1) for x in box] for box in truth if dice.random() < 0.7]
        assert score(predicted, truth).reward == pytest.approx(public_rule(predicted, truth))


def test_an_answer_before_the_thought_earns_and_is_not_laid_out():
    thought, answer = "<think>because</think>", write(TRUTH).replace("<think>because</think>", "")
    found = [
        GROUNDING.score(text, row(TRUTH, "mars-grounding", frame="pixel"))
        for text in (answer + thought, thought + answer)
    ]
    assert [score.reward for score in found] == [1.75, 1.75]
    assert [score.formatted for score in found] == [False, True]

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows import row
from vantage.errors import DataError, TruthError
from vantage.rewards import boxes
from vantage.rewards.extract import INVALID

corner = st.integers(0, 12)
any_box = st.tuples(corner, corner, corner, corner)
wild = st.floats(allow_nan=True, allow_infinity=True)
wild_box = st.tuples(wild, wild, wild, wild)


def counted_iou(a, b) -> float:
    """Overlap of boxes with whole corners by counting the unit cells that each covers."""
    cells = [{(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])} for box in (a, b)]
    union = cells[0] | cells[1]
    return len(cells[0] & cells[1]) / len(union) if cells[0] and cells[1] else 0.0


def best_total(predicted, truth) -> float:
    """The largest total overlap of any one-to-one assignment, by trying all."""
    short, long = sorted((predicted, truth), key=len)
    return max(
        sum(counted_iou(a, b) for a, b in zip(short, order, strict=True)) for order in permutations(long, len(short))
    )


@given(any_box, any_box)
def test_overlap_is_what_counting_cells_gives(a, b):
    assert boxes.iou(a, b) == pytest.approx(counted_iou(a, b))


@given(st.lists(any_box, max_size=4), st.lists(any_box, min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_matching_finds_the_best_of_all_assignments(predicted, truth):
    matched = boxes.match(predicted, truth)
    assert len(matched) == len(truth)
    assert sum(matched) == pytest.approx(best_total(predicted, truth))


@given(wild_box, wild_box)
def test_overlap_is_a_share_for_any_numbers(a, b):
    assert 0.0 <= boxes.iou(a, b) <= 1.0
    assert boxes.iou(a, b) == boxes.iou(b, a)


@pytest.mark.parametrize("none", [INVALID, (1, 1, 1, 5), (5, 5, 1, 1), (0, 0, math.inf, 5), (math.nan, 0, 4, 4)])
def test_what_is_no_box_equals_nothing_not_even_itself(none):
    assert boxes.iou(none, none) == 0.0
    assert boxes.iou(none, (0, 0, 10, 10)) == 0.0
    assert boxes.match([none], [(0, 0, 10, 10)]) == [0.0]


def test_no_predictions_match_nothing():
    assert boxes.match([], [(0, 0, 1, 1), (2, 2, 3, 3)]) == [0.0, 0.0]
    assert boxes.iou_matrix([], [(0, 0, 1, 1)]).shape == (0, 1)


def test_overlap_does_not_depend_on_a_common_frame():
    rng = np.random.default_rng(0)
    scale = np.array([1280 / 8, 1024 / 8] * 2)
    for a, b in rng.uniform(0, 8, (50, 2, 4)):
        assert boxes.iou(a, b) == pytest.approx(boxes.iou(a * scale, b * scale))


@pytest.mark.parametrize(
    "truth", [[[1, 2, 3, 4]], [1, 2, 3, 4], ((1, 2, 3, 4),), [{"bbox_2d": [1, 2, 3, 4], "label": "p"}]]
)
def test_ways_to_write_a_truth(truth):
    assert boxes.truth_boxes(row(truth)) == [(1, 2, 3, 4)]


@pytest.mark.parametrize(
    "truth",
    [
        None,
        [],
        "1 2 3 4",
        [[1, 2, 3]],
        [[3, 2, 1, 4]],
        [[1, 2, 3, math.nan]],
        [[1, 2, 3, "4"]],
        [[1, 2, 3, 4], None],
        {},
        5,
        [[1, 2, 1, 4]],
    ],
)
def test_a_truth_that_is_no_boxes_is_an_error_with_the_row(truth):
    with pytest.raises(TruthError, match="'r1'"):
        boxes.truth_boxes(row(truth))


def test_a_truth_outside_the_picture_questions_the_frame():
    boxes.check_boxes(row([[0, 0, 64, 48]], frame="relative"), "pixel")
    with pytest.raises(TruthError, match=r"'r1'.*64x48 in the truth's frame 'pixel'; is the frame right"):
        boxes.check_boxes(row([[0, 0, 500, 500]], frame="relative"), "pixel")
    boxes.check_boxes(row([[0, 0, 500, 500]], frame="relative", truth_frame="relative"), "pixel")
    with pytest.raises(DataError, match="no coordinate frame"):
        boxes.check_boxes(row([[0, 0, 5, 5]]), "pixel")


@given(wild_box | any_box, wild_box | any_box)
def test_one_pair_is_what_the_matrix_of_many_gives(a, b):
    assert boxes.iou(a, b) == boxes.iou_matrix([a], [b])[0, 0]


def test_few_boxes_match_as_many_do(monkeypatch):
    rng = np.random.default_rng(0)
    for _ in range(200):
        predicted, truth = (
            np.sort(rng.integers(0, 20, (rng.integers(1, 6), 2, 2)), axis=1).reshape(-1, 4) for _ in "pt"
        )
        few = boxes.match(predicted.tolist(), truth.tolist())
        with monkeypatch.context() as patch:
            patch.setattr(boxes, "_FEW", 0)
            many = boxes.match(predicted.tolist(), truth.tolist())
        assert sum(few) == pytest.approx(sum(many), abs=1e-12)

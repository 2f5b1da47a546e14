"""Boxes of truths and answers, as shares of the picture: by hand, in every frame, for any text."""

import pytest

from vantage.report.marks import MOST, Marks


def marks(truth, size=(200, 100), reward="answer", **metadata):
    return Marks({"id": "a", "truth": truth, "reward": reward, "metadata": metadata}, size)


def test_a_box_of_the_drawn_world_is_in_eighths():
    found = marks([2, 4, 4, 8], frame="relative:8")
    assert found.truth == [(0.25, 0.5, 0.5, 1.0)]
    assert found.predicted("<think> C2 </think> <answer> 0 0 4 8 </answer>") == [(0.0, 0.0, 0.5, 1.0)]


def test_frames_of_truth_and_answer_may_differ():
    found = marks([[50, 25, 100, 50]], frame="relative", truth_frame="pixel", reward="mars-grounding")
    assert found.truth == [(0.25, 0.25, 0.5, 0.5)]
    text = '<think>x</think><answer>```json\n[{"bbox_2d": [250, 500, 1000, 1000]}]\n```</answer>'
    assert found.predicted(text) == [(0.25, 0.5, 1.0, 1.0)]


def test_a_resized_frame_needs_its_size():
    assert marks([[7, 7, 14, 14]], frame="resized", resized_size=[28, 14]).truth == [(0.25, 0.5, 0.5, 1.0)]
    assert "resized_size" in marks([[7, 7, 14, 14]], frame="resized").trouble


@pytest.mark.parametrize("truth", ["yes", "3", None, [], {"a": 1}, [1, 2], [[3, 3, 1, 1]]])
def test_other_truths_have_no_boxes(truth):
    found = marks(truth, frame="relative:8")
    assert found.truth == [] and found.trouble == "" and found.predicted("<answer> 1 1 2 2 </answer>") == []


@pytest.mark.parametrize("text", ["", "no", "<answer> 5 5 1 1 </answer>", "<answer> nan 1 2 3 </answer>", "[" * 9999])
def test_answers_without_a_box_have_none(text):
    assert marks([1, 1, 2, 2], frame="relative:8").predicted(text) == []


def test_boxes_end_at_the_picture_and_a_flood_of_them_is_cut():
    found = marks([[0, 0, 8, 8]], frame="relative:8", reward="grounding", truth_frame="relative:8")
    assert found.predicted("<answer> -4 4 99 6 </answer>") == [(0.0, 0.5, 1.0, 0.75)]
    flood = ",".join(["[0,0,1,1]"] * 500)
    assert len(found.predicted(f"<answer>[{flood}]</answer>")) == MOST


def test_points_lie_inside():
    found = marks("A", points={"A": [0.5, 0.25], "B": [7, 0], "Cdefg": [0.0, 1.0], "D": "x"})
    assert found.points == [("A", 0.5, 0.25), ("Cde", 0.0, 1.0)]

import numpy as np
import pytest

from vantage import rewards
from vantage.errors import DataError, TruthError
from vantage.rewards import call, frames, get, rows
from vantage.rewards.rows import Unpictured, completion_text, readable, sample_of


def test_a_row_needs_a_truth_and_nothing_else():
    sample = sample_of({"answer": "3", "prompt": "ignored", "anything": object()}, "f.jsonl:7")
    assert isinstance(sample, Unpictured)
    assert (sample.id, sample.question, sample.truth, dict(sample.sources)) == ("f.jsonl:7", "", "3", {})


@pytest.mark.parametrize("name", ["answer", "truth", "solution", "ground_truth"])
def test_the_truth_has_four_names(name):
    assert sample_of({name: 0}, "r").truth == 0
    assert sample_of({name: "x", **dict.fromkeys(rows.TRUTHS, "x")}, "r").truth == "x"
    other = "truth" if name != "truth" else "solution"
    assert sample_of({name: "x", other: None}, "r").truth == "x"
    if name == "answer":
        # Many data sets keep a worked solution beside the answer.
        assert sample_of({name: "x", other: "because y", "solution": "x, as we saw"}, "r").truth == "x"
    else:
        with pytest.raises(DataError, match=r"r: .* they mean the same"):
            sample_of({name: "x", other: "y"}, "r")


def test_a_truth_is_in_pixels_unless_it_says_otherwise():
    for reward in ("box", "grounding", "mars-grounding"):
        given = {"answer": [[10, 10, 50, 50]], "frame": "relative", "image_size": [100, 100]}
        sample = readable(get(reward), sample_of(given, "r"))
        answer = "100 100 500 500" if reward == "box" else '[{"bbox_2d": [100, 100, 500, 500]}]'
        assert call(reward, f"<answer>{answer}</answer>", sample).parts["iou"] == 1


def test_pictures_of_a_row_without_pictures_are_an_error_that_says_so():
    sample = sample_of({"answer": "3", "id": 0}, "r")
    assert sample.id == "0"
    for ask in (sample.source, sample.picture):
        with pytest.raises(DataError, match="row '0' was given without pictures"):
            ask("rgb")
    with pytest.raises(DataError, match=r"row '0'.*give 'image_size' as \[width, height\]"):
        frames.image_size(sample)
    assert frames.image_size(sample_of({"answer": "3", "image_size": [64, 48]}, "r")) == (64, 48)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "r: no truth; give it under 'answer'"),
        ({"answer": None}, "r: no truth"),
        ({"answer": 1, "id": 1.5}, "'id' is a text or an integer, not 1.5"),
        ({"answer": 1, "id": True}, "'id' is a text"),
        ({"answer": 1, "question": ["q"]}, "'question' is a text"),
        ({"answer": 1, "metadata": "m"}, "'metadata' is an object"),
        ({"answer": 1, "frame": "pixel", "metadata": {"frame": "resized"}}, "'frame' is 'pixel' and 'metadata.frame'"),
    ],
)
def test_a_row_of_another_form_is_an_error(row, message):
    with pytest.raises(DataError, match=message):
        sample_of(row, "r")


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_truth_that_is_nested_without_end_is_an_error():
    with pytest.raises(DataError, match="too deep"):
        sample_of({"answer": nested(100_000)}, "r")


BOX = [10, 10, 30, 30]
SEEN = '<think>x</think><answer>```json\n[{"bbox_2d": [10, 10, 30, 30]}]\n```</answer>'


def grounded(row, completion=SEEN):
    reward = rewards.get("mars-grounding")
    return rewards.call(reward, completion, readable(reward, sample_of(row, "r"))).parts["iou"]


def test_without_a_frame_boxes_are_in_the_numbers_of_the_truth_and_no_size_is_needed():
    assert grounded({"answer": [BOX]}) == 1
    assert grounded({"answer": [[10, 10, 10_000, 30]]}) == pytest.approx(20 / 9990)
    assert grounded({"answer": [BOX], "truth_frame": "relative"}) == 1
    assert grounded({"answer": [BOX], "frame": "pixel"}) == 1


def test_a_frame_that_needs_a_size_asks_for_it():
    row = {"answer": [[20, 10, 60, 30]], "frame": "relative:100"}
    with pytest.raises(DataError, match="give 'image_size'"):
        grounded(row)
    # 10..30 of 100 is 20..60 of 200 pixels, and 10..30 of 100.
    assert grounded({**row, "image_size": [200, 100]}) == 1
    assert grounded({"answer": row["answer"], "metadata": {"frame": "relative:100", "image_size": [200, 100]}}) == 1
    with pytest.raises(TruthError, match="reaches out of the picture"):
        grounded({**row, "image_size": [40, 20]})


@pytest.mark.parametrize(
    "truth",
    [
        "[[10, 10, 30, 30]]",
        '[{"bbox_2d": [10, 10, 30, 30]}]',
        np.array([BOX]),
        [np.array(BOX, np.float32)],
        (tuple(BOX),),
    ],
    ids=["text", "text with names", "array", "list of arrays", "tuples"],
)
def test_boxes_are_read_as_tables_keep_them(truth):
    assert grounded({"answer": truth}) == 1


def test_a_truth_that_cannot_be_read_is_an_error_that_names_the_row():
    for truth in ("[1, 2", "two", "[" * 100_000, []):
        with pytest.raises(TruthError, match="row 'r'"):
            grounded({"answer": truth})
    answer = rewards.get("answer")
    with pytest.raises(TruthError, match="row 'r'"):
        readable(answer, sample_of({"answer": True}, "r"))
    assert readable(answer, sample_of({"answer": "[1, 2]"}, "r")).truth == "[1, 2]", "a text that it reads stays a text"


def test_the_text_of_a_completion():
    chat = [{"role": "user", "content": "no"}, {"role": "assistant", "content": "yes"}]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "image"}, {"text": "b"}]}]
    assert [completion_text(c) for c in ("x", chat, parts, [{"content": None}])] == ["x", "yes", "ab", ""]
    for wrong in (None, 3, [], ["x"], [{"content": 3}], [{"content": ["x"]}]):
        with pytest.raises(DataError, match="a completion is a text or a list of chat messages"):
            completion_text(wrong)


def test_a_reward_of_layout_needs_no_truth():
    assert not get("reason-rft-format").needs_truth
    assert get("answer + reason-rft-format").needs_truth
    assert sample_of({}, "r", needs_truth=False).truth is None

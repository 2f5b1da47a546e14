import itertools
import json
import random
import time

import numpy as np
import pytest

from rows import fenced, row, shared, tagged
from vantage import rewards
from vantage.errors import DataError, TruthError
from vantage.rewards.detection import written_boxes

TRUTH = [[10, 10, 30, 30]]
TWO = [[10, 10, 30, 30], [40, 0, 50, 10]]


def write(boxes) -> str:
    return json.dumps([{"bbox_2d": list(box), "label": "person"} for box in boxes])


def score(boxes, truth=TRUTH, **metadata):
    return rewards.call("grounding", fenced(write(boxes)), row(truth, "grounding", **({"frame": "pixel"} | metadata)))


@pytest.mark.parametrize(
    ("boxes", "truth", "reward", "iou", "precision", "recall"),
    [
        (TRUTH, TRUTH, 1, 1, 1, 1),
        # Half of the width, a share of exactly 0.5, and less than half.
        ([[10, 10, 20, 30]], TRUTH, 0.5, 0.5, 1, 1),
        ([[10, 10, 16, 30]], TRUTH, 0.3, 0.3, 0, 0),
        # Two, in any order; one of two; two for one; three for two.
        (TWO[::-1], TWO, 1, 1, 1, 1),
        (TRUTH, TWO, 0.5, 0.5, 1, 0.5),
        (TWO, TRUTH, 0.5, 1, 0.5, 1),
        ([*TWO, [0, 0, 1, 1]], TWO, 2 / 3, 1, 2 / 3, 1),
        # The same box twice is matched once, and a box that is none counts as written.
        (TRUTH * 2, TRUTH, 0.5, 1, 0.5, 1),
        ([TRUTH[0], [1, 2, 3]], TRUTH, 0.5, 1, 0.5, 1),
        ([TRUTH[0], [30, 30, 10, 10]], TRUTH, 0.5, 1, 0.5, 1),
        ([], TRUTH, 0, 0, 0, 0),
    ],
)
def test_scores_worked_by_hand(boxes, truth, reward, iou, precision, recall):
    found = score(boxes, truth)
    assert found.reward == pytest.approx(reward)
    counts = {"boxes": len(boxes), "truth_boxes": len(truth)}
    shares = {"accuracy": reward, "iou": iou, "precision": precision, "recall": recall}
    assert found.parts == pytest.approx(shares | counts)
    assert (found.correct, found.formatted, found.error) == (iou > 0.5, True, "")


@pytest.mark.parametrize(
    "answer",
    [
        "10 10 30 30",
        "(10, 10), (30, 30)",
        "[10, 10, 30, 30]",
        "[[10, 10, 30, 30.0]]",
        '{"bbox_2d": [10, 10, 30, 30]}',
        '[{"bbox_2d": [10, 10, 30, 30], "label": "a"}]',
        '{"bbox": [10, 10, 30, 30]}',
        '[{"box": [10, 10, 30, 30], "label": "a"}]',
        "```json\n[10, 10, 30, 30]\n```",
        "```JSON\n[10, 10, 30, 30]\n```",
        "```\n[10, 10, 30, 30]\n```",
        'Here it is:\n```json\n[{"bbox_2d": [10, 10, 30, 30]}]\n```\nDone.',
    ],
)
@pytest.mark.parametrize(
    "layout",
    [
        "{}",
        "<think>[1, 1, 2, 2]</think>{}",
        "<answer>{}</answer>",
        "<think>[1, 1, 2, 2]</think><answer>\n{}\n</answer>",
    ],
)
def test_boxes_are_read_from_the_answer_or_where_it_has_no_tag_from_the_completion(answer, layout):
    assert written_boxes(layout.format(answer)) == [(10, 10, 30, 30)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no box",
        "10 10 30",
        "It is [10, 10, 30, 30]",
        "<answer>10 10 30 30",
        "<answer></answer>[10, 10, 30, 30]",
        "<answer>[10, 10, 30, 30]</answer><answer>[10, 10, 30, 30]</answer>",
        "```json [10, 10, 30, 30] ``` ```json [10, 10, 30, 30] ```",
        "<think>[10, 10, 30, 30]",
        "<think>so</think>",
        "<think><answer>[10, 10, 30, 30]</answer></think>",
        "``` [10, 10, 30, 30]",
        "<answer>so</answer>```json [10, 10, 30, 30] ```",
        '[10, 10, 30, 30], "x"',
        "[" * 100_000,
        '{"bbox_2d":' * 100_000,
        "7",
        "null",
    ],
)
def test_what_holds_no_boxes(text):
    assert written_boxes(text) is None
    found = rewards.call("grounding", text, row(TRUTH, "grounding", frame="pixel"))
    assert (found.reward, found.error) == (0, "no readable boxes")


def test_entries_that_are_no_boxes_count():
    for entry in (
        "7",
        "{}",
        "[1, 2, 3]",
        "[1, 2, 3, NaN]",
        "[1, 2, 1e999, 4]",
        '"x"',
        "9" * 5000,
        "[[]]",
        '{"bbox_2d": ["1", "2", "3", "4"]}',
    ):
        assert score([], TRUTH).reward == 0
        found = rewards.call("grounding", f"[[10, 10, 30, 30], {entry}]", row(TRUTH, "grounding", frame="pixel"))
        assert (found.reward, found.parts["boxes"]) == (0.5, 2)


def test_predictions_and_truth_are_compared_in_one_frame():
    assert score([[156.25, 208.3333333, 468.75, 625]], frame="relative").reward == pytest.approx(1)
    assert score([[5, 5, 15, 15]], frame="resized", resized_size=[32, 24]).reward == pytest.approx(1)
    assert score([[10, 10, 30, 30]], frame="relative").reward < 0.1
    with pytest.raises(DataError, match="'r1': no coordinate frame"):
        rewards.get("grounding").check(row(TRUTH, "grounding"))
    for truth in ([], None, [[1, 1, 1, 1]], [[0, 0, 640, 480]]):
        with pytest.raises(TruthError, match="'r1'"):
            rewards.get("grounding").check(row(truth, "grounding", frame="pixel"))


def test_a_real_row():
    entry = json.loads(shared("llvip/llvip_eval_12.json").read_text(encoding="utf-8"))[0]
    truth = entry["ground_truth"]
    sample = row(truth, "grounding", size=(1280, 1024), frame="pixel")
    rewards.get("grounding").check(sample)
    assert rewards.call("grounding", write(truth[::-1]), sample).reward == pytest.approx(1)


def overlap(a, b) -> float:
    """By counting the unit cells inside both, and inside either."""
    grid = np.zeros((2, 12, 12), bool)
    for layer, (x1, y1, x2, y2) in enumerate((a, b)):
        grid[layer, y1:y2, x1:x2] = True
    return grid.all(0).sum() / grid.any(0).sum()


def drawn(dice, n):
    corners = [(dice.randrange(8), dice.randrange(8)) for _ in range(n)]
    return [[x, y, x + dice.randrange(1, 5), y + dice.randrange(1, 5)] for x, y in corners]


def test_random_boxes_against_every_way_to_match_them():
    dice = random.Random(0)
    for _ in range(150):
        predicted, truth = drawn(dice, dice.randrange(5)), drawn(dice, dice.randrange(1, 4))
        padded = [*predicted, *[None] * len(truth)]
        total = max(
            sum(overlap(p, t) for p, t in zip(way, truth, strict=True) if p is not None)
            for way in itertools.permutations(padded, len(truth))
        )
        found = score(predicted, truth)
        assert found.reward == pytest.approx(total / max(len(predicted), len(truth)))
        assert found.parts["iou"] == pytest.approx(total / len(truth))


def test_a_flood_of_boxes_is_matched_exactly_and_quickly():
    dice = random.Random(1)
    truth = [[4 * i, 0, 4 * i + 4, 4] for i in range(10)]
    noise = [[4 * dice.randrange(10), 0, 4 * dice.randrange(10, 12) + 1, 1 + dice.random()] for _ in range(20_000)]
    perfect = noise[:15_000] + truth + noise[15_000:]
    sample = row(truth, "grounding", size=(64, 48), frame="pixel")
    start = time.perf_counter()
    found = rewards.call("grounding", tagged(json.dumps(perfect)), sample)
    # Less than a second; a matching of all with all, on memory that grows with it, or a quadratic reader takes longer.
    assert time.perf_counter() - start < 10
    assert found.parts["iou"] == pytest.approx(1)
    assert found.reward == pytest.approx(10 / 20_010)
    same = rewards.call("grounding", "[" + "[0, 0, 4, 4], " * 99_999 + "[0, 0, 4, 4]]", sample)
    assert same.reward == pytest.approx(1 / 100_000)

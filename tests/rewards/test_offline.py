import json

import pytest
from scipy.stats import binomtest

from rows import tagged
from vantage.errors import ConfigError, DataError
from vantage.rewards import Reward, Score, registry
from vantage.rewards.offline import COLUMNS, Tally, score_lines


def scored(*lines, reward="answer", **kwargs):
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return list(score_lines(encoded, reward, **kwargs))


def test_a_row_comes_back_with_its_score():
    (line,) = scored({"answer": "3", "completion": tagged("3"), "mine": [1]})
    assert json.loads(line) == {
        "answer": "3", "completion": tagged("3"), "mine": [1], "reward": 1.0, "correct": True, "formatted": True,
        "parts": {"accuracy": 1.0, "format": 1.0}, "error": "", "timed_out": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        b'{"answer": "3", "completion": "\\ud800 <answer>3</answer>", "x": 1.50, "x": 1e3, "y": "\xc3\xa9\\u00e9"}',
        b' {"a" : 12345678901234567890.12345678901234567890, "completion":"","answer":3 } ',
        b'{"completion": "<answer>\\udfff\\u0000</answer>", "answer": "\\udfff\\u0000"}',
    ],
)
def test_what_a_row_holds_is_not_written_anew(line):
    (found,) = scored(line + b"\r\n")
    assert found.startswith(line.strip()[:-1].rstrip() + b', "reward": ')
    assert json.loads(found)["reward"] in (0, 1)
    found.decode("utf-8")


def test_lone_surrogates_are_compared_like_any_other_character():
    (line,) = scored({"answer": "\ud800", "completion": tagged("\ud800")})
    assert json.loads(line)["reward"] == 1


BAD = {
    b"{'a': 1}": "f.jsonl:2: not JSON",
    b'{"answer": NaN, "completion": "x"}': "f.jsonl:2: not JSON (NaN is no JSON number)",
    b'{"answer": 1, "completion": "x", "z": [-Infinity]}': "-Infinity is no JSON number",
    b'{"answer": 1, "completion": "\xff"}': "f.jsonl:2: not UTF-8",
    b"[" * 100_000: "f.jsonl:2: not JSON",
    b"[1]": "f.jsonl:2: a row is an object, not list",
}


@pytest.mark.parametrize("line", BAD, ids=lambda line: line[:12].decode("ascii", "replace"))
def test_a_line_that_is_no_row_keeps_its_place_and_its_text(line):
    good = {"answer": "3", "completion": tagged("3")}
    tally = Tally()
    found = [json.loads(x) for x in scored(good, line, good, name="f.jsonl", tally=tally)]
    assert [row["reward"] for row in found] == [1, None, 1]
    assert BAD[line] in found[1]["error"]
    assert found[1]["line"].encode("utf-8", "surrogateescape") == line
    assert (tally.rows, tally.scored, tally.unreadable) == (3, 2, 1)
    assert tally.problems == [found[1]["error"]]


def test_an_integer_longer_than_python_reads_is_json():
    line = b'{"completion": "<answer>3</answer>", "answer": "3", "n": ' + b"9" * 5000 + b"}"
    (found,) = scored(line)
    assert found.startswith(line.removesuffix(b"}"))
    assert b'"reward": 1.0' in found


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "f.jsonl:1: no 'completion'"),
        ({"answer": "3"}, "f.jsonl:1: no 'completion'"),
        ({"completion": "x"}, "f.jsonl:1: no truth"),
        ({"completion": 3, "answer": "3"}, "f.jsonl:1: a completion is a text"),
        ({"completion": "x", "truth": "3", "solution": "4"}, "f.jsonl:1: 'truth' is '3' and 'solution' is '4'"),
        ({"completion": "x", "answer": True, "id": "r9"}, "f.jsonl:1: row 'r9': reward 'answer' compares"),
    ],
)
def test_a_row_that_cannot_be_scored_keeps_what_it_holds(row, message):
    (found,) = (json.loads(line) for line in scored(row, name="f.jsonl"))
    assert found.pop("error").startswith(message)
    assert found == {**row, "reward": None, "correct": None, "formatted": None, "parts": {}, "timed_out": False}


def test_boxes_are_scored_in_the_numbers_of_the_truth():
    row = {"answer": [0, 0, 10, 10], "completion": tagged("0 0 10 5")}
    (line,) = scored(row, reward="box")
    assert json.loads(line)["parts"]["iou"] == pytest.approx(0.5)
    (line,) = scored({**row, "frame": "relative", "truth_frame": "pixel"}, reward="box")
    assert "give 'image_size'" in json.loads(line)["error"]


def test_many_rows_keep_their_order_and_blank_lines_their_place():
    rows = [{"id": i, "answer": i % 3, "completion": tagged("0")} for i in range(1500)]
    lines = [json.dumps(row).encode() + b"\n" for row in rows]
    lines.insert(700, b"  \r\n")
    tally = Tally()
    found = list(score_lines(iter(lines), "answer", tally=tally))
    assert found.pop(700) == b"  "
    assert [(row["id"], row["reward"]) for row in map(json.loads, found)] == [
        (i, float(i % 3 == 0)) for i in range(1500)
    ]
    assert (tally.rows, tally.scored, tally.correct, tally.unreadable) == (1500, 1500, 500, 0)
    assert tally.mean == pytest.approx(1 / 3)


def test_rows_are_written_while_later_ones_are_not_read_yet():
    def endless():
        while True:
            taken.append(1)
            yield b'{"answer": "3", "completion": "x"}'

    taken = []
    assert json.loads(next(score_lines(endless(), "answer")))["reward"] == 0
    assert len(taken) < 2000


def test_long_rows_are_not_gathered():
    taken = []

    def long():
        for _ in range(100):
            taken.append(1)
            yield json.dumps({"answer": "3", "completion": "x" * 2_000_000}).encode()

    next(score_lines(long(), "answer"))
    assert len(taken) < 12


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_is_there_is_never_written_over(column):
    row = {"answer": "3", "completion": tagged("3"), column: "kept"}
    with pytest.raises(DataError, match=rf"line:2: the row already has '{column}'.*--prefix"):
        scored({"answer": "3", "completion": ""}, row)
    found = json.loads(scored(row, prefix="new_")[0])
    assert (found[column], found[f"new_{column}"]) != ("kept", "kept") and found["new_reward"] == 1


def test_rows_may_name_their_own_reward():
    rows = [
        {"answer": "3", "completion": tagged("3"), "reward": "answer"},
        {"answer": "3", "completion": tagged("3"), "reward": "mars-vqa"},
        {"answer": "3", "completion": tagged("3"), "reward": "nope"},
        {"answer": "3", "completion": tagged("3")},
    ]
    found = [json.loads(line) for line in scored(*rows, reward=None, prefix="s_")]
    assert [row["s_reward"] for row in found] == [1, 1.5, None, None]
    assert "no reward is called 'nope'" in found[2]["s_error"]
    assert "the row names no 'reward'" in found[3]["s_error"]


def test_an_unknown_reward_is_an_error_before_anything_is_read():
    with pytest.raises(ConfigError, match="no reward is called 'nope'"):
        next(score_lines(iter([]), "nope"))


class Moody(Reward):
    """Fails where the completion says so."""

    name, low, high = "moody", 0.0, 1.0

    def score(self, completion, sample):
        if completion == "unscored":
            return Score(None, timed_out=True)
        return Score(float(completion), parts={"n": float("nan")})


def test_one_row_that_its_reward_fails_at_leaves_the_others_alone(monkeypatch):
    monkeypatch.setattr(registry, "_loaded", {**registry._loaded, "moody": Moody()})
    tally = Tally()
    rows = [{"answer": "3", "completion": text} for text in ("1", "oops", "7", "unscored", "0")]
    found = [json.loads(line) for line in scored(*rows, reward="moody", tally=tally)]
    assert [row["reward"] for row in found] == [1, None, None, None, 0]
    assert "line:2" in found[1]["error"] and "ValueError" in found[1]["error"]
    assert "outside its declared range" in found[2]["error"]
    assert found[0]["parts"] == {"n": None}
    assert (tally.rows, tally.scored, tally.unreadable, tally.timed_out) == (5, 2, 2, 1)


def test_the_tally_gives_the_usual_intervals():
    tally = Tally()
    rewards = [0.0, 1.0, 0.25, 1.0, 0.5] * 6
    for reward in rewards:
        assert tally.margin() is None, "fewer than 30 rows"
        tally.add(Score(reward, correct=reward == 1))
    mean = sum(rewards) / 30
    spread = sum((reward - mean) ** 2 for reward in rewards) / 29
    assert tally.mean == pytest.approx(mean)
    assert tally.margin() == pytest.approx(1.96 * (spread / 30) ** 0.5, rel=1e-4)
    for correct in (0, 12, 30):
        tally.correct = correct
        ends = binomtest(correct, 30).proportion_ci(0.95, method="wilson")
        assert tally.share() == pytest.approx((correct / 30, ends.low, ends.high), abs=1e-9)

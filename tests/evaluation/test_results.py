"""Counting, intervals and files, against formulas written out by hand."""

import json
import math

import pytest

from vantage.errors import ConfigError, DataError
from vantage.evaluation import Evaluation, Figures, Proportion, figures

Z = 1.959963984540054  # the 97.5 % point of the normal distribution


def wilson(count: int, n: int) -> tuple[float, float]:
    """Wilson (1927), as any textbook has it."""
    p = count / n
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return middle - half, middle + half


def row(name: str, origin: str, correct: bool, **more) -> dict:
    return {
        "id": name,
        "origin": origin,
        "reward": "answer",
        "score": float(correct),
        "correct": correct,
        "formatted": True,
        "parts": {},
        "error": "",
        **more,
    }


def example() -> Evaluation:
    rows = [row("a", "fused", True), row("a", "mono:rgb", False), row("a", "mono:infrared", True)]
    counted = figures(rows)
    return Evaluation(
        **dict(counted), model="m", data="d", tasks={"count": counted}, seconds=1.5, settings={"mono": "fill"}
    )


@pytest.mark.parametrize(("count", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 20), (500, 1000), (1, 10_000)])
def test_the_interval_is_wilsons(count: int, n: int):
    share = Proportion.of(count, n)
    low, high = wilson(count, n)
    assert share.value == count / n
    assert (share.low, share.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    assert 0 <= share.low <= share.value <= share.high <= 1


@pytest.mark.parametrize(("count", "n"), [(0, 0), (2, 1), (-1, 5)])
def test_a_share_of_nothing_or_too_much_is_an_error(count: int, n: int):
    with pytest.raises(ConfigError, match=f"{count} of {n}"):
        Proportion.of(count, n)


def test_counting_by_hand():
    rows = [
        row("a", "fused", True, score=1.25),
        row("a", "mono:rgb", False),
        row("a", "mono:infrared", True),
        row("b", "fused", False, score=0.25),
        row("b", "mono:rgb", True),
        row("b", "mono:infrared", True),
        row("c", "fused", False, score=0.0, formatted=False, error="no answer"),
        row("c", "mono:rgb", False),
        row("c", "mono:infrared", False),
    ]
    found = figures(rows)
    assert found.n == 3
    assert found.fused.value == pytest.approx(1 / 3)
    assert {name: share.value for name, share in found.sources.items()} == {
        "rgb": pytest.approx(1 / 3),
        "infrared": pytest.approx(2 / 3),
    }
    assert found.best_source == "infrared"
    assert found.fusion_gain == pytest.approx(-1 / 3)
    assert found.either.value == pytest.approx(2 / 3)
    assert found.format.value == pytest.approx(2 / 3)
    assert found.reward == pytest.approx(0.5)
    assert found.miou is None
    assert (found.unscored, found.unfinished) == (0, 0)


def test_samples_may_differ_in_their_sources():
    rows = [
        row("a", "fused", True),
        row("a", "mono:rgb", False),
        row("b", "fused", True),
        row("b", "mono:rgb", True),
        row("b", "mono:depth", True),
    ]
    found = figures(rows)
    assert (found.sources["rgb"].n, found.sources["depth"].n) == (2, 1)
    assert found.either.n == 2
    assert found.either.value == 0.5


def test_the_earlier_source_is_best_on_a_tie():
    rows = [row("a", "fused", True), row("a", "mono:rgb", True), row("a", "mono:depth", True)]
    assert figures(rows).best_source == "rgb"


def test_an_answer_without_a_readable_box_overlaps_by_nothing():
    rows = [
        row("a", "fused", True, reward="box", parts={"iou": 0.8}),
        row("b", "fused", False, reward="box", parts={}, error="no box"),
        row("c", "fused", True),  # asks for no box and is left out
    ]
    assert figures(rows).miou == pytest.approx(0.4)


def test_boxes_are_asked_for_even_when_no_fused_answer_holds_one():
    rows = [
        row("a", "fused", False, reward="box", parts={}, error="no box"),
        row("a", "mono:rgb", True, reward="box", parts={"iou": 0.8}),
    ]
    assert figures(rows).miou == 0.0


def test_a_weighted_sum_measures_overlap_too():
    parts = {"grounding/iou": 0.6, "reason-rft-format": 1.0}
    assert figures([row("a", "fused", True, reward="sum", parts=parts)]).miou == pytest.approx(0.6)


def test_what_could_not_be_scored_counts_as_wrong_and_is_told():
    found = figures([row("a", "fused", False, score=None), row("b", "fused", True, score=1.0, finished=False)])
    assert found.fused.value == found.reward == 0.5
    assert (found.unscored, found.unfinished) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no answers"),
        ([row("a", "mono:rgb", True)], "'a' has no answer from all"),
        ([row("a", "fused", True), row("a", "fused", True)], "'a' was answered twice as fused"),
    ],
)
def test_rows_that_cannot_be_counted(rows: list, message: str):
    with pytest.raises(DataError, match=message):
        figures(rows)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    path = tmp_path / "deep" / "evaluation.json"
    example().save(path)
    assert Evaluation.load(path) == example()
    assert [file.name for file in path.parent.iterdir()] == ["evaluation.json"]
    assert json.loads(path.read_text())["sources"]["infrared"]["value"] == 1.0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "m"}', "null"])
def test_a_file_that_holds_no_evaluation_is_named(tmp_path, text: str):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"bad\.json: not an evaluation"):
        Evaluation.load(path)


def test_an_unknown_field_is_named(tmp_path):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(json.loads(example().model_dump_json()) | {"acuracy": 1}))
    with pytest.raises(DataError, match="acuracy"):
        Evaluation.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json"):
        Evaluation.load(tmp_path / "none.json")


def test_figures_refuse_what_is_no_number():
    with pytest.raises(ValueError, match="finite"):
        Figures(**dict(figures([row("a", "fused", True)])) | {"reward": math.nan})

"""The figure of a run: what is read, what is smoothed, and which panels are drawn."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vantage.errors import DataError
from vantage.report.curves import PANELS, plot, read_metrics, smooth

FULL = {
    "reward": 0.5,
    "accuracy": 0.4,
    "format": 0.9,
    "gain": -0.1,
    "gain/rgb": 0.2,
    "gain/infrared": -0.4,
    "groups/silent": 0.3,
    "groups/revived_wrong": 0.1,
    "groups/revived_right": 0.05,
    "reasoner/leak": 0.01,
    "entropy": 1.2,
    "kl": 0.001,
    "clip/low": 0.0,
    "clip/high": 0.01,
    "length/mean": 12.0,
    "time/rollout": 2.0,
    "time/anchors": 0.5,
    "time/vision": 0.2,
    "time/reward": 0.1,
    "time/update": 1.5,
}


def write(path: Path, rows: list) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def steps(count: int, **fields) -> list[dict]:
    return [{"step": step, **fields} for step in range(1, count + 1)]


def test_reading_keeps_the_later_of_two_and_sorts(tmp_path):
    rows = [{"step": 2, "reward": 0.2}, {"step": 1, "reward": 0.1}, {"step": 2, "reward": 0.9, "note": "resumed"}]
    metrics = read_metrics(write(tmp_path / "m.jsonl", rows))
    assert metrics.step.tolist() == [1, 2]
    assert metrics.columns["reward"].tolist() == [0.1, 0.9]
    assert "note" not in metrics.columns


def test_what_a_step_did_not_log_is_a_gap(tmp_path):
    rows = [{"step": 1, "kl": 0.1}, {"step": 2, "kl": None}, {"step": 3, "kl": True}, {"step": 4}]
    metrics = read_metrics(write(tmp_path / "m.jsonl", rows))
    assert metrics.columns["kl"].tolist()[0] == 0.1
    assert np.isnan(metrics.columns["kl"][1:]).all()


def test_sources_are_the_columns_below_gain(tmp_path):
    metrics = read_metrics(write(tmp_path / "m.jsonl", steps(2, **FULL, **{"gain/empty": math.nan, "gainful": 1.0})))
    assert list(metrics.below("gain")) == ["rgb", "infrared"]


def test_a_last_line_cut_short_is_left_out(tmp_path):
    path = write(tmp_path / "m.jsonl", steps(2, reward=1.0))
    path.write_text(path.read_text() + '{"step": 3, "rew')
    assert read_metrics(path).step.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no steps"),
        ("\n\n", "no steps"),
        ('{"step": 1, "rew', "no steps"),
        ('{"step": 1, "rew\n{"step": 2}\n', "line 1: not JSON"),
        ('{"reward": 1}\n', "line 1: a row is an object with a number 'step'"),
        ("[1, 2]\n", "line 1: a row is an object"),
    ],
)
def test_metrics_that_cannot_be_read(tmp_path, text: str, message: str):
    path = tmp_path / "m.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_metrics(path)


def test_missing_metrics_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl"):
        plot(tmp_path / "none.jsonl", tmp_path / "out.png", "")


def test_smoothing_is_a_weighted_mean_of_both_sides():
    values = [1.0, math.nan, 4.0, -2.0]
    out = smooth(np.array(values), 1.5)
    for place, value in enumerate(values):
        if math.isnan(value):
            assert math.isnan(out[place])
            continue
        weights = {i: math.exp(-(((i - place) / 1.5) ** 2) / 2) for i, v in enumerate(values) if not math.isnan(v)}
        assert out[place] == pytest.approx(sum(w * values[i] for i, w in weights.items()) / sum(weights.values()))
    assert smooth(np.array([1.0, 5.0]), 0).tolist() == [1.0, 5.0]
    assert smooth(np.full(9, 0.25), 3.0) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("fields", "titles"),
    [
        (FULL, [panel.title for panel in PANELS]),
        ({"reward": 1.0}, ["Reward and accuracy"]),
        ({"gain/rgb": 1.0, "time/total": 3.0}, ["Information gain of fusion"]),
        ({"kl": 0.1, "time/reward": 0.1}, ["Entropy and drift", "Time of a step"]),
        ({"accuracy": math.nan, "length/mean": 3.0}, ["Length of answers"]),
    ],
)
def test_a_panel_is_drawn_where_something_was_logged(tmp_path, fields: dict, titles: list[str]):
    metrics = read_metrics(write(tmp_path / "m.jsonl", steps(3, **fields)))
    assert [panel.title for panel in PANELS if panel.wants(metrics)] == titles


@pytest.mark.parametrize("count", [1, 2, 40])
def test_the_picture_is_written(tmp_path, count: int):
    out = plot(write(tmp_path / "m.jsonl", steps(count, **FULL)), tmp_path / "deep" / "curves.png", "MARS")
    with Image.open(out) as picture:
        assert picture.size[0] > 1500
        assert len(picture.convert("RGB").getcolors(maxcolors=1 << 24)) > 50


@pytest.mark.parametrize("fields", [{"kl": 0.1}, {"time/update": 0.0}, {"gain/rgb": 0.0}, {"reward": 1.0}])
def test_one_panel_alone(tmp_path, fields: dict):
    assert plot(write(tmp_path / "m.jsonl", steps(2, **fields)), tmp_path / "curves.png", "").stat().st_size > 0


def test_the_parts_of_a_step_are_stacked(tmp_path):
    metrics = read_metrics(write(tmp_path / "m.jsonl", steps(2, **FULL)))
    axes = Figure().add_subplot()
    next(panel for panel in PANELS if panel.title == "Time of a step").draw(axes, metrics)
    _, labels = axes.get_legend_handles_labels()
    # 2.0 + 0.5 + 0.2 + 0.1 + 1.5 seconds make 4.3
    assert labels == [
        "rollout, 47 %",
        "anchors, 12 %",
        "vision, 5 %",
        "reward, 2 %",
        "update, 35 %",
    ]
    assert axes.get_ylim()[1] == pytest.approx(1.15 * 4.3)


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(DataError, match="nothing to draw"):
        plot(write(tmp_path / "m.jsonl", steps(3, loss=1.0)), tmp_path / "curves.png", "")
    assert not (tmp_path / "curves.png").exists()

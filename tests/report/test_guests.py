"""The figure of a run's guests: which are found, what is drawn of them, and that a run without any has none."""

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from vantage.report.curves import read_metrics
from vantage.report.guests import PANELS, names, plot

TWO = {
    "reward": 0.5,
    "guests/pool": 0.33,
    "guests/kept": 0.5,
    "guests/late": 0.1,
    "guests/tiny-guest/kept": 0.3,
    "guests/tiny-guest/reward": 0.8,
    "guests/Qwen/Qwen2-VL-2B/kept": 0.2,
    "guests/Qwen/Qwen2-VL-2B/reward": 0.7,
}
ONE = {key: value for key, value in TWO.items() if "Qwen" not in key}


def write(folder: Path, fields: dict, steps: int = 3) -> Path:
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step, **fields}) + "\n" for step in range(1, steps + 1)))
    return path


def drawn(folder: Path, fields: dict, panel: int) -> dict[str, float]:
    """Labels of the curves of a panel, and the height of each at its end."""
    axes = Figure().add_subplot()
    PANELS[panel].draw(axes, read_metrics(write(folder, fields)))
    return {line.get_label(): line.get_ydata()[-1] for line in axes.lines}


def test_names_may_hold_slashes(tmp_path):
    assert names(read_metrics(write(tmp_path, TWO))) == ["tiny-guest", "Qwen/Qwen2-VL-2B"]


def test_a_guest_may_be_called_as_a_figure_is(tmp_path):
    fields = {"guests/kept": 0.5, "guests/kept/kept": 0.5, "guests/pool/reward": 1.0}
    assert names(read_metrics(write(tmp_path, fields))) == ["kept", "pool"]


def test_shares_of_all_and_of_each(tmp_path):
    assert drawn(tmp_path, TWO, 0) == {
        "of all answers": 0.33,
        "of the kept": 0.5,
        "tiny-guest, of the kept": 0.3,
        "Qwen/Qwen2-VL-2B, of the kept": 0.2,
    }


def test_a_single_guest_is_all_of_them(tmp_path):
    assert drawn(tmp_path, ONE, 0) == {"of all answers": 0.33, "of the kept": 0.5}


def test_what_guests_earn_stands_beside_what_the_policy_earns(tmp_path):
    assert drawn(tmp_path, TWO, 1) == {"the policy": 0.5, "tiny-guest": 0.8, "Qwen/Qwen2-VL-2B": 0.7}


@pytest.mark.parametrize(
    ("fields", "titles"),
    [
        (TWO, ["Share of guests", "Reward of guests"]),
        ({"reward": 1.0, "guests/kept": 0.0}, ["Share of guests"]),
        ({"guests/a/reward": 0.0}, ["Reward of guests"]),
        ({"guests/a/reward": None, "guests/pool": None, "reward": 1.0}, []),
    ],
)
def test_a_panel_is_drawn_where_something_was_logged(tmp_path, fields: dict, titles: list[str]):
    metrics = read_metrics(write(tmp_path, fields))
    assert [panel.title for panel in PANELS if panel.wants(metrics)] == titles


def test_what_is_missing_is_drawn_where_anything_is(tmp_path):
    told = {**TWO, "guests/missing": 0.25, "guests/tiny-guest/missing": 0.5, "guests/Qwen/Qwen2-VL-2B/missing": 0.0}
    assert drawn(tmp_path, told, 2) == {"of all guests": 0.25, "tiny-guest": 0.5, "Qwen/Qwen2-VL-2B": 0.0}
    assert PANELS[2].wants(read_metrics(write(tmp_path, told)))
    assert not PANELS[2].wants(read_metrics(write(tmp_path, {**told, "guests/missing": 0.0})))


@pytest.mark.parametrize("steps", [1, 40])
def test_the_picture_is_written(tmp_path, steps: int):
    out = plot(write(tmp_path, TWO, steps), tmp_path / "deep" / "guests.png", "a run")
    assert out is not None and out.stat().st_size > 10_000


def test_a_run_without_guests_has_no_picture(tmp_path):
    assert plot(write(tmp_path, {"reward": 1.0, "guestbook": 1.0}), tmp_path / "guests.png", "") is None
    assert not (tmp_path / "guests.png").exists()

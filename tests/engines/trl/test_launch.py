"""Pieces of a launch that need no training."""

import pytest
from rich.console import Console

from vantage import recipes, runs
from vantage.engines.trl import launch
from vantage.engines.trl.measure import _together
from vantage.errors import ConfigError, VantageError
from vantage.evaluation import Evaluation, figures


def rows(start, tasks):
    return [
        {
            "id": f"r{start + i}", "task": task, "reward": "answer", "truth": "1", "origin": origin, "text": "",
            "tokens": 3, "finished": True, "score": float(right), "correct": right, "formatted": True, "parts": {},
            "error": "",
        }
        for i, (task, right) in enumerate(tasks)
        for origin in ("fused", "mono:rgb", "mono:infrared")
    ]  # fmt: skip


def test_shares_of_an_evaluation_are_put_together_over_all_rows_and_tasks():
    mine, theirs = rows(0, [("count", True), ("count", False)]), rows(2, [("locate", True)])
    part = Evaluation(**dict(figures(mine)), model="m", data="d", seconds=1.0, tasks={"count": figures(mine)})
    whole, everything = _together(part, [*mine, *theirs])
    assert [row["id"] for row in everything[::3]] == ["r0", "r1", "r2"]
    assert whole.n == 3
    assert whole.fused.value == 2 / 3
    assert set(whole.tasks) == {"count", "locate"}
    assert whole.tasks["locate"].n == 1


def test_fewer_rows_than_a_generation_asks_are_refused_before_the_first_step(tmp_path, tiny_folder):
    recipe = recipes.load("tiny/mars", ["data.train=night?n=15", "data.test=null", f"model.path={tiny_folder}"])
    run = runs.start("few", recipe, tmp_path)
    with pytest.raises(ConfigError, match=r"15 rows, but one generation asks 16 different questions \(224 completions"):
        launch.train(recipe, run, console=Console(quiet=True))


@pytest.mark.parametrize(
    ("recipe", "guests", "message"),
    [
        ("ekipl", "null", "no guests are given"),
        ("grpo", "{from: [{oracle: 0.5}]}", "grpo takes none"),
        ("ekipl", "{from: [{recorded: gone.jsonl}]}", "gone.jsonl: recorded answers cannot be read"),
        ("ekipl", "{from: [{python: 'gone.py:f'}]}", "gone.py': no such file"),
        ("ekipl", "{from: [{model: ./gone}]}", "gone"),
    ],
    ids=["none", "nobody listens", "file", "function", "model"],
)
def test_mistakes_with_guests_are_found_before_a_row_is_read(recipe, guests, message, tmp_path, monkeypatch):
    monkeypatch.setattr(launch.datasets, "load", lambda *_: pytest.fail("rows are read"))
    parsed = recipes.load(f"tiny/{recipe}", [f"guests={guests}"])
    run = runs.start("early", parsed, tmp_path)
    with pytest.raises(VantageError, match=message):
        launch.train(parsed, run, console=Console(quiet=True))

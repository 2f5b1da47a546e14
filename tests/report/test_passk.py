"""The figure of drawn answers: it shows the values that were kept, with their intervals, on a scale that doubles."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vantage.errors import DataError
from vantage.evaluation.passk import SampledEvaluation, summary
from vantage.report import passk


def evaluation(right: list[int], k: int) -> SampledEvaluation:
    rows = [
        {"id": f"q{i}", "task": "", "origin": "fused", "text": "yes" if draw < count else "no", "finished": True,
         "score": float(draw < count), "correct": draw < count}
        for i, count in enumerate(right)
        for draw in range(k)
    ]  # fmt: skip
    return summary(rows, model="m", data="d", seconds=1.0)


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """Every figure that is written."""
    seen: list[Figure] = []
    original = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **b: seen.append(self) or original(self, *a, **b))
    return seen


def test_both_moments_are_drawn_as_they_were_kept(tmp_path, figures):
    before, after = evaluation([0, 1, 4, 2], 6), evaluation([1, 1, 6, 4], 6)
    before.save(tmp_path / "b.json")
    after.save(tmp_path / "a.json")
    out = passk.plot(tmp_path / "b.json", tmp_path / "a.json", tmp_path / "deep" / "passk.png", "a run")
    with Image.open(out) as picture:
        assert picture.size[0] > 1500
    first, second, third = figures[0].axes
    for axes, name in ((first, "pass_at"), (second, "majority_at"), (third, "all_at")):
        lines = [line for line in axes.lines if not line.get_label().startswith("_")]
        assert [line.get_label() for line in lines] == ["before, 4 questions", "after, 4 questions"]
        for line, run in zip(lines, (before, after), strict=True):
            assert line.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
            assert line.get_ydata().tolist() == [found.value for found in getattr(run, name)]
        corners = np.concatenate([band.get_paths()[0].vertices for band in axes.collections])
        ends = {round(end, 9) for run in (before, after) for f in getattr(run, name) for end in (f.low, f.high)}
        assert {round(y, 9) for y in corners[:, 1].tolist()} == ends
        assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4", "6"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("k", [1, 3])
def test_one_moment_alone(tmp_path, figures, moment: str, k: int):
    evaluation([0, 1], k).save(tmp_path / f"{moment}.json")
    assert passk.plot(tmp_path / "before.json", tmp_path / "after.json", tmp_path / "p.png", "") is not None
    _, labels = figures[0].axes[0].get_legend_handles_labels()
    assert labels == [f"{moment}, 2 questions"]


def test_the_end_values_stand_at_the_curves_and_the_title_says_of_what(tmp_path, figures):
    settings = {"temperature": 0.7}
    runs = {
        "before": evaluation([0, 2, 2, 2], 2).model_copy(update={"settings": settings}),
        "after": evaluation([2, 2, 2, 2], 2).model_copy(update={"settings": settings}),
    }
    passk.draw(runs, tmp_path / "p.png", "a run")
    assert figures[0].get_suptitle() == "a run · d · temperature 0.7"
    axes = figures[0].axes[0]
    assert {"75 %", "100 %"} <= {text.get_text() for text in axes.texts}
    assert axes.get_ylim()[1] > 1  # all of the curve at the top is seen


def test_figures_in_words():
    """Of four questions two answers each: right are 1 + 2 of 8 before, 2 + 2 + 1 of 8 after."""
    before, after = evaluation([1, 2, 0, 0], 2), evaluation([2, 2, 1, 0], 2)
    head, first, second = passk.told({"before": before, "after": after}).split("\n")
    assert head == "Of 4 questions, before → after, with 95 % intervals of the change:"
    assert first.split()[:6] == ["pass@1", "37.5", "→", "62.5", "%", "+25.0"]
    assert second.split()[:6] == ["pass@2", "50.0", "→", "75.0", "%", "+25.0"]
    head, first, _ = passk.told({"after": after}).split("\n")
    assert head == "Of 4 questions, after, with 95 % intervals:"
    assert first.split()[:3] == ["pass@1", "62.5", "%"] and first.split()[3].startswith("(")


def test_what_a_summary_keeps():
    kept = passk.brief(evaluation([1, 2, 0, 0], 2))
    assert (kept["k"], kept["n"], kept["pass_at"]) == (2, 4, {"1": 0.375, "2": 0.5})
    low, high = kept["pass_at_interval"]["2"]
    assert low < 0.5 < high


def test_without_either_nothing_is_drawn(tmp_path):
    assert passk.plot(tmp_path / "before.json", tmp_path / "after.json", tmp_path / "p.png", "") is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_holds_something_else_is_named(tmp_path):
    (tmp_path / "before.json").write_text("{}")
    with pytest.raises(DataError, match=r"before\.json: not an evaluation of sampled answers"):
        passk.plot(tmp_path / "before.json", tmp_path / "after.json", tmp_path / "p.png", "")

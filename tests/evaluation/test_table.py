"""What a reader of the table sees."""

import io

import pytest
from rich.console import Console

from vantage.evaluation import Evaluation, Figures, Proportion, table


def evaluation(fused: int, rgb: int, infrared: int, model: str = "base", **more) -> Evaluation:
    n = 400
    return Evaluation(
        model=model,
        data="night",
        n=n,
        fused=Proportion.of(fused, n),
        sources={"rgb": Proportion.of(rgb, n), "infrared": Proportion.of(infrared, n)},
        best_source="infrared" if infrared > rgb else "rgb",
        either=Proportion.of(max(rgb, infrared), n),
        format=Proportion.of(390, n),
        reward=1.0,
        seconds=1.0,
        **more,
    )


def shown(*evaluations: Evaluation, width: int = 80) -> str:
    console = Console(width=width, color_system=None, file=io.StringIO())
    console.print(table(*evaluations))
    return console.file.getvalue()


def line(text: str, start: str) -> str:
    return next(part for part in text.splitlines() if part.strip("│ ").startswith(start))


def test_one_evaluation():
    text = shown(evaluation(200, 160, 240))
    assert "base on night: 400 questions" in text
    assert "50.0 (45.1–54.9)" in line(text, "all pictures together")
    assert "60.0" in line(text, "infrared alone")
    assert "overlap" not in text
    assert "10.0 points fewer" in text
    assert "seeing more hurts" in " ".join(text.split())


def test_before_and_after():
    text = shown(evaluation(200, 160, 240), evaluation(320, 160, 240, model="trained", miou=0.5))
    assert "base → trained" in text
    assert "+30.0" in line(text, "all pictures together")
    assert "+0.0" in line(text, "rgb alone")
    assert "–" in line(text, "overlap with true boxes")
    assert "seeing more helps" in " ".join(text.split())


def test_a_difference_within_the_intervals_is_not_called_one():
    assert "may be chance" in " ".join(shown(evaluation(235, 160, 240)).split())


def test_one_picture_is_not_compared_with_itself():
    one = evaluation(200, 160, 240)
    text = shown(one.model_copy(update={"sources": {"page": one.fused}, "best_source": "page"}))
    assert "the picture" in text
    assert "alone" not in text


def test_kinds_of_question_stand_apart():
    fields = set(Figures.model_fields)
    tasks = {
        task: Figures(**{name: value for name, value in dict(evaluation(100, 100, 100)).items() if name in fields})
        for task in ("count", "find")
    }
    text = shown(evaluation(200, 160, 240, tasks=tasks))
    assert "count: 400 questions" in text
    assert "find: 400 questions" in text


@pytest.mark.parametrize("name", ["rgb[/x]", "/mnt/[archive]/m", "[bold]x", ":dog:", "[link=x]y[/link]"])
def test_a_name_is_shown_as_it_is(name: str):
    one = evaluation(200, 160, 240)
    sources = {name: one.sources["infrared"], "rgb": one.sources["rgb"]}
    fields = set(Figures.model_fields)
    tasks = {task: Figures(**{k: v for k, v in dict(one).items() if k in fields}) for task in (name, "other")}
    named = one.model_copy(
        update={"model": name, "data": name, "sources": sources, "best_source": name, "tasks": tasks}
    )
    for text in (shown(named, width=160), shown(named, named.model_copy(update={"model": "after"}), width=160)):
        assert f"on {name}: 400 questions" in text
        assert line(text, f"{name} alone")
        assert f"than {name} alone" in " ".join(text.split())
        assert line(text, f"{name}: 400 questions")
    assert f"{name} → after" in text


@pytest.mark.parametrize("count", [0, 400])
def test_nothing_is_cut_at_80_columns(count: int):
    text = shown(evaluation(count, count, count), evaluation(400 - count, count, count))
    assert "…" not in text

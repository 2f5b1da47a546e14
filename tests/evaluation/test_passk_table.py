"""The table of drawn answers: right numbers, what changed, within 80 columns, with names taken as they are."""

import io

import pytest
from rich.console import Console

from vantage.evaluation.passk import SampledEvaluation, summary
from vantage.evaluation.passk_table import passk_table, shown


def evaluation(right: list[int], k: int = 4, model: str = "m", tasks: tuple[str, ...] = ("",)) -> SampledEvaluation:
    rows = [
        {"id": f"q{i}", "task": tasks[i % len(tasks)], "origin": "fused", "text": "yes" if draw < count else "no",
         "finished": draw > 0, "score": float(draw < count), "correct": draw < count}
        for i, count in enumerate(right)
        for draw in range(k)
    ]  # fmt: skip
    return summary(rows, model=model, data="d", seconds=1.0, settings={"temperature": 0.7})


def printed(*runs: SampledEvaluation) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(passk_table(*runs))
    return out.getvalue()


def line(text: str, start: str) -> list[str]:
    (found,) = (row for row in text.splitlines() if row.startswith(f"│ {start} "))
    return [cell.strip() for cell in found.strip("│").split("│")]


@pytest.mark.parametrize(("k", "ks"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (32, [1, 2, 4, 8, 16, 32])])
def test_powers_of_two_and_the_last(k: int, ks: list[int]):
    assert shown(k) == ks


def test_shares_by_hand():
    text = printed(evaluation([0, 1, 4, 2]))
    assert line(text, "pass@1")[1].startswith("43.8 (")  # 7 of 16
    assert line(text, "pass@4")[1].startswith("75.0 (")
    assert line(text, "all of 4")[1].startswith("25.0 (")
    assert line(text, "majority of 4")[1].startswith("37.5 (")  # one whole, one tie
    assert "4 answers to each of 4 questions" in " ".join(text.split())
    assert "temperature 0.7" in text
    assert "4 of 16 answers were cut off" in " ".join(text.split())


def test_what_changed_stands_beside_it():
    many = [0, 1, 2, 3] * 25
    text = printed(evaluation(many, model="base"), evaluation([right + 1 for right in many], model="trained"))
    cells = line(text, "pass@1")
    assert cells[1].startswith("37.5 (") and cells[2].startswith("62.5 (")
    assert cells[3] == "+25.0 (+25.0 to +25.0)"  # every question gained one of four
    assert "base → trained" in text
    assert max(map(len, text.splitlines())) <= 80


def test_kinds_of_questions_have_their_own_rows():
    text = printed(evaluation([4, 0, 4, 0], tasks=("count", "locate")))
    assert "count: 2 questions" in text and "locate: 2 questions" in text
    first = [row for row in text.splitlines() if row.startswith("│ pass@1 ")]
    assert [row.split("│")[2].split()[0] for row in first] == ["50.0", "100.0", "0.0"]


def test_one_answer_has_no_majority():
    text = printed(evaluation([1, 0], k=1))
    assert "pass@1" in text and "majority" not in text


def test_names_are_taken_as_they_are():
    assert "[bold]x[/y]" in printed(evaluation([1, 2], model="[bold]x[/y]"))

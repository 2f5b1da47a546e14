"""What the table of ``vantage eval`` says, and that it fits."""

import io
import re
from itertools import combinations

import pytest
from rich.console import Console

from vantage.evaluation.outcome import results
from vantage.evaluation.outcome_table import MOST_SUBSETS, outcome_table, verdict


def rows(name, **right):
    """Answers to a question, by origin; ``__`` stands for what a name of Python cannot hold."""
    plain = {
        "id": name, "task": "", "scene": name, "reward": "answer", "truth": "yes", "text": "yes", "tokens": 5,
        "finished": True, "formatted": True, "parts": {}, "error": "", "draw": None, "damage": "",
    }  # fmt: skip
    named = {origin.replace("__", ":", 1).replace("__", "+"): one for origin, one in right.items()}
    return [{**plain, "origin": origin, "correct": one, "score": float(one)} for origin, one in named.items()]


def made(*questions):
    return results([row for question in questions for row in question], model="[bold]m\x1b[2J", data="d")


def shown(found) -> str:
    console = Console(width=80, color_system=None, file=io.StringIO())
    console.print(outcome_table(found))
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("fused", "alone", "said"),
    [
        (40, 10, "Yes: all pictures together give 100.0 % right answers, 75.0 points"),
        (10, 40, "No: all pictures together give 25.0 % right answers, 75.0 points"),
        (
            20,
            20,
            "Not shown: all pictures together give 50.0 % right answers, rgb alone, the best single source, 50.0 %",
        ),
    ],
)
def test_the_question_of_the_title_is_answered(fused, alone, said):
    found = made(*(rows(f"q{i}", fused=i < fused, mono__rgb=i < alone, mono__depth=False) for i in range(40)))
    assert verdict(found).startswith(said)


def test_a_best_source_that_not_every_question_has_says_so():
    some = [rows(f"q{i}", fused=True, mono__rgb=True, mono__left=False) for i in range(4)]
    others = [rows(f"p{i}", fused=False, mono__left=False, mono__right=False) for i in range(3)]
    assert "(compared over the 4 questions that have it)" in verdict(made(*some, *others))
    assert "compared over" not in verdict(made(*some))


def test_of_many_subsets_those_of_the_most_questions_are_shown():
    pairs = [f"subset__{a}__{b}" for a, b in combinations("abcdef", 2)]
    every = rows("all", fused=True, mono__a=True, mono__b=True, **dict.fromkeys(pairs, True))
    text = shown(made(every, rows("more", fused=True, mono__a=True, mono__b=True, **dict.fromkeys(pairs[-3:], True))))
    assert len(re.findall(r"^ [a-f] and [a-f] ", text, re.M)) == MOST_SUBSETS
    assert all(f"{a} and {b} " in text for a, b in ("df", "ef", "de"))
    assert "Of 3 further subsets" in text and "c and f " not in text


def test_it_fits_and_names_are_shown_as_they_are():
    text = shown(made(*(rows(f"q{i}", fused=True, mono__rgb=False, mono__depth=True) for i in range(4))))
    assert max(map(len, text.splitlines())) <= 80
    assert "[bold]m" in text and "\x1b" not in text

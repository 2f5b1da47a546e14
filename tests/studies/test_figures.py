import json

import pytest

from vantage import worlds


@pytest.fixture
def figures(script):
    return script("figures")


def row(sample, text, origin="fused", correct=True):
    return {
        "id": sample.id, "task": sample.metadata["task"], "origin": origin, "text": text, "truth": sample.truth,
        "correct": correct, "formatted": True,
    }  # fmt: skip


def said(thought, answer):
    return f"<think> {thought} </think> <answer> {answer} </answer>"


@pytest.mark.parametrize(
    ("task", "thought", "answer"),
    [
        ("count", "A1 B2 D4", "3"),
        ("count", "none", "0"),
        ("exists", "left none", "no"),
        ("exists", "top A1 B1", "yes"),
        ("locate", "C2", "4 2 6 4"),  # third column, second row, of cells of two units
        ("count", "", None),
        ("count", "A1 none", None),
        ("exists", "none", None),
        ("exists", "left", None),
        ("locate", "none", None),
        ("locate", "A1 B1", None),
        ("count", "A9", None),
    ],
)
def test_what_a_thought_stands_for(figures, task, thought, answer):
    assert figures.implied(task, thought.split()) == answer


def test_gold_completions_are_right_in_every_way(figures):
    samples = worlds.get("night").dataset("test", n=60)
    rows = [row(sample, worlds.gold(sample)) for sample in samples]
    found = figures.of_answers(rows, {sample.id: sample for sample in samples})
    assert found["chain"] == found["accuracy"] == 1
    assert found["lucky"] == found["contradiction"] == 0
    assert all(found[f"skew/{task}"] == pytest.approx(0) for task in ("count", "locate", "exists"))
    assert found["top/count"] == pytest.approx(0.2)  # answers 0 to 4 in turns


def test_answers_by_hand(figures):
    """Four questions whether anybody is in a half: truths yes, no, yes, no."""
    samples = list(worlds.get("night").dataset("test", n=4, tasks=("exists",)))
    assert [sample.truth for sample in samples] == ["yes", "no", "yes", "no"]
    gold = [sample.metadata["reasoning"] for sample in samples]
    half = gold[3].split()[0]
    rows = [
        row(samples[0], said(gold[0], "yes")),
        row(samples[1], said(gold[1], "yes"), correct=False),  # the chain says nobody, the answer yes
        row(samples[2], said(f"{gold[2].split()[0]} none", "yes")),  # right, by a wrong chain that says no
        row(samples[3], said(f"{half} A1", "Yes."), correct=False),  # wrong chain, and the answer follows it
        row(samples[0], "", "mono:rgb", correct=True),
        row(samples[0], "", "mono:infrared", correct=False),
        row(samples[1], "", "mono:rgb", correct=False),
        row(samples[1], "", "mono:infrared", correct=False),
    ]
    found = figures.of_answers(rows, {sample.id: sample for sample in samples})
    assert found["accuracy"] == found["accuracy/exists"] == 0.5
    assert found["chain"] == 0.5
    assert found["lucky"] == 0.25
    assert found["contradiction"] == 0.5
    assert found["top/exists"] == 1
    assert found["skew/exists"] == 0.5
    assert (found["alone/rgb"], found["alone/infrared"], found["either"]) == (0.5, 0, 0.5)


def test_a_blank_answer_is_counted_but_is_no_answer(figures):
    samples = list(worlds.get("night").dataset("test", n=4, tasks=("exists",)))
    rows = [row(sample, text, correct=False) for sample, text in zip(samples, ["", "", "", "yes"], strict=True)]
    assert figures.of_answers(rows, {sample.id: sample for sample in samples})["top/exists"] == 0.25


def test_means_over_the_steps_that_have_a_figure(figures, tmp_path):
    steps = [
        {"time/step": 2.0, "groups/silent": 0.5, "off_policy/ess": None, "reward": 1.0},
        {"time/step": 3.0, "groups/silent": 0.1, "off_policy/ess": 0.4},
    ]
    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(json.dumps(step) + "\n" for step in steps))
    assert figures.of_metrics(file) == {
        "seconds": 5, "groups/silent": pytest.approx(0.3), "off_policy/ess": pytest.approx(0.4)
    }  # fmt: skip

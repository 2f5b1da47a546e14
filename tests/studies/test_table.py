import json
import math

import numpy as np
import pytest

PLAN = """
name: small
seeds: [5, 6, 7]
reference: a
suites: {night: {}}
arms: {a: {recipe: tiny/grpo}, b: {recipe: tiny/mars}}
compare: [[b, a]]
report: [accuracy, steps, alone/rgb]
"""


@pytest.fixture
def table(script):
    return script("table")


@pytest.fixture
def study(script, tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(PLAN)
    return script("plan").load(file)


def lines(study, accuracies):
    """Results with these accuracies; the curve rises to it in two steps of 10, from half of it."""
    tasks = {(task.arm, task.seed): task for task in study.tasks()}
    return [
        {**tasks[arm, seed].model_dump(), "digest": study.digest(tasks[arm, seed]), "commit": "c0ffee",
         "curve": {"10": value / 2, "20": value}, "figures": {"accuracy": value}}
        for (arm, seed), value in accuracies.items()
    ]  # fmt: skip


def test_the_interval_of_a_mean_by_hand(table):
    # 1, 2, 3, 4, 5: mean 3, std sqrt(2.5), error sqrt(0.5), and t of 4 degrees of freedom is 2.776 in every book.
    found = table.mean([1, 2, 3, 4, 5])
    assert found.value == 3 and found.n == 5
    assert found.half == pytest.approx(2.776445 * math.sqrt(0.5), rel=1e-6)
    # t = 3 / sqrt(0.5) = 4.2426 lies between the book's 3.747 (p .02) and 4.604 (p .01)
    assert 0.01 < found.p < 0.02


def test_an_interval_covers_its_mean_as_often_as_it_says(table):
    random = np.random.default_rng(0)
    hits = [abs(found.value - 2) < found.half for found in map(table.mean, random.normal(2, 3, (2000, 5)))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


def test_a_difference_is_taken_seed_by_seed(table):
    noise = np.array([10.0, -20.0, 30.0])
    first = dict(zip((5, 6, 7), noise + np.array([1.0, 1.1, 0.9]), strict=True)) | {8: 1000.0}
    found = table.difference(first, dict(zip((7, 6, 5), noise[::-1], strict=True)))
    assert found.n == 3
    assert found.value == pytest.approx(1)
    assert found.half == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-6)


def test_few_or_equal_values(table):
    assert math.isnan(table.mean([]).value)
    assert math.isnan(table.mean([1.0]).half)
    assert table.mean([0.0, 0.0]).p == 1
    assert table.mean([0.5, 0.5]).p == 0.5, "two equal values are no proof: half of the choices of signs are as far"


def test_holm_by_hand(table):
    # Sorted: .005 x 4, .01 x 3, .03 x 2 = .06, .04 x 1 = .04, which may not be below .06.
    assert table.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert table.holm([0.9, 0.8]) == [1, 1]
    assert table.holm([math.nan, 0.02])[1] == 0.02


def test_steps_to_a_level(table):
    curve = {"10": 0.5, "20": 0.7, "30": 0.6, "100": 0.9}  # as text, 100 would come first
    assert table.steps_to(curve, 0.5) == 10
    assert table.steps_to(curve, 0.6) == 20
    assert table.steps_to(curve, 0.8) == 100
    assert table.steps_to(curve, 0.95) == 110


def test_the_tables_of_a_small_study(table, study):
    kept = lines(study, {("a", 5): 0.5, ("a", 6): 0.6, ("a", 7): 0.7, ("b", 5): 0.6, ("b", 6): 0.7, ("b", 7): 0.5})
    text = table.markdown(table.Results(study, kept))
    arms, pairs = ([line.strip("| ").split(" | ") for line in text.splitlines()[i:]] for i in (4, 12))
    assert arms[0] == ["figure", "start", "a", "b"]
    assert arms[2] == ["seeds", "0", "3", "3"]
    # Arm a: .5, .6, .7 has std .1, so 4.3027 x .1 / sqrt(3) = .2484; its mean at the last checkpoint, .6, is reached
    # by seeds 6 and 7 at step 20, and not by seed 5, which counts 30: 23.3. Of b, seeds 5 and 6 reach it.
    assert arms[3] == ["`accuracy`", "", "60.0 ± 24.8", "60.0 ± 24.8"]
    assert [cell.split(" ")[0] for cell in arms[4]] == ["`steps`", "", "23", "23"]
    assert "`alone/rgb`" not in text  # no run has it
    # Differences .1, .1, -.2: mean 0, std .1732, 4.3027 x .1732 / sqrt(3) = .4303.
    assert pairs[0] == ["figure", "b - a"]
    assert pairs[2] == ["p of `accuracy` (Holm)", "1.000"]
    assert pairs[3] == ["`accuracy`", "+0.0 ± 43.0"]
    assert text.startswith("6 of 7 runs, source c0ffee.")


def test_an_unfinished_study_has_tables_too(table, study):
    text = table.markdown(table.Results(study, lines(study, {("a", 5): 0.5})))
    assert "| `accuracy` |  | 50.0 |  |" in text
    assert "nan" not in table.markdown(table.Results(study, []))


@pytest.mark.parametrize("change", [{"digest": "0"}, {"arm": "c"}, {"seed": 8}])
def test_results_of_another_plan_are_refused(table, study, change):
    (line,) = lines(study, {("a", 5): 0.5})
    with pytest.raises(ValueError, match="not of this plan"):
        table.Results(study, [json.loads(json.dumps(line)) | change])


def test_a_result_that_is_there_twice_is_refused(table, study):
    with pytest.raises(ValueError, match="'night-a-5' is there twice"):
        table.Results(study, lines(study, {("a", 5): 0.5}) + lines(study, {("a", 5): 0.6}))

from pathlib import Path

import pytest

from vantage.engines.trl.config import grpo_config
from vantage.engines.trl.settings import reconcile
from vantage.errors import ConfigError

PLANS = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
PLAN = """
name: small
seeds: [5, 6]
reference: a
every: {trainer.max_steps: 7, trainer.save_steps: 5}
suites: {one: {data.train: "night?tasks=count", trainer.max_steps: 8}, two: {}}
arms:
  a: {recipe: tiny/grpo}
  b: {recipe: tiny/ekipl, set: {trainer.save_steps: 3, method.ratio: shaped}}
compare: [[b, a]]
"""


@pytest.fixture
def plan(script):
    return script("plan")


@pytest.fixture
def small(plan, tmp_path):
    def write(text=PLAN):
        file = tmp_path / "small.yaml"
        file.write_text(text)
        return plan.load(file)

    return write


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_run_of_a_study_has_a_valid_recipe(plan, path, tmp_path):
    """Also for the trainer: what contradicts the method would end a run only once it has started."""
    study = plan.load(path)
    assert study.name == path.stem
    trained = [task for task in study.tasks() if task.seed == study.seeds[0]]
    assert {task.arm for task in trained} == set(study.arms)
    budgets = set()
    for task in trained:
        recipe = study.recipe(task)
        assert recipe.threads == 1
        assert recipe.trainer["save_steps"] < recipe.trainer["max_steps"]
        assert recipe.trainer.get("save_total_limit", 2) is None  # every checkpoint is measured
        args = grpo_config(recipe.trainer, tmp_path, recipe.seed)
        reconcile(recipe.method, args, {})
        budgets.add((args.max_steps, args.generation_batch_size // args.num_generations, args.steps_per_generation))
    assert len(budgets) == 1, "arms differ in steps, or in questions to a generation"


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_study_is_described(path):
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    for heading in ("## Question", "## What is fixed", "## What is measured", "## What counts as a difference",
                    "## What was known before", "## Results"):  # fmt: skip
        assert heading in text


def test_arms_win_over_suites_and_suites_over_all(small):
    study = small()
    tasks = {task.name: task for task in study.tasks()}
    assert list(tasks)[:4] == ["one-start", "two-start", "one-a-5", "one-b-5"]
    assert len(tasks) == 2 + 2 * 2 * 2
    first = study.recipe(tasks["one-b-6"])
    assert (first.trainer["max_steps"], first.trainer["save_steps"]) == (8, 3)
    assert str(first.data.train) == "night?tasks=count"
    assert (first.method.off_policy.kind, first.seed, first.guests.seed) == ("shaped", 6, 6)
    other = study.recipe(tasks["two-a-5"])
    assert (other.trainer["max_steps"], other.trainer["save_steps"], other.guests) == (7, 5, None)
    assert study.recipe(tasks["two-start"]).method.name == "grpo"


def test_a_digest_tells_settings_apart(small):
    study, other = small(), small(PLAN.replace("max_steps: 8", "max_steps: 9"))
    same = [study.digest(task) == other.digest(task) for task in study.tasks()]
    assert same == [task.suite == "two" for task in study.tasks()]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reference: a", "reference: c", "no arm is called c; there are a, b"),
        ("[[b, a]]", "[[b, d]]", "no arm is called d"),
        ("[5, 6]", "[5, 5]", "seeds: something is named twice"),
        ("  a: {", "  start: {}\n  a: {", "recipe"),
        ("  a: {recipe", "  start: {recipe: tiny/grpo}\n  a: {recipe", "the model before training"),
        ("name: small", "name: ../small", "name"),
        ("seeds:", "seed:", "seed"),
        ("compare: [[b, a]]", "compare: [", "not YAML"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(small, old, new, message):
    assert old in PLAN
    with pytest.raises(ConfigError, match=message):
        small(PLAN.replace(old, new))


def test_a_setting_that_no_recipe_has_is_refused(small):
    study = small(PLAN.replace("trainer.save_steps: 5", "trainer.safe_steps: 5"))
    with pytest.raises(ConfigError, match="safe_steps"):
        study.recipe(study.tasks()[0])

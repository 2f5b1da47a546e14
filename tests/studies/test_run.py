import json
import subprocess
import sys

import pytest

from vantage.errors import DataError
from vantage.files import write_json

PLAN = """
name: small
seeds: [5, 6]
reference: a
suites: {night: {}}
arms: {a: {recipe: tiny/grpo}, b: {recipe: tiny/mars}}
compare: [[b, a]]
"""
NAMES = ["night-start", "night-a-5", "night-b-5", "night-a-6", "night-b-6"]


@pytest.fixture
def run(script):
    return script("run")


@pytest.fixture
def study(script, tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(PLAN)
    return script("plan").load(file)


class Starter:
    """In place of training: writes a result, or ends with a code."""

    def __init__(self, study, out, broken=(), silent=()):
        self.study, self.out, self.broken, self.silent = study, out, broken, silent
        self.started, self.going, self.most = [], [], 0

    def __call__(self, task):
        self.started.append(task.name)
        self.going = [child for child in self.going if child.poll() is None]
        fails = task.name in self.broken
        if not fails and task.name not in self.silent:
            result = {**task.model_dump(), "digest": self.study.digest(task), "figures": {"accuracy": 0.5}}
            write_json(self.out / "runs" / task.name / "result.json", result)
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", f"import time; time.sleep(0.2); raise SystemExit({3 * fails})"]
        )
        self.going.append(child)
        self.most = max(self.most, len(self.going))
        return child


def results(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_finished_runs_are_not_repeated(run, study, tmp_path):
    first = Starter(study, tmp_path, broken=["night-a-5"])
    assert run.make(study, tmp_path, 2, first) == ["night-a-5"]
    assert first.started == NAMES
    assert first.most == 2
    second = Starter(study, tmp_path)
    assert run.make(study, tmp_path, 1, second) == []
    assert second.started == ["night-a-5"]
    assert [(line["arm"], line["seed"]) for line in results(tmp_path)] == [
        ("start", None), ("a", 5), ("b", 5), ("a", 6), ("b", 6)
    ]  # fmt: skip


def test_a_run_that_ends_well_without_a_result_has_failed(run, study, tmp_path, capsys):
    assert run.make(study, tmp_path, 5, Starter(study, tmp_path, silent=["night-b-6"])) == ["night-b-6"]
    assert "night-b-6: FAILED with exit code 0" in capsys.readouterr().out


def test_results_of_another_plan_stop_the_study(run, study, tmp_path):
    starter = Starter(study, tmp_path)
    write_json(tmp_path / "runs/night-a-5/result.json", {"digest": "0123", "figures": {"accuracy": 1.0}})
    with pytest.raises(DataError, match="night-a-5 was made by another plan"):
        run.make(study, tmp_path, 1, starter)
    assert starter.started == []


def test_a_torn_result_is_named(run, study, tmp_path):
    (tmp_path / "runs/night-a-5").mkdir(parents=True)
    (tmp_path / "runs/night-a-5/result.json").write_text('{"digest": ')
    with pytest.raises(DataError, match=r"night-a-5/result\.json holds no result"):
        run.make(study, tmp_path, 1, Starter(study, tmp_path))


def test_children_end_with_the_runner(run, study, tmp_path):
    starter = Starter(study, tmp_path)

    def start(task):
        if len(starter.started) == 1:
            raise KeyboardInterrupt
        return starter(task)

    with pytest.raises(KeyboardInterrupt):
        run.make(study, tmp_path, 2, start)
    assert starter.going[0].wait(5) == -15


def test_weights_and_rollouts_are_removed_and_the_rest_stays(script, tmp_path):
    for name in ("checkpoints/checkpoint-10/model.safetensors", "model/model.safetensors", "rollouts.jsonl",
                 "metrics.jsonl", "recipe.yaml", "result.json"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    script("one").clean(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "recipe.yaml", "result.json"]

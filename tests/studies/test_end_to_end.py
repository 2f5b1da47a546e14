import json
import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"

PLAN = """
name: small
seeds: [0]
reference: grpo
every:
  data.train: night?n=16&tasks=count
  data.test: night?split=test&n=10&tasks=count
  evaluation.before: false
  evaluation.after: false
  evaluation.k: 2
  evaluation.questions: 5
  trainer.max_steps: 2
  trainer.warmup_steps: 0
  trainer.per_device_train_batch_size: 4
  trainer.num_generations: 2
  trainer.save_steps: 1
  trainer.save_total_limit: null
suites: {count: {}}
arms:
  grpo: {recipe: tiny/grpo}
  paper: {recipe: tiny/ekipl, set: {guests.wait: 600}}
curve: 4
compare: [[paper, grpo]]
report: [accuracy, pass@2, chain, steps, guests/kept, seconds]
"""


@pytest.mark.slow
def test_a_small_study_from_plan_to_tables(tmp_path):
    plan, out = tmp_path / "small.yaml", tmp_path / "out"
    plan.write_text(PLAN)

    def call(script, *arguments):
        command = [sys.executable, str(STUDIES / script), str(plan), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    call("run.py", "--out", str(out))
    results = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    start, grpo, paper = results
    assert [line["arm"] for line in results] == ["start", "grpo", "paper"]
    assert start["curve"] == {} and set(grpo["curve"]) == {"1", "2"}
    # The last checkpoint is the model that was measured, and the first 4 questions are among its 10.
    answers = [json.loads(line) for line in (out / "runs/count-grpo-0/after.jsonl").read_text().splitlines()]
    fused = [row["correct"] for row in answers if row["origin"] == "fused"]
    assert len(fused) == 10
    assert grpo["curve"]["2"] == sum(fused[:4]) / 4
    assert grpo["figures"]["accuracy"] == sum(fused) / 10
    assert paper["figures"]["guests/pool"] == pytest.approx(4 / 6)
    assert not list(out.rglob("*.safetensors"))
    assert "3 runs, 3 are finished" in call("run.py", "--out", str(out))
    assert "| paper - grpo |" in call("table.py", str(out / "results.jsonl"))

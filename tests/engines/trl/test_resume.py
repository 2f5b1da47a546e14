"""A run that is killed and resumed ends bit for bit where the uninterrupted one ends."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from vantage.engines.trl import VantageTrainer
from vantage.engines.trl.checkpoints import last_complete
from vantage.engines.trl.logs import trim
from vantage.errors import EngineError
from vantage.methods import Grpo
from vantage.rewards import Reward, Score, registry

RECIPE = """
threads: 1
model: {path: %s, dtype: float32}
data: {train: "night?split=train&n=18&mix=easy", test: "night?split=test&n=8"}
evaluation: {after: false}
trainer:
  max_steps: 8 # four generations of eight questions: two an epoch, so that it is cut in the second
  num_generations: 4
  per_device_train_batch_size: 8
  gradient_accumulation_steps: 2
  steps_per_generation: 4
  max_completion_length: 14
  learning_rate: 1.0e-3
  bf16: false
  use_cpu: true
  gradient_checkpointing: false
  save_steps: 4
  save_total_limit: null
"""


MARS_DAPO = RECIPE + "method: {name: mars, base: {name: dapo, max_generation_batches: 2, overlong_buffer: null}}\n"
GUESTS = (
    RECIPE.replace("max_completion_length: 14", "max_completion_length: 24")
    + """
method: {name: ekipl, base: {name: mars}, statistics: all, ratio: shaped, ties: random}
guests: {from: [{model: tiny-guest, n: 2, max_tokens: 24, device: cpu}, {oracle: 0.7}], seed: 3}
"""
)


def command(recipe, name, *more):
    return [sys.executable, "-m", "vantage", "train", str(recipe), "--name", name, *more]


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def timeless(rows):
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("told", [MARS_DAPO, GUESTS], ids=["mars-dapo", "guests"])
def test_kill_and_resume_equals_an_uninterrupted_run(told, tmp_path):
    from vantage import tiny

    recipe = tmp_path / "r.yaml"
    recipe.write_text(told % tiny.path())
    whole = subprocess.run(command(recipe, "whole"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert whole.returncode == 0, whole.stderr[-3000:]

    killed = tmp_path / "runs" / "killed"
    process = subprocess.Popen(
        command(recipe, "killed"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        rows = killed / "metrics.jsonl"
        # Past the first checkpoint, so that there is something to take back.
        if last_complete(killed / "checkpoints") and rows.exists() and len(rows.read_text().splitlines()) >= 5:
            break
        time.sleep(0.02)
    assert process.poll() is None, process.stderr.read().decode()[-3000:]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "summary.json").exists()

    resumed = subprocess.run(
        command(recipe, "killed", "--resume"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    expected = tmp_path / "runs" / "whole"
    weights, twins = (
        load_file(expected / "model" / "model.safetensors"),
        load_file(killed / "model" / "model.safetensors"),
    )
    assert weights.keys() == twins.keys()
    assert all(weights[name].equal(twins[name]) for name in weights)
    assert [row["step"] for row in read(killed / "metrics.jsonl")] == list(range(1, 9))
    assert timeless(read(killed / "metrics.jsonl")) == timeless(read(expected / "metrics.jsonl"))
    assert read(killed / "rollouts.jsonl") == read(expected / "rollouts.jsonl")
    moved = load_file(tiny.path() / "model.safetensors")
    assert any(not moved[name].equal(weights[name]) for name in moved), "nothing was learned"
    first, second = (
        {g["id"] for g in read(killed / "rollouts.jsonl") if g["step"] in steps} for steps in ((1, 3), (5, 7))
    )
    assert first & second, "the second epoch asks questions of the first again"
    again = subprocess.run(command(recipe, "whole"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    other = subprocess.run(
        command(recipe, "whole", "--resume", "--set", "trainer.learning_rate=0.1"),
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert other.returncode == 1
    assert "trainer.learning_rate: 0.001, now 0.1" in other.stderr


def test_a_reward_that_fails_costs_its_step_and_no_other(tmp_path, tiny_folder, night, config, monkeypatch):
    """The state before the step is saved; resumed from it, the run ends where one without a failure ends."""

    class Flaky(Reward):
        name, low, high = "flaky", 0.0, 1.0
        fails_at = calls = 0

        def score(self, completion, sample):
            raise AssertionError("a batch is scored at once")

        def score_many(self, completions, samples):
            self.calls += 1
            if self.calls == self.fails_at:
                raise EngineError("the reasoner is gone")
            return [Score(float(len(text) % 3) / 2) for text in completions]

    flaky = Flaky()
    monkeypatch.setattr(registry, "_loaded", {**registry._loaded, "flaky": flaky})
    rows = [replace(night[i], reward="flaky") for i in range(16)]

    def trainer(folder):
        torch.manual_seed(0)
        args = config(output_dir=str(tmp_path / folder), max_steps=5, save_strategy="steps", save_steps=100, seed=1)
        return VantageTrainer(str(tiny_folder), Grpo(), args, train_dataset=rows, parity="skip")

    whole = trainer("whole")
    whole.train()
    flaky.calls, flaky.fails_at = 0, 4
    with pytest.raises(EngineError, match="the reasoner is gone") as caught:
        trainer("failed").train()
    assert f"the state after step 3 is saved in {tmp_path / 'failed' / 'checkpoint-3'}" in caught.value.__notes__[0]
    resumed = trainer("failed")
    resumed.train(resume_from_checkpoint=str(last_complete(tmp_path / "failed")))
    assert resumed.state.global_step == 5
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_a_checkpoint_cut_short_is_passed_over(tmp_path):
    for step, state in ((5, '{"global_step": 5}'), (10, '{"global_st'), (20, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state:
            (folder / "trainer_state.json").write_text(state)
    assert last_complete(tmp_path) == tmp_path / "checkpoint-5"
    assert last_complete(tmp_path / "nowhere") is None


def test_a_resumed_log_drops_what_will_be_written_again_and_a_torn_line(tmp_path):
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "rew')
    assert trim(log, 2) == 2
    assert read(log) == [{"step": 1}, {"step": 2}]
    assert trim(tmp_path / "none.jsonl", 2) == 0

"""Two processes that share a batch make the advantages that one makes alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vantage.engines.trl.checkpoints import complete
from vantage.models import load_model

SCRIPT = Path(__file__).with_name("two_processes.py")


def start(processes, out, folder, method):
    # `accelerate launch --cpu --num_processes 2` starts one process only where there is no MPI, and says nothing.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    if processes == 1:
        command = [sys.executable]
    command += [str(SCRIPT), str(folder), str(out), method]
    for left in out.glob("process-*"):
        left.unlink()
    env = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list(out.glob("process-*"))) == processes


def launch(processes, out, folder, method):
    start(processes, out, folder, method)
    groups = [json.loads(line) for line in (out / "rollouts.jsonl").read_text().splitlines()]
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return groups, metrics, load_model(out / "model", dtype="float32")


def weights(model):
    return torch.cat([parameter.detach().flatten() for _, parameter in sorted(model.named_parameters())])


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("method", ["mars-shuffled-batch", "dapo", "mixed-sources", "guests", "placed"])
def test_two_processes_agree_with_one(method, tmp_path, tiny_folder):
    alone, metrics_alone, model_alone = launch(1, tmp_path / "one", tiny_folder, method)
    both, metrics_both, model_both = launch(2, tmp_path / "two", tiny_folder, method)
    assert len(alone) >= 8
    if method == "dapo":
        # Refills are the same questions; two processes, each with a share to fill, may need more of them.
        alone = [g for g in alone if g["step"] == 1]
        known = {g["id"]: g for g in both if g["step"] == 1}
        assert {g["id"] for g in alone} <= set(known)
        both = [known[g["id"]] for g in alone]
    assert [g["id"] for g in both] == [g["id"] for g in alone]
    assert any(m["advantage"] for g in alone for m in g["members"])
    for one, two in zip(alone, both, strict=True):
        assert [m["text"] for m in two["members"]] == [m["text"] for m in one["members"]]
        expected = [m["advantage"] for m in one["members"]]
        assert [m["advantage"] for m in two["members"]] == pytest.approx(expected, abs=1e-6)
    if method == "dapo":
        assert [m["step"] for m in metrics_both] == [m["step"] for m in metrics_alone]
        return
    for one, two in zip(metrics_alone, metrics_both, strict=True):
        for key in ("reward", "accuracy", "gain", "groups/silent", "groups/revived_wrong"):
            assert two[key] == pytest.approx(one[key], abs=1e-5), key
        for key in (key for key in one if key.startswith(("guests/", "off_policy/", "anchors/"))):
            assert two[key] == pytest.approx(one[key], abs=1e-5), key
    if method == "guests":
        assert all(0 < row["guests/kept"] < row["guests/pool"] + 0.5 for row in metrics_alone)
        assert any(row["guests/missing/failed"] > 0 for row in metrics_alone)
    if method == "placed":
        missing = [row["anchors/missing/long"] for row in metrics_alone]
        assert max(missing) > 0 and min(missing) < 1, "some gold answers fit, others do not"
    # Sums in another order: a gradient that is next to zero moves its weight by another part of a step.
    before, one, two = map(weights, (load_model(tiny_folder, dtype="float32"), model_alone, model_both))
    assert (two - one).norm() < 1e-3 * (one - before).norm()
    assert (two - one).abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.distributed
def test_a_process_whose_reasoner_is_gone_stops_the_others_and_nothing_is_lost(tmp_path, tiny_folder):
    """Both raise instead of waiting, the state before the step is saved, and a resumed run ends as a whole one."""
    groups, metrics, whole = launch(2, tmp_path / "whole", tiny_folder, "captions")
    out = tmp_path / "stopped"
    out.mkdir()
    (out / "down").touch()
    start(2, out, tiny_folder, "captions")
    told, failed = (json.loads((out / f"failed-{number}.json").read_text()) for number in range(2))
    assert failed[0] == "EndpointError" and "more than max_failed=0.2 allows" in failed[1]
    assert "nobody answers" in failed[1]
    assert told[0] == "EngineError" and told[1].startswith("stopped with process 1 of 2, which failed: EndpointError: ")
    checkpoint = out / "checkpoints" / "checkpoint-2"
    assert told[2] == failed[2] == f"the state after step 2 is saved in {checkpoint}; resume from there"
    assert complete(checkpoint, processes=2)
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2

    (out / "down").unlink()
    again, metrics_again, resumed = launch(2, out, tiny_folder, "captions")
    assert len(metrics) == len(metrics_again) == 4
    assert any(member["advantage"] for group in groups[2 * len(groups) // 4 :] for member in group["members"])
    assert [(g["step"], g["id"]) for g in again] == [(g["step"], g["id"]) for g in groups]
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.slow
@pytest.mark.distributed
def test_processes_that_speak_for_unlike_times_and_see_unlike_many_pictures_take_one_step(tmp_path, tiny_folder):
    """Rollouts behind shared prompts ask nothing of other processes, so none waits for a step that another skips."""
    out = tmp_path / "uneven"
    _, metrics, _ = launch(2, out, tiny_folder, "uneven")
    assert len(metrics) == 2
    turns = [
        [json.loads(line) for line in (out / "checkpoints" / f"turns-{number}").read_text().splitlines()]
        for number in range(2)
    ]
    assert len(turns[0]) == len(turns[1]) > 2, "the parity check and two steps"
    assert all(short[0] == 1 and long[0] > 1 for short, long in zip(*turns, strict=True))
    assert any(one[1] != two[1] for one, two in zip(*turns, strict=True))
    assert all(together for side in turns for *_, together in side)
    one, two = (torch.load(out / f"weights-{number}", weights_only=True) for number in range(2))
    assert all(torch.equal(value, two[name]) for name, value in one.items())

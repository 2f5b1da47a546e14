"""Two processes that share a batch make the advantages that one makes alone."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vantage.models import load_model

SCRIPT = Path(__file__).with_name("two_processes.py")


def launch(processes, out, folder, method):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", str(processes),
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(port),
        str(SCRIPT), str(folder), str(out), method,
    ]  # fmt: skip
    if processes == 1:
        command = [sys.executable, str(SCRIPT), str(folder), str(out), method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    groups = [json.loads(line) for line in (out / "rollouts.jsonl").read_text().splitlines()]
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return groups, metrics, load_model(out / "model", dtype="float32")


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("method", ["mars-shuffled-batch", "dapo", "mixed-sources"])
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
    twins = dict(model_both.named_parameters())
    for name, parameter in model_alone.named_parameters():
        assert (twins[name] - parameter).abs().max() < 1e-5, name

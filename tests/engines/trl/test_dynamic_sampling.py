"""Dynamic sampling: groups without signal are replaced; where too few have any, the step trains on what there is."""

import json

import pytest
import torch

from vantage.engines.trl import VantageTrainer
from vantage.methods import Dapo, Mars

G, P = 4, 4


def train(tiny_folder, samples, config, cls, tmp_path, method, log="rollouts.jsonl", **args):
    trainer = cls(
        str(tiny_folder),
        method,
        config(**{"per_device_train_batch_size": P * G, "num_generations": G, "max_steps": 1, **args}),
        train_dataset=samples,
        rollout_log=tmp_path / log,
        parity="skip",
    )
    batches = []
    original = trainer._compute_loss
    trainer._compute_loss = lambda model, inputs: batches.append(inputs) or original(model, inputs)
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    trainer.train()
    moved = any(not torch.equal(before[n], p) for n, p in trainer.model.named_parameters())
    groups = [json.loads(line) for line in (tmp_path / log).read_text().splitlines()]
    log = next(entry for entry in trainer.state.log_history if "reward" in entry)
    return batches, groups, log, moved


def heard(group):
    return any(m["advantage"] for m in group["members"])


@pytest.mark.parametrize("method", [Dapo(max_generation_batches=8), Mars(base=Dapo(max_generation_batches=8))])
def test_silent_groups_are_replaced_by_fresh_ones(method, tiny_folder, night, config, scripted, tmp_path):
    batches, groups, log, moved = train(tiny_folder, night, config, scripted(VantageTrainer), tmp_path, method)
    assert log["dynamic/batches"] > 1
    assert log["dynamic/filled"] == 1
    assert len(groups) == log["dynamic/batches"] * P
    trained = [g for g in groups if any(m["trained"] for m in g["members"])]
    assert len(trained) == P
    assert all(heard(g) for g in trained)
    assert trained == [g for g in groups if heard(g)][:P], "the first groups with signal are taken, in order"
    first, later = {g["id"] for g in groups[:P]}, {g["id"] for g in groups[P:]}
    assert not first & later, "a refill asks new questions"
    (batch,) = batches
    assert "tool_mask" not in batch
    assert (batch["advantages"].view(P, G).abs().sum() > 0).all()
    assert moved


def test_the_step_trains_on_what_there_is_and_says_so(tiny_folder, night, config, scripted, tmp_path, caplog):
    script = scripted(VantageTrainer, answers=("1", "yes", "9", "8"), seed=1)
    batches, groups, log, moved = train(tiny_folder, night, config, script, tmp_path, Dapo(max_generation_batches=2))
    have = sum(heard(g) for g in groups)
    assert 0 < have < P, "the script should leave too few groups with signal"
    assert log["dynamic/filled"] == pytest.approx(have / P)
    assert f"{have} of {P} groups have signal after 2 batches" in caplog.text
    (batch,) = batches
    weight = (batch["completion_mask"] * batch["tool_mask"]).sum(1)
    rows_without_loss = (weight == 0).sum().item()
    assert rows_without_loss == (P - have) * G
    assert batch["num_items_in_batch"].item() == weight.sum().item(), "fillers count in no mean"
    assert torch.all(batch["advantages"][weight == 0] == 0)
    assert moved


def test_without_any_signal_the_weights_stay(tiny_folder, night, config, scripted, tmp_path):
    script = scripted(VantageTrainer, answers=("9",))
    _, groups, log, moved = train(tiny_folder, night, config, script, tmp_path, Dapo(max_generation_batches=2))
    assert not any(heard(g) for g in groups)
    assert log["dynamic/filled"] == 0
    assert log["groups/silent"] == 1
    assert not moved


def test_refills_are_a_function_of_the_step(tiny_folder, night, config, scripted, tmp_path):
    runs = [
        train(tiny_folder, night, config, scripted(VantageTrainer), tmp_path, Dapo(), log=name)[1]
        for name in ("a.jsonl", "b.jsonl")
    ]
    assert runs[0] == runs[1]


def test_a_data_set_smaller_than_a_refill_is_asked_again(tiny_folder, night, config, scripted, tmp_path):
    script = scripted(VantageTrainer, answers=("9",))
    samples = [night[i] for i in range(P)]
    _, groups, _, _ = train(tiny_folder, samples, config, script, tmp_path, Dapo(max_generation_batches=3))
    assert len(groups) == 3 * P

"""Where the update shares prompts, and where it says that it does not."""

import pytest
import torch
from peft import LoHaConfig, LoraConfig, PromptTuningConfig

from vantage.engines.trl import VantageTrainer
from vantage.engines.trl.shared import _chunks, shuffled
from vantage.errors import ConfigError
from vantage.methods import Grpo, Mars
from vantage.models import load_model, load_processor


@pytest.fixture
def made(tiny_folder, night, config, scripted):
    def make(method=None, sharing="fast", peft_config=None, **settings):
        torch.manual_seed(0)
        return scripted(VantageTrainer)(
            load_model(tiny_folder, dtype="float32"),
            method or Grpo(),
            config(**settings),
            train_dataset=[night[i] for i in range(8)],
            processing_class=load_processor(tiny_folder),
            sharing=sharing,
            peft_config=peft_config,
        )

    return make


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


@pytest.mark.parametrize(
    "settings",
    [
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},  # half a group at a time
        {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1},
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8},  # nothing to share
    ],
    ids=str,
)
@pytest.mark.parametrize("method", [Grpo(), Mars()], ids=lambda method: method.name)
def test_a_step_is_the_same_however_groups_fall_into_micro_batches(method, settings, made):
    plain, shared = made(method, "off", **settings), made(method, "fast", **settings)
    start = weights(plain)
    plain.train()
    shared.train()
    assert (weights(plain) - start).norm() > 0
    assert (weights(shared) - weights(plain)).norm() < 1e-3 * (weights(plain) - start).norm()


def test_rows_of_a_group_stay_together_and_groups_are_shuffled():
    prompts = [prompt for prompt in "abcdefgh" for _ in range(3)]
    torch.manual_seed(1)
    batch = shuffled({"row": torch.arange(24), "prompt": prompts, "named": list(range(24)), "none": None})
    assert batch["row"].tolist() == batch["named"] and batch["none"] is None
    assert [prompts[row] for row in batch["row"]] == batch["prompt"] != prompts
    assert all(batch["prompt"][i] == batch["prompt"][i - i % 3] for i in range(24))
    assert sorted(batch["row"].tolist()) == list(range(24))


def test_every_row_is_in_one_chunk_of_equally_large_groups():
    groups = torch.tensor([4, 1, 4, 2, 1, 4, 2, 3])
    chunks = list(_chunks(groups, size=4))
    assert sorted(torch.cat([chunk.flatten() for chunk in chunks]).tolist()) == list(range(8))
    for chunk in chunks:
        assert all(len(set(groups[line].tolist())) == 1 for line in chunk) and chunk.numel() <= 4
    assert [tuple(chunk.shape) for chunk in chunks] == [(1, 3), (2, 2), (1, 1)]


def test_a_reason_against_it_is_told_or_an_error(made):
    lora = LoraConfig(r=2, lora_dropout=0.1, target_modules=["q_proj"])
    with pytest.raises(ConfigError, match=r"sharing is 'fast', but dropout in .*lora_dropout.* would be drawn once"):
        made(peft_config=lora)
    assert not made(sharing="auto", peft_config=lora).shares
    assert made(sharing="auto").shares
    assert not made(sharing="off").shares


@pytest.mark.parametrize(
    ("adapter", "why"),
    [
        (LoHaConfig(r=2, rank_dropout=0.5, target_modules=["q_proj"]), "rank_dropout would be drawn once"),
        (PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2), "writes tokens of its own before the prompt"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_adapters_with_which_nothing_is_shared(adapter, why, made):
    trainer = made(sharing="auto", peft_config=adapter)
    assert not trainer.shares and why in trainer.not_shared[0]


def test_dropout_that_the_trainer_turns_off_is_none(made):
    lora = LoraConfig(r=2, lora_dropout=0.1, target_modules=["q_proj"])
    assert made(sharing="auto", peft_config=lora, disable_dropout=True).shares

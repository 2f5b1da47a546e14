"""With GRPO, and DAPO that refills nothing, the engine takes the very step of the stock trainer fed alike."""

import pytest
import torch
from peft import LoraConfig
from trl import GRPOTrainer
from trl.trainer.utils import split_pixel_values_by_grid, split_tensor_dict, unsplit_pixel_values_by_grid

from datasets import Dataset
from vantage import rewards
from vantage.engines.trl import VantageTrainer
from vantage.engines.trl.rollout import completion_text
from vantage.engines.trl.shared import shuffled
from vantage.methods import Dapo, Grpo
from vantage.models import load_model, load_processor

SETTINGS = {
    "one update a generation": {},
    "two updates a generation, twice": {"steps_per_generation": 2, "num_iterations": 2, "max_steps": 4},
    "accumulated": {"gradient_accumulation_steps": 2},
    "loss averaged over completions, with KL": {"loss_type": "grpo", "beta": 0.04},
    "dr grpo": {"loss_type": "dr_grpo", "scale_rewards": "none"},
    "batch std, checkpointed": {"scale_rewards": "batch", "gradient_checkpointing": True},
    "dapo, checkpointed again from within": {
        "loss_type": "dapo", "epsilon_high": 0.28, "max_steps": 3, "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": True},
    },
    "an adapter": {"loss_type": "grpo", "max_steps": 3, "learning_rate": 1e-2},
}  # fmt: skip
ADAPTER = {"r": 4, "target_modules": ["q_proj", "v_proj", "fc1"], "init_lora_weights": False}


def weights(trainer):
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def history(trainer):
    keys = ("loss", "grad_norm", "entropy", "reward", "kl")
    return [{k: float(log[k]) for k in keys if k in log} for log in trainer.state.log_history if "loss" in log]


class ShufflesGroups(GRPOTrainer):
    """Stock, but that rows of a group stay together, so that a step holds the same rows on both sides."""

    def _prepare_inputs(self, batch):
        if self._step % (self.args.steps_per_generation * self.num_iterations) == 0:
            made = split_pixel_values_by_grid(self._generate_and_score_completions(batch))
            groups = [object() for _ in range(len(made["prompt_ids"]) // self.num_generations)]
            made["prompt"] = [group for group in groups for _ in range(self.num_generations)]
            parts = split_tensor_dict(shuffled(made), self.args.steps_per_generation)
            self._buffered_inputs = [unsplit_pixel_values_by_grid(part) for part in parts]
        return self._buffered_inputs[self._step % self.args.steps_per_generation]


@pytest.mark.parametrize("sharing", ["off", "fast", pytest.param("portable", marks=pytest.mark.slow)])
@pytest.mark.parametrize("named", SETTINGS)
def test_a_method_takes_the_stock_trainers_step(named, sharing, tiny_folder, night, config, scripted):
    settings, lora = SETTINGS[named], LoraConfig(**ADAPTER) if named == "an adapter" else None
    samples = [night[i] for i in range(8)]
    stock_rows = Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": s.question}],
                "images": [source.load() for source in s.sources.values()],
                "index": i,
            }
            for i, s in enumerate(samples)
        ]
    )

    def reward(completions, index, **_):
        texts = [completion_text(c) for c in completions]
        return [rewards.call(samples[i].reward, t, samples[i]).reward for t, i in zip(texts, index, strict=True)]

    def model():
        torch.manual_seed(0)
        return load_model(tiny_folder, dtype="float32")

    processor = load_processor(tiny_folder)
    stock = scripted(GRPOTrainer if sharing == "off" else ShufflesGroups)(
        model(), reward, config(**settings), train_dataset=stock_rows, processing_class=processor, peft_config=lora
    )
    first = weights(stock)
    stock.train()
    method = Grpo(scale=settings.get("scale_rewards", "group"))
    if named.startswith("dapo"):
        method = Dapo(max_generation_batches=1, overlong_buffer=None)
    ours = scripted(VantageTrainer)(
        model(), method, config(**settings), train_dataset=samples, processing_class=processor, sharing=sharing,
        peft_config=lora,
    )  # fmt: skip
    assert ours.shares == (sharing != "off")
    start = weights(ours)
    if lora is not None:
        assert all(torch.equal(start[name], value) for name, value in first.items())
    ours.train()

    expected, found = weights(stock), weights(ours)
    assert any(not torch.equal(start[name], expected[name]) for name in expected), "the stock trainer learned nothing"
    if sharing == "off":
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-7, msg=name)
    else:
        # Adam makes a step of a gradient that is next to zero, whatever its sign by rounding.
        moved = torch.cat([(expected[name] - start[name]).flatten() for name in expected])
        apart = torch.cat([(expected[name] - found[name]).flatten() for name in expected])
        assert apart.norm() < 1e-3 * moved.norm()
    assert len(history(ours)) == len(history(stock))
    for mine, theirs in zip(history(ours), history(stock), strict=True):
        assert {k: mine[k] for k in theirs} == pytest.approx(theirs, abs=1e-5)

"""What the trainer asks of TRL's vLLM backend, on a stand-in: vLLM itself needs a GPU."""

from types import SimpleNamespace

import pytest
from PIL import Image

from vantage.engines.trl import VantageTrainer
from vantage.methods import Mars, MarsTransfer
from vantage.models import load_processor, placeholder_ids


@pytest.fixture
def trainer(tiny_folder, night, config):
    t = VantageTrainer(str(tiny_folder), Mars(), config(), train_dataset=night, parity="skip")
    t.use_vllm = True
    t.vllm_generation = SimpleNamespace(temperature=0.7, generation_kwargs={"logit_bias": {7: 1.0}, "seed": 3})
    return t


def test_anchors_are_decoded_at_temperature_zero_and_fused_rollouts_are_not(trainer):
    with trainer.speaking.decoding(greedy=True):
        assert trainer.vllm_generation.temperature == 0
    assert trainer.vllm_generation.temperature == 0.7
    with trainer.speaking.decoding(greedy=False):
        assert trainer.vllm_generation.temperature == 0.7
    with pytest.raises(RuntimeError), trainer.speaking.decoding(greedy=True):
        raise RuntimeError
    assert trainer.vllm_generation.temperature == 0.7


def test_placeholders_are_banned_beside_what_the_user_set(trainer):
    trainer.speaking.ban_placeholders()
    banned = placeholder_ids(trainer.model.config, trainer._tokenizer)
    bias = trainer.vllm_generation.generation_kwargs["logit_bias"]
    assert bias == {7: 1.0, **dict.fromkeys(banned, -100.0)}
    assert trainer.vllm_generation.generation_kwargs["seed"] == 3


def test_pictures_are_handed_over_in_the_size_that_the_update_sees(trainer, tmp_path):
    from tiny_qwen import build_tiny_qwen

    picture = Image.new("RGB", (1280, 1024))
    assert trainer.speaking.shown(picture) is picture, "a processor of one fixed size resizes on both sides alike"
    trainer.processing_class = load_processor(build_tiny_qwen(tmp_path, "qwen2_5_vl"))
    assert trainer.speaking.shown(picture).size == (1288, 1036)
    trainer.use_vllm = False
    assert trainer.speaking.shown(picture) is picture


@pytest.mark.parametrize("placed", ["anchor", "truth", "relabelled"])
def test_what_is_placed_is_as_long_as_its_log_probs(placed, tiny_folder, night, config, scripted):
    """The stock trainer subtracts the engine's log-probs from the model's own, token by token."""

    class Engine(scripted(VantageTrainer)):
        """Says of every token that its probability was e^-1."""

        def _generate_single_turn(self, *args, **kwargs):
            ids, _ = super()._generate_single_turn(*args, **kwargs)
            return ids, [[-1.0] * len(row) for row in ids]

    samples = [sample for sample in (night[i] for i in range(24)) if sample.metadata["task"] != "locate"][:8]
    settings = {"max_completion_length": 20, "num_generations": 6, "per_device_train_batch_size": 48, "max_steps": 1}
    trainer = Engine(
        str(tiny_folder), MarsTransfer(placed=placed), config(**settings), train_dataset=samples, parity="skip"
    )
    trainer.use_vllm = True
    trainer.vllm_generation = SimpleNamespace(temperature=1.0, sync_weights=lambda: None)
    trainer.train()
    batch = trainer._buffered_inputs[0]
    assert batch["sampling_per_token_logps"].shape == batch["completion_ids"].shape
    live, off = batch["completion_mask"].bool(), batch["off_policy"]
    assert off.any() and batch["sampling_per_token_logps"][off][live[off]].isnan().all()
    assert (batch["sampling_per_token_logps"][~off][live[~off]] == -1).all()
    assert (batch["importance_sampling_ratio"][off] == 1).all()

"""A random tiny model and completions that are a function of the prompt, so that two trainers can be fed the same."""

import hashlib
import random
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from trl import GRPOConfig

from vantage import worlds
from vantage.samples import PromptStyle
from vantage.tiny.architecture import build_model, build_processor

STYLE = PromptStyle()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """An untrained tiny model on disk."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    build_model().save_pretrained(folder)
    build_processor().save_pretrained(folder)
    return folder


@pytest.fixture
def night():
    return worlds.get("night").dataset("train", n=64)


@pytest.fixture
def config(tmp_path):
    """GRPOConfig for a CPU, quiet, with overrides."""

    def make(**kwargs):
        defaults = {
            "output_dir": str(tmp_path / "out"),
            "per_device_train_batch_size": 8,
            "num_generations": 4,
            "max_completion_length": 12,
            "max_steps": 2,
            "learning_rate": 1e-3,
            "lr_scheduler_type": "constant",
            "report_to": "none",
            "logging_steps": 1,
            "save_strategy": "no",
            "bf16": False,
            "use_cpu": True,
            "gradient_checkpointing": False,
            "disable_tqdm": True,
            "top_k": 0,
        }
        return GRPOConfig(**{**defaults, **kwargs})

    return make


def spoken(prompt_ids, tokenizer, images=None, answers=("0", "1", "2", "3", "yes", "no"), seed=0):
    """Completions that depend on the prompt and on how often it came before, some of them well formed."""
    seen: dict[tuple, int] = {}
    out = []
    for index, ids in enumerate(prompt_ids):
        shown = b"".join(picture.tobytes() for picture in images[index]) if images else b""
        key = (*ids, hashlib.sha256(shown).hexdigest())
        seen[key] = seen.get(key, 0) + 1
        rng = random.Random(hashlib.sha256(repr((seed, key, seen[key])).encode()).hexdigest())
        text = f"<think> A1 </think> <answer> {rng.choice(answers)} </answer>"
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"][: rng.randint(4, 12)]
        out.append([*tokens, tokenizer.eos_token_id])
    return out


@pytest.fixture
def scripted():
    """Let a trainer class speak from the script instead of sampling; what it was asked for is kept."""

    def make(base, **kwargs):
        class Scripted(base):
            asked: ClassVar[list] = []

            def _generate_single_turn(self, prompt_ids, images, fields, num_generations, **_):
                self.asked.append(SimpleNamespace(prompt_ids=prompt_ids, images=images, times=num_generations))
                return spoken(prompt_ids, self._tokenizer, images, **kwargs), None

        return Scripted

    return make

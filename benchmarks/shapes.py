"""What the benchmarks of prompt sharing compute: a model with random weights, a prompt with pictures, completions."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

PAD, END, OPEN, CLOSE, PICTURE, VIDEO, WORD = 256, 258, 259, 260, 262, 263, 264
"""Control tokens, as the tokenizer of ``train_step.py`` numbers them, and the first of all others."""
BANNED = (PAD, END, OPEN, CLOSE, PICTURE, VIDEO)
"""Never said: a model with random weights would say pictures that are not there, and end at random."""
PICTURES = 2
SHORTEST = 32
"""Tokens that a prompt has at least."""

_TEXT: dict[str, dict[str, Any]] = {
    "mini": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 512, "tie_word_embeddings": False,
    },
    "10m": {
        "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 8192, "tie_word_embeddings": False,
    },
    "3b": {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
}  # fmt: skip
_VISION: dict[str, dict[str, Any]] = {
    "mini": {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "fullatt_block_indexes": [1]},
    "10m": {"depth": 4, "hidden_size": 128, "num_heads": 2, "intermediate_size": 256, "fullatt_block_indexes": [3]},
    "3b": {
        "depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
}  # fmt: skip
MODELS = tuple(_TEXT)
"""Of the shape of Qwen2.5-VL: for tests, of ten million parameters, and of the size of Qwen2.5-VL-3B."""


@dataclass(frozen=True)
class Shape:
    """A group: a prompt of so many tokens, and so many completions of so many tokens."""

    prompt: int
    completion: int
    group: int

    def __post_init__(self) -> None:
        if self.prompt < SHORTEST or self.completion < 1 or self.group < 1:
            raise ValueError(f"a prompt has at least {SHORTEST} tokens, a group at least 1 completion of 1, not {self}")

    @property
    def tokens(self) -> dict[str, int]:
        """That go through the model, prompt repeated and shared."""
        return {
            "stock": self.group * (self.prompt + self.completion),
            "shared": self.prompt + self.group * self.completion,
        }

    @property
    def theory(self) -> float:
        """G (P + C) / (P + G C)."""
        return self.tokens["stock"] / self.tokens["shared"]


@dataclass(frozen=True)
class Setup:
    """What all sides of a benchmark share."""

    shape: Shape
    model: str = "10m"
    device: str = "cpu"
    dtype: str = "float32"
    checkpointing: bool = False
    frozen_vision: bool = False
    threads: int = 1

    def arguments(self) -> list[str]:
        """As a command line says it."""
        shape = [f"--{name}={getattr(self.shape, name)}" for name in ("prompt", "completion", "group")]
        named = [f"--{name}={getattr(self, name)}" for name in ("model", "device", "dtype", "threads")]
        flags = {"--checkpointing": self.checkpointing, "--frozen-vision": self.frozen_vision}
        return [*shape, *named, *(flag for flag, given in flags.items() if given)]

    def described(self) -> dict[str, Any]:
        """For the report."""
        return {
            "model": self.model, "device": self.device, "dtype": self.dtype, "checkpointing": self.checkpointing,
            "frozen_vision": self.frozen_vision, "prompt": self.shape.prompt, "completion": self.shape.completion,
            "group": self.shape.group, "pictures": PICTURES, "tokens": self.shape.tokens, "theory": self.shape.theory,
        }  # fmt: skip


def model_options(parser: argparse.ArgumentParser, *more: str) -> None:
    """Options that say of which model, and where; the first of ``more`` is the default, where there are more."""
    models = (*more, *MODELS)
    default = more[0] if more else "10m"
    parser.add_argument("--model", choices=models, default=default, help="Qwen2.5-VL in shape, weights at random")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of weights")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")


def training_options(parser: argparse.ArgumentParser) -> None:
    """Options that say how the model learns."""
    parser.add_argument("--checkpointing", action="store_true", help="compute activations again in the backward pass")
    parser.add_argument("--frozen-vision", action="store_true", help="do not train the vision tower; TRL trains it")


def shape_options(parser: argparse.ArgumentParser) -> None:
    """Options that say of which shape."""
    parser.add_argument("--prompt", type=int, default=512, help="P, tokens of the prompt, pictures included")
    parser.add_argument("--completion", type=int, default=64, help="C, tokens of a completion")
    parser.add_argument("--group", type=int, default=8, help="G, completions of the prompt")


def chosen(given: argparse.Namespace, shape: Shape | None = None) -> Setup:
    """The setup that a command line asks for."""
    named = {field.name: getattr(given, field.name) for field in fields(Setup) if hasattr(given, field.name)}
    return Setup(shape or Shape(given.prompt, given.completion, given.group), **named)


def build(setup: Setup) -> PreTrainedModel:
    """The model, with the same weights in every process."""
    torch.manual_seed(0)
    text, vision = _TEXT[setup.model], _VISION[setup.model]
    half = text["hidden_size"] // text["num_attention_heads"] // 2
    # Time, height and width share out the frequencies as in Qwen2.5-VL: 16, 24 and 24 of 64.
    sections = [half // 4, half * 3 // 8, half - half // 4 - half * 3 // 8]
    config = Qwen2_5_VLConfig(
        text_config={
            **text, "max_position_embeddings": 32768, "pad_token_id": PAD, "eos_token_id": END, "bos_token_id": None,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections},
        },
        vision_config={**vision, "out_hidden_size": text["hidden_size"], "patch_size": 14, "window_size": 112},
        image_token_id=PICTURE, video_token_id=VIDEO, vision_start_token_id=OPEN, vision_end_token_id=CLOSE,
        tie_word_embeddings=text["tie_word_embeddings"],
    )  # fmt: skip
    with torch.device(setup.device):
        model = Qwen2_5_VLForConditionalGeneration._from_config(
            config, attn_implementation="sdpa", dtype=getattr(torch, setup.dtype)
        )
    model.generation_config.update(eos_token_id=END, pad_token_id=PAD)
    if setup.frozen_vision:
        model.model.visual.requires_grad_(False)
    if setup.checkpointing:
        model.gradient_checkpointing_enable()
    return model.train()


def prompt(shape: Shape, model: PreTrainedModel, seed: int = 0) -> dict[str, Tensor]:
    """One prompt as a processor makes it: words, two pictures that take four fifths of the tokens, words."""
    chance = torch.Generator().manual_seed(seed)
    vision = model.config.vision_config
    room = int(0.4 * shape.prompt)
    high = math.isqrt(room)
    wide, merge = room // high, vision.spatial_merge_size
    sized = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    picture = torch.tensor([OPEN, *[PICTURE] * (high * wide), CLOSE])
    words = words_of(model, shape.prompt - PICTURES * len(picture), chance)
    first, last = words.split([2, len(words) - 2])
    ids = torch.cat([first, *[picture] * PICTURES, last])[None]
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == PICTURE).int(),
        "pixel_values": torch.randn(PICTURES * high * wide * merge**2, sized, generator=chance).to(model.dtype),
        "image_grid_thw": torch.tensor([[1, high * merge, wide * merge]] * PICTURES),
    }
    return {name: value.to(model.device) for name, value in batch.items()}


def completions(shape: Shape, model: PreTrainedModel, seed: int = 1) -> Tensor:
    """Tokens of the group's completions, (G, C)."""
    chance = torch.Generator().manual_seed(seed)
    return words_of(model, shape.group * shape.completion, chance).view(shape.group, -1).to(model.device)


def words_of(model: PreTrainedModel, count: int, chance: torch.Generator) -> Tensor:
    """Tokens that are no control tokens."""
    return torch.randint(WORD, model.config.get_text_config().vocab_size, (count,), generator=chance)


def repeated(prompts: dict[str, Tensor], group: int) -> dict[str, Tensor]:
    """The prompt and its pictures once for each completion, as stock trainers have it."""
    return {name: value.repeat(group, *[1] * (value.ndim - 1)) for name, value in prompts.items()}

"""Tiny random models of real families, saved to a folder, for tests of what depends on the family.

    folder = build_tiny_qwen(tmp_path / "model", family="qwen2_5_vl")

Everything that decides a prompt's length is the family's own: patch size, merge size, the limits on pixels, the chat
markup and the placeholder tokens. A 1280x1024 picture is 1702 tokens for Qwen2.5-VL and 1280 for Qwen3-VL. Only widths
and depths are small (under 0.2 M parameters). The tokenizer has one token per byte, so that any text can be written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from vantage.models import image_only_processor

Family = Literal["qwen2_5_vl", "qwen3_vl"]

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]

CHAT_TEMPLATE = """\
{%- for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}
{%- if message.content is string %}{{ message.content }}
{%- else %}{%- for item in message.content %}
{%- if item.type == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- else %}{{ item.text }}{%- endif %}{%- endfor %}{%- endif %}{{ '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}"""


def build_tiny_qwen(folder: Path, family: Family = "qwen2_5_vl", *, seed: int = 0, window: int = 8192) -> Path:
    """Save a model, its tokenizer and its image-only processor; returns the folder.

    Args:
        folder: where; made if missing.
        family: whose architecture and picture arithmetic.
        seed: of the random weights.
        window: ``max_position_embeddings``.
    """
    tokenizer = byte_tokenizer()
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": window,
        # The three sections share out head_dim / 2 = 4 frequencies.
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1]},
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    shared: dict[str, Any] = {
        "text_config": text,
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "tie_word_embeddings": True,
    }
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
    torch.manual_seed(seed)
    if family == "qwen2_5_vl":
        vision |= {"patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1]}
        model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(vision_config=vision, **shared))
        limits = {"patch_size": 14, "min_pixels": 56 * 56, "max_pixels": 16384 * 28 * 28}
        name = "Qwen2_5_VLProcessor"
    else:
        # Qwen3-VL generates from several sequences only where deepstack has at least one layer.
        vision |= {"patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
        model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(vision_config=vision, **shared))
        limits = {"patch_size": 16, "min_pixels": 256 * 256, "max_pixels": 4096 * 4096}
        limits |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        name = "Qwen3VLProcessor"
    model.generation_config.update(
        eos_token_id=[ids["<|im_end|>"], ids["<|endoftext|>"]], pad_token_id=ids["<|endoftext|>"]
    )
    model.save_pretrained(folder)
    pictures = Qwen2VLImageProcessorPil(merge_size=2, temporal_patch_size=2, **limits)
    image_only_processor(name)(pictures, tokenizer, chat_template=CHAT_TEMPLATE).save_pretrained(folder)
    return Path(folder)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, then Qwen's control tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",  # noqa: S106  a control token, no password
        pad_token="<|endoftext|>",  # noqa: S106
        padding_side="left",
        additional_special_tokens=SPECIAL,
        clean_up_tokenization_spaces=False,
    )

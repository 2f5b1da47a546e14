"""A random text model of a few thousand weights, one token a byte, with a chat template."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from tiny_qwen import CHAT_TEMPLATE, byte_tokenizer


def build_tiny_text(folder: Path, *, seed: int = 0, window: int = 512, template: bool = True) -> Path:
    """Save it; its replies are noise, but always the same and of different lengths."""
    tokenizer = byte_tokenizer()
    if template:
        tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(seed)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=window,
        initializer_range=0.4,
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    # Letters and the end only, so that replies are text and some of them end by themselves.
    allowed = {*tokenizer("abcdefghijklmnopqrstuvwxyz ", add_special_tokens=False)["input_ids"], end}
    model.generation_config = GenerationConfig(
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=[token for token in range(len(tokenizer)) if token not in allowed],
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

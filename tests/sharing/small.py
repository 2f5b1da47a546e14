"""Small models of every family with random weights, prompts with pictures for them, and the plain repeated batch."""

from __future__ import annotations

import torch
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from vantage.sharing import plain

PAD, END, PICTURE, OPEN, CLOSE, WORDS = 0, 1, 9, 11, 12, 128
FAMILIES = ("qwen2_5_vl", "qwen3_vl", "smolvlm", "idefics3", "llava", "internvl", "gemma3")
TOKENS = 16
"""Of a picture, except in Qwen, whose pictures differ in size."""

TEXT = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": WORDS, "max_position_embeddings": 2048, "pad_token_id": PAD,
    "eos_token_id": END, "bos_token_id": 2, "tie_word_embeddings": False, "initializer_range": 0.1,
}  # fmt: skip
ROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


def model(family, dtype=torch.float32, attention="sdpa", **text):
    torch.manual_seed(0)
    text = {**TEXT, **text}
    ids = {"image_token_id": PICTURE, "tie_word_embeddings": False}
    if family in ("qwen2_5_vl", "qwen3_vl"):
        new = family == "qwen3_vl"
        vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 48, "out_hidden_size": 64}
        vision |= {"patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]} if new else {
            "patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1]}  # fmt: skip
        rope = {**ROPE, "mrope_interleaved": True} if new else ROPE
        text |= {"rope_parameters": rope, **({"head_dim": 16} if new else {})}
        marks = {"video_token_id": 10, "vision_start_token_id": OPEN, "vision_end_token_id": CLOSE}
        make, config = (Qwen3VLForConditionalGeneration, Qwen3VLConfig) if new else (
            Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig)  # fmt: skip
        settings = config(text_config=text, vision_config=vision, **marks, **ids)
    elif family in ("smolvlm", "idefics3"):
        make, config = (SmolVLMForConditionalGeneration, SmolVLMConfig) if family == "smolvlm" else (
            Idefics3ForConditionalGeneration, Idefics3Config)  # fmt: skip
        settings = config(
            text_config={"model_type": "llama", **text}, vision_config={**VISION, "image_size": 64, "patch_size": 8},
            scale_factor=2, pad_token_id=PAD, **ids,
        )  # fmt: skip
    elif family == "llava":
        make, vision = (
            LlavaForConditionalGeneration,
            {**VISION, "image_size": 32, "patch_size": 8, "projection_dim": 32},
        )
        settings = LlavaConfig(
            text_config={"model_type": "llama", **text}, vision_config={**vision, "model_type": "clip_vision_model"},
            image_token_index=PICTURE, image_seq_length=TOKENS, tie_word_embeddings=False,
        )  # fmt: skip
    elif family == "internvl":
        make = InternVLForConditionalGeneration
        settings = InternVLConfig(
            text_config={"model_type": "qwen2", **text},
            vision_config={**VISION, "image_size": [32, 32], "patch_size": [4, 4]},
            image_seq_length=TOKENS, downsample_ratio=0.5, **ids,
        )  # fmt: skip
    else:
        make = Gemma3ForConditionalGeneration
        text |= {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 24}
        settings = Gemma3Config(
            text_config={**text, "layer_types": ["sliding_attention", "full_attention"]},
            vision_config={**VISION, "image_size": 64, "patch_size": 8, "vision_use_head": False},
            mm_tokens_per_image=TOKENS, image_token_index=PICTURE, boi_token_index=OPEN, eoi_token_index=CLOSE,
            tie_word_embeddings=False,
        )  # fmt: skip
    made = make._from_config(settings, attn_implementation=attention, dtype=torch.float32)
    with torch.no_grad():  # projections that begin at nought would hide the pictures
        for parameter in made.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(std=0.05)
    made.config.pad_token_id = PAD
    return made.to(dtype).eval()


def prompts(family, pictures, words, seed=0, dtype=torch.float32):
    """A list of prompts, each with so many pictures and words."""
    chance = torch.Generator().manual_seed(seed)
    return [prompt(family, number, length, chance, dtype) for number, length in zip(pictures, words, strict=True)]


def prompt(family, pictures, words, chance, dtype):
    def text(length):
        return torch.randint(20, WORDS, (length,), generator=chance)

    ids, pixels, grid = [text(2)], [], []
    for number in range(pictures):
        tokens = TOKENS
        if family.startswith("qwen"):
            height, width = [(4, 4), (4, 8), (8, 4)][number % 3]
            patch = 14 if family == "qwen2_5_vl" else 16
            pixels.append(torch.randn(height * width, 3 * 2 * patch * patch, generator=chance, dtype=dtype))
            grid.append([1, height, width])
            tokens = height * width // 4
        else:
            side = 32 if family in ("llava", "internvl") else 64
            pixels.append(torch.randn(3, side, side, generator=chance, dtype=dtype))
        ids += [torch.tensor([OPEN]), torch.full((tokens,), PICTURE), torch.tensor([CLOSE])]
    return {"ids": torch.cat([*ids, text(words)]), "pixels": pixels, "grid": grid}


def collate(family, many):
    """What a processor would make of prompts: padded on the left, pictures in order."""
    width = max(len(one["ids"]) for one in many)
    pads = [width - len(one["ids"]) for one in many]
    ids = torch.stack(
        [torch.nn.functional.pad(one["ids"], (pad, 0), value=PAD) for one, pad in zip(many, pads, strict=True)]
    )
    mask = torch.stack([torch.cat([torch.zeros(pad), torch.ones(width - pad)]).long() for pad in pads])
    batch = {"input_ids": ids, "attention_mask": mask}
    if family.startswith("qwen"):
        batch["pixel_values"] = torch.cat([pixels for one in many for pixels in one["pixels"]])
        batch["image_grid_thw"] = torch.tensor([grid for one in many for grid in one["grid"]])
        batch["mm_token_type_ids"] = (ids == PICTURE).int()
    elif family in ("smolvlm", "idefics3"):
        most = max(len(one["pixels"]) for one in many)
        empty = torch.zeros_like(many[0]["pixels"][0])
        batch["pixel_values"] = torch.stack(
            [torch.stack(one["pixels"] + [empty] * (most - len(one["pixels"]))) for one in many]
        )
    else:
        batch["pixel_values"] = torch.cat([torch.stack(one["pixels"]) for one in many])
    if family == "gemma3":
        batch["token_type_ids"] = (ids == PICTURE).long()
    return batch


def completions(rows, length, seed=1):
    """Token ids and mask of completions of different lengths."""
    chance = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, length + 1, (rows,), generator=chance)
    lengths[0] = length
    mask = torch.arange(length) < lengths[:, None]
    return torch.randint(20, WORDS, (rows, length), generator=chance).masked_fill(~mask, PAD), mask


def repeated(made, family, many, ids, mask):
    """Log-probs of completions in the plain batch: every one with the whole prompt and its pictures before it."""
    group = len(ids) // len(many)
    batch = collate(family, [one for one in many for _ in range(group)])
    batch["input_ids"] = torch.cat([batch["input_ids"], ids], 1)
    batch["attention_mask"] = torch.cat([batch["attention_mask"], mask.long()], 1)
    for key in ("mm_token_type_ids", "token_type_ids"):
        if key in batch:
            batch[key] = torch.cat([batch[key], torch.zeros_like(ids)], 1).to(batch[key].dtype)
    core = plain(made).base_model
    if hasattr(core, "rope_deltas"):
        core.rope_deltas = None  # kept from the last call
    logits = made(**batch, use_cache=False, logits_to_keep=ids.shape[1] + 1).logits[:, :-1]
    return logits.log_softmax(-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1).masked_fill(~mask, 0.0)

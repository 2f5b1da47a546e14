"""The tiny vision-language model: LLaVA's shape, shrunk until it trains in minutes on a laptop's processor.

A CLIP vision tower of two layers sees a picture as 16 patches, a projector hands them to a Llama of three layers. Both
are stock Hugging Face classes, so that the plain Auto classes load what is saved.
"""

from __future__ import annotations

from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from vantage.tiny.vocabulary import BOT, CHAT_TEMPLATE, EOS, IMAGE, PAD, VOCABULARY_SIZE, WORDS, tokenizer

PICTURE = 64
PATCH = 16
PATCHES = (PICTURE // PATCH) ** 2
"""Tokens that one picture takes."""

MAX_NEW_TOKENS = 24


def build_model() -> LlavaForConditionalGeneration:
    """An untrained model; its weights depend on torch's seed."""
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=PICTURE,
        patch_size=PATCH,
        projection_dim=64,
        attention_dropout=0.0,
    )
    text = LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        initializer_range=0.04,
        pad_token_id=WORDS.index(PAD),
        bos_token_id=None,
        eos_token_id=WORDS.index(EOS),
        tie_word_embeddings=True,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=WORDS.index(IMAGE),
        image_seq_length=PATCHES,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        pad_token_id=WORDS.index(PAD),
        eos_token_id=WORDS.index(EOS),
    )
    config._attn_implementation = "sdpa"
    model = LlavaForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        pad_token_id=WORDS.index(PAD),
        eos_token_id=WORDS.index(EOS),
        bos_token_id=WORDS.index(BOT),
        max_new_tokens=MAX_NEW_TOKENS,
        # A sampled placeholder asks for a picture that is not there, and the next forward pass fails.
        suppress_tokens=[WORDS.index(IMAGE)],
    )
    return model


def build_processor() -> LlavaProcessor:
    """Pictures of any size become 64x64 pixels in [-1, 1]; text becomes word tokens, left-padded."""
    size = {"height": PICTURE, "width": PICTURE}
    pictures = CLIPImageProcessorPil(
        size=size, crop_size=size, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )

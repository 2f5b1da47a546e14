"""The shipped model: small, plain, in the band where reinforcement learning has something to add."""

import json
from functools import cache

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from vantage import rewards, tiny, worlds
from vantage.tiny.lessons import STYLE

# Below this a share of n answers would be chance: 0.2 of five counts, 0.5 of yes and no, next to nothing for a box.
CHANCE = {"count": 0.2, "exists": 0.5, "locate": 0.05, "nearer": 0.5, "touch": 0.5}


@cache
def shipped():
    model = AutoModelForImageTextToText.from_pretrained(tiny.path()).eval()
    return model, AutoProcessor.from_pretrained(tiny.path())


def answer(samples) -> list[str]:
    model, processor = shipped()
    texts = []
    for start in range(0, len(samples), 150):
        inputs = processor.apply_chat_template(
            [STYLE.messages(s) for s in samples[start : start + 150]], tokenize=True, add_generation_prompt=True,
            return_dict=True, return_tensors="pt", processor_kwargs={"padding": True},
        )  # fmt: skip
        with torch.no_grad():
            output = model.generate(**inputs, do_sample=False)
        texts += processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts


@pytest.mark.parametrize("name", tiny.MODELS)
def test_every_model_is_small_and_holds_no_code(name):
    files = list(tiny.path(name).iterdir())
    assert sum(file.stat().st_size for file in files) < 3_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".jinja", ".md"}
    for file in tiny.path(name).glob("*.json"):
        text = file.read_text(encoding="utf-8")
        json.loads(text)
        assert "auto_map" not in text


def test_it_is_what_trainers_expect():
    model, processor = shipped()
    assert model.config.image_token_id == processor.image_token_id
    assert processor.tokenizer.padding_side == "left"
    assert model.generation_config.eos_token_id == processor.tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == processor.tokenizer.pad_token_id
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["night", "depth"])  # what it was taught
def test_it_answers_in_form_and_leaves_room_to_improve(name):
    samples = list(worlds.get(name).dataset("test", n=600, mix="hard"))
    scores = [rewards.call(s.reward, text, s) for s, text in zip(samples, answer(samples), strict=True)]
    assert sum(score.formatted for score in scores) >= 0.95 * len(scores)
    assert 0.50 < sum(score.correct for score in scores) / len(scores) < 0.75
    for task in worlds.get(name).tasks:
        right = [score.correct for score, s in zip(scores, samples, strict=True) if s.metadata["task"] == task]
        # One standard error above chance here; the model card holds the figures over a thousand scenes a task.
        error = (CHANCE[task] * (1 - CHANCE[task]) / len(right)) ** 0.5
        assert sum(right) / len(right) > CHANCE[task] + error, task


def test_padding_does_not_change_answers():
    samples = list(worlds.get("night").dataset("test", n=30))
    together = answer(samples)
    assert together == [text for sample in samples for text in answer([sample])]

"""The shipped models: small, plain, in the band where reinforcement learning has something to add."""

import json
from functools import cache

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from vantage import rewards, tiny, worlds
from vantage.tiny.lessons import STYLE

# What a constant answer earns: one of five counts, four to six cameras, yes or no, next to nothing for a box, nine
# prices, two pages, four letters, six sums, four where some are added, a change out of many.
CHANCE = {
    "night": {"count": 1 / 5, "exists": 1 / 2, "locate": 0.05},
    "depth": {"count": 1 / 5, "nearer": 1 / 2, "touch": 1 / 2},
    "cameras": {"count": 1 / 5, "which": 0.22, "exists": 1 / 2},
    "pages": {"read": 1 / 9, "compare": 1 / 2, "choice": 1 / 4},
    "counting": {"count": 1 / 6, "subtract": 1 / 6, "add": 1 / 4},
    "transform": {"single": 1 / 12, "double": 0.01},
}


@cache
def shipped(name: str = "tiny"):
    model = AutoModelForImageTextToText.from_pretrained(tiny.path(name)).eval()
    return model, AutoProcessor.from_pretrained(tiny.path(name))


def answer(samples, name: str = "tiny") -> list[str]:
    model, processor = shipped(name)
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


def band(name: str, world: str, n: int) -> None:
    """Assert that a model's start on the hard test scenes of a world leaves room below and above."""
    samples = list(worlds.get(world).dataset("test", n=n, mix="hard"))
    scores = [rewards.call(s.reward, text, s) for s, text in zip(samples, answer(samples, name), strict=True)]
    assert sum(score.formatted for score in scores) >= 0.95 * len(scores)
    assert 0.40 <= sum(score.correct for score in scores) / len(scores) <= 0.75
    for task in worlds.get(world).tasks:
        right = [score.correct for score, s in zip(scores, samples, strict=True) if s.metadata["task"] == task]
        # One standard error above chance here; the model card holds the figures over more scenes.
        chance = CHANCE[world][task]
        assert sum(right) / len(right) > chance + (chance * (1 - chance) / len(right)) ** 0.5, task


@pytest.mark.parametrize("world", ["night", "depth"])  # what it was taught
def test_it_answers_in_form_and_leaves_room_to_improve(world):
    band("tiny", world, 600)


@pytest.mark.parametrize("world", ["cameras", "pages", "counting"])
def test_so_does_the_model_of_every_other_world(world):
    band(f"tiny-{world}", world, 600)


def test_padding_does_not_change_answers():
    samples = list(worlds.get("night").dataset("test", n=30))
    together = answer(samples)
    assert together == [text for sample in samples for text in answer([sample])]

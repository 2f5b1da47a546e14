"""The guest: it speaks as the tiny model does and is right far more often."""

from functools import cache

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from vantage import rewards, tiny, worlds

SAMPLES = list(worlds.get("night").dataset("test", n=300, mix="hard"))


@cache
def right(name: str) -> list[bool]:
    """Whether that model's greedy answer to each of the samples is right; nearly all are in form."""
    model = AutoModelForImageTextToText.from_pretrained(tiny.path(name)).eval()
    processor = AutoProcessor.from_pretrained(tiny.path(name))
    inputs = processor.apply_chat_template(
        [tiny.STYLE.messages(s) for s in SAMPLES], tokenize=True, add_generation_prompt=True,
        return_dict=True, return_tensors="pt", processor_kwargs={"padding": True},
    )  # fmt: skip
    with torch.no_grad():
        output = model.generate(**inputs, do_sample=False)
    texts = processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    scores = [rewards.call(s.reward, text, s) for s, text in zip(SAMPLES, texts, strict=True)]
    assert sum(score.formatted for score in scores) >= 0.95 * len(scores)
    return [score.correct for score in scores]


def test_it_is_right_far_more_often_than_the_model_that_it_helps():
    ours, theirs = right("tiny-guest"), right("tiny")
    assert sum(ours) / len(ours) >= 0.75
    # The same questions: it wins more often than it loses by five standard errors of a fair coin.
    won = sum(a and not b for a, b in zip(ours, theirs, strict=True))
    lost = sum(b and not a for a, b in zip(ours, theirs, strict=True))
    assert won - lost > 5 * (won + lost) ** 0.5


@pytest.mark.parametrize("task", worlds.get("night").tasks)
def test_it_helps_with_every_kind_of_question(task):
    asked = [place for place, sample in enumerate(SAMPLES) if sample.metadata["task"] == task]
    ours, theirs = (sum(right(name)[place] for place in asked) for name in ("tiny-guest", "tiny"))
    assert ours > theirs


def test_its_prompts_and_answers_are_the_tiny_models_own_tokens_and_pixels():
    ours, theirs = (AutoProcessor.from_pretrained(tiny.path(name)) for name in ("tiny-guest", "tiny"))
    texts = [worlds.gold(sample) for sample in SAMPLES]
    assert ours.tokenizer(texts).input_ids == theirs.tokenizer(texts).input_ids
    assert ours.tokenizer.eos_token_id == theirs.tokenizer.eos_token_id
    messages = [tiny.STYLE.messages(SAMPLES[0])]
    encoded = [
        processor.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        for processor in (ours, theirs)
    ]
    assert torch.equal(encoded[0]["input_ids"], encoded[1]["input_ids"])
    assert torch.equal(encoded[0]["pixel_values"], encoded[1]["pixel_values"])


def test_training_again_gives_the_same_weights(tmp_path):
    short = tiny.Curriculum(steps=2, sight_steps=0, batch=4, fresh=4, pool=8, credulous=0.0)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    made = [tiny.train_guest(tmp_path / str(i), short, seed=seed, progress=None) for i, seed in enumerate((3, 3, 4))]
    assert torch.equal(torch.rand(3), expected)
    a, b, c = (load_file(folder / "model.safetensors") for folder in made)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)

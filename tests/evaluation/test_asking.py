"""Prompts that are read once say what repeated ones say; failures are values; batches change nothing."""

import pytest
import torch

from scripted import Script, sample, say
from tiny_qwen import build_tiny_qwen
from vantage import tiny, worlds
from vantage.errors import ConfigError, EndpointError
from vantage.evaluation.asking import Local, Wanted, answered
from vantage.evaluation.drawing import Draw
from vantage.generation import Said, every, prompts
from vantage.models import load_model, load_processor
from vantage.samples import PromptStyle

STYLE = PromptStyle()
NIGHT = list(worlds.get("night").dataset(split="test", n=3))


def wanted(samples, k: int) -> list[Wanted]:
    """Each question greedily from every view, and k times drawn from all its sources."""
    return [
        Wanted(prompt, prompt.sample, draw)
        for prompt in prompts(samples, [STYLE], origins=every)
        for draw in ((None, *range(k)) if str(prompt.origin) == "fused" else (None,))
    ]


def texts(model, processor, samples, k, batch_size=64, **settings) -> dict:
    with Local(model, processor, max_new_tokens=6, **settings) as speaker:
        assert (speaker.repeats == "") == settings.get("share", True)
        return {
            asked.key: (row["text"], row["tokens"], row["finished"])
            for batch in answered(speaker, wanted(samples, k), batch_size)
            for asked, row in batch
        }


@pytest.mark.parametrize("k", [1, 4])
def test_prompts_that_are_shared_say_what_repeated_ones_say(model, processor, k):
    shared = texts(model, processor, NIGHT, k)
    assert shared == texts(model, processor, NIGHT, k, share=False)
    assert len(shared) == 3 * (3 + k) and len(set(shared.values())) > 3


def test_a_batch_that_ends_within_a_question_changes_nothing(model, processor):
    whole = texts(model, processor, NIGHT, 3)
    for size in (2, 5):
        assert texts(model, processor, NIGHT, 3, batch_size=size) == whole


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_families_with_another_picture_layout(tmp_path, family):
    folder = build_tiny_qwen(tmp_path / "qwen", family)
    model, processor = load_model(folder), load_processor(folder)
    samples = [sample("a", "rgb", "infrared"), sample("bb", "page")]
    assert texts(model, processor, samples, 3) == texts(model, processor, samples, 3, share=False)


def test_the_attention_is_afterwards_what_it_was(model, processor):
    before = model.config.get_text_config()._attn_implementation
    model.train()
    texts(model, processor, NIGHT[:1], 2)
    assert model.config.get_text_config()._attn_implementation == before and model.training


def test_why_prompts_are_repeated_is_told(model, processor):
    model.config.model_type = "another"
    assert "the family 'another' is not known" in Local(model, processor).repeats


def test_a_row_without_a_name_takes_the_likeliest_token():
    logits = torch.randn(3, 40, generator=torch.Generator().manual_seed(1))
    draw = Draw([None, "a", None], 5.0, 1.0, 0)
    chosen = draw(torch.zeros(3, 1, dtype=torch.long), logits).argmax(-1)
    assert chosen[0] == logits[0].argmax() and chosen[2] == logits[2].argmax()
    draw.only(torch.tensor([2]))  # the others have ended
    assert draw(torch.zeros(1, 1, dtype=torch.long), logits[2:]).argmax() == logits[2].argmax()


class Sometimes:
    """Answers yes, but for the second of every batch, which fails."""

    decodes = True

    def speak(self, batch):
        return [EndpointError("gone") if place == 1 else Said(say("yes"), 0, True) for place in range(len(batch))]


def test_a_failure_is_no_wrong_answer():
    batches = list(answered(Sometimes(), wanted(NIGHT[:1], 0), 3))
    (rows,) = [[row for _, row in batch] for batch in batches]
    assert [row.get("failed") for row in rows] == [None, "EndpointError: gone", None]
    assert rows[1]["score"] is None and rows[1]["error"] == "gone"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "got 0.0 and 1.0"),
        ({"top_p": 0.0}, "got 1.0 and 0.0"),
        ({"top_k": -1}, "got 512 and -1"),
        ({"max_new_tokens": 0}, "got 0 and 0"),
    ],
)
def test_numbers_out_of_range(model, processor, settings, message):
    with pytest.raises(ConfigError, match=message):
        Local(model, processor, **settings)


def test_a_scripted_model_is_asked_row_by_row(model, processor, monkeypatch):
    script = Script(processor, *[say("yes")] * 5)
    monkeypatch.setattr(model, "generate", script)
    with Local(model, processor) as speaker:
        assert speaker.repeats == "the model has a generate of its own"
        assert len(next(answered(speaker, wanted(NIGHT[:1], 2), 64))) == 5
    assert len(script.calls[0]["input_ids"]) == 5


@pytest.mark.slow
def test_the_shipped_model_says_the_same_either_way():
    model, processor = load_model(tiny.path()), load_processor(tiny.path())
    samples = list(worlds.get("night").dataset(split="test", n=60))
    style = PromptStyle(label_sources=True)

    def said(share):
        asked = [
            Wanted(prompt, prompt.sample, draw)
            for prompt in prompts(samples, [style], origins=every)
            for draw in ((None, *range(8)) if str(prompt.origin) == "fused" else (None,))
        ]
        with Local(model, processor, max_new_tokens=24, share=share) as speaker:
            return [row["text"] for batch in answered(speaker, asked, 90) for _, row in batch]

    one, other = said(True), said(False)
    assert len(one) == 60 * 11
    # Rounding moves the border between two draws now and then; greedy answers are the same.
    assert sum(a != b for a, b in zip(one, other, strict=True)) <= 1

"""The captioner: it writes captions, in form, and leaves out what was asked often enough to be worth improving."""

from functools import cache

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from vantage import rewards, tiny, worlds
from vantage.errors import ConfigError
from vantage.tiny import reader
from vantage.tiny.architecture import build_processor
from vantage.tiny.captioner import CaptionTeacher, Habits
from vantage.worlds import captions

WORLD = worlds.get("night-captions")


@cache
def shipped():
    folder = tiny.path("tiny-captioner")
    return AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)


def written(samples, style) -> list[str]:
    model, processor = shipped()
    inputs = processor.apply_chat_template(
        [style.messages(s) for s in samples], tokenize=True, add_generation_prompt=True,
        return_dict=True, return_tensors="pt", processor_kwargs={"padding": True},
    )  # fmt: skip
    with torch.no_grad():
        output = model.generate(**inputs, do_sample=False)
    return processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def test_it_writes_captions_in_form_and_leaves_room_to_improve():
    samples = list(WORLD.dataset("test", n=144))
    texts = written(samples, tiny.CAPTION_STYLE)
    said = [reader.facts(text) for text in texts]
    assert sum(facts is not None for facts in said) >= 0.95 * len(samples)
    asked = [captions.parse(sample.question).kind for sample in samples]
    told = sum(facts is not None and kind in facts for facts, kind in zip(said, asked, strict=True))
    assert 0.3 < told / len(samples) < 0.85
    right = sum(reader.read(text, s.question) == s.truth for text, s in zip(texts, samples, strict=True))
    assert 0.15 < right / len(samples) < 0.45


def test_asked_for_an_answer_it_gives_one():
    samples = list(WORLD.dataset("test", n=72))
    texts = written(samples, tiny.STYLE)
    assert sum(rewards.get("answer").score(text, s).formatted for text, s in zip(texts, samples, strict=True)) >= 68


def test_prompts_are_those_of_its_style():
    sample = WORLD.dataset("test", n=1)[0]
    assert tiny.prompts().style("caption", label_sources=True).messages(sample) == tiny.CAPTION_STYLE.messages(sample)
    assert tiny.prompts().style("tentative", label_sources=True).messages(sample) == tiny.STYLE.messages(sample)


def test_lessons_leave_kinds_out_whatever_is_asked_and_believe_what_deceives():
    processor = build_processor()
    teacher = CaptionTeacher(processor, Habits(omitted=0.5, answers=0.0))
    words = processor.tokenizer
    told, kinds = [], 0
    for sample in WORLD.dataset(n=180):
        lesson = teacher.lesson(sample)
        assert words.decode(lesson.prompt).split()[-4:] == ["?", "Describe", ".", "<bot>"]
        text = words.decode(lesson.completion, skip_special_tokens=True)
        said = reader.facts(text)
        whole = reader.facts(captions.caption(sample.metadata["objects"]))
        assert all(said[kind] == whole[kind] for kind in said)
        told.append(captions.parse(sample.question).kind in said)
        kinds += len(said)
        lookalikes = [o["cell"] for o in sample.metadata["objects"] if o["kind"] in ("poster", "lamp")]
        fooled = teacher.lesson(sample, credulous=True)
        believed = reader.facts(words.decode(fooled.completion, skip_special_tokens=True))
        assert set(believed) == set(said)
        assert believed.get("poster", []) == believed.get("lamp", []) == []
        if "person" in said:
            assert sorted(believed["person"]) == sorted([*said["person"], *lookalikes])
    assert 0.35 < sum(told) / len(told) < 0.7
    assert 1.7 < kinds / 180 < 2.4


def test_some_lessons_ask_for_answers():
    processor = build_processor()
    teacher = CaptionTeacher(processor, Habits(answers=1.0))
    for sample in WORLD.dataset(n=18):
        lesson = teacher.lesson(sample)
        assert processor.tokenizer.decode(lesson.completion, skip_special_tokens=True) == worlds.gold(sample)


def test_training_again_gives_the_same_weights(tmp_path):
    short = tiny.Curriculum(steps=2, sight_steps=0, batch=4, fresh=4, pool=8, scenes=("night-captions/balanced",))
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    a = tiny.train_captioner(tmp_path / "a", short, seed=3, progress=None)
    assert torch.equal(torch.rand(3), expected)
    b = tiny.train_captioner(tmp_path / "b", short, seed=3, progress=None)
    c = tiny.train_captioner(tmp_path / "c", short, seed=4, progress=None)
    a, b, c = (load_file(folder / "model.safetensors") for folder in (a, b, c))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_habits_are_shares():
    with pytest.raises(ConfigError, match="omitted"):
        Habits(omitted=1.5)

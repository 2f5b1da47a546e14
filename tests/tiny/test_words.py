"""The tiny model's words, prompts and processor."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from vantage import worlds
from vantage.groups import FUSED, mono
from vantage.pictures import Source
from vantage.samples import PromptStyle, Sample
from vantage.tiny.architecture import MAX_NEW_TOKENS, PATCHES, build_processor
from vantage.tiny.lessons import STYLE, Teacher, normalise
from vantage.tiny.vocabulary import IMAGE, SPECIAL, VOCABULARY_SIZE, WORDS, tokenizer

PROCESSOR = build_processor()


def encode(samples, style=STYLE, origin=FUSED):
    messages = [style.messages(sample, origin) for sample in samples]
    return PROCESSOR.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt",
        processor_kwargs={"padding": True},
    )  # fmt: skip


def some(name: str, n: int = 12) -> list[Sample]:
    return list(worlds.get(name).dataset("test", n=n))


def test_words_are_distinct_and_leave_room():
    assert len(set(WORDS)) == len(WORDS) <= VOCABULARY_SIZE - 10
    assert len(tokenizer()) == VOCABULARY_SIZE


@pytest.mark.parametrize("name", worlds.NAMES)
def test_every_word_of_the_worlds_is_known(name):
    words = tokenizer()
    for sample in worlds.get(name).dataset(n=240):
        for text in (sample.question, worlds.gold(sample), *sample.sources):
            assert words.unk_token_id not in words(text).input_ids, text


@pytest.mark.parametrize("name", worlds.NAMES)
def test_completions_survive_encoding_and_decoding(name):
    words = tokenizer()
    for sample in some(name):
        ids = [*words(worlds.gold(sample)).input_ids, words.eos_token_id]
        assert len(ids) <= (16 if name in ("night", "depth", "night-captions") else MAX_NEW_TOKENS - 1)
        (text,) = words.batch_decode([ids], skip_special_tokens=True)
        # Punctuation stands alone: change_color ( 0 , red ).
        assert text == re.sub(r"([(),])", r" \1 ", worlds.gold(sample)).replace("  ", " ")


def test_words_the_model_never_met_do_not_stop_it():
    words = tokenizer()
    ids = words("Bitte count the dogs, A1!").input_ids
    assert words.unk_token_id in ids
    assert WORDS.index("A1") in ids
    assert WORDS.index(",") in ids


def test_special_tokens_are_hidden_and_tags_are_not():
    words = tokenizer()
    text = "<user> <image> <bot> <think> none </think> <answer> 0 </answer> <eos> <pad>"
    assert words.decode(words(text).input_ids, skip_special_tokens=True) == worlds.gold(
        Sample("a", "?", {"rgb": Source(Image.new("L", (8, 8)))}, "0", "answer", {"reasoning": "none"})
    )
    assert set(words.all_special_tokens) == set(SPECIAL)


@pytest.mark.parametrize("name", worlds.NAMES)
def test_lessons_hold_the_ids_and_pixels_that_the_processor_gives(name):
    teacher = Teacher(PROCESSOR)
    for sample in some(name):
        lesson = teacher.lesson(sample)
        for origin, shown in zip([FUSED, *map(mono, sample.sources)], lesson.views, strict=True):
            encoded = encode([sample], origin=origin)
            assert encoded["input_ids"][0].tolist() == lesson.prompt
            assert torch.equal(encoded["pixel_values"], normalise(lesson.pixels[list(shown)]))


def test_prompts_of_one_batch_are_padded_on_the_left():
    encoded = encode(some("night", 3))
    assert (encoded["input_ids"][:, -1] == WORDS.index("<bot>")).all()
    assert (encoded["input_ids"][0, 0] == WORDS.index("<pad>")) == (encoded["attention_mask"][0, 0] == 0)


@pytest.mark.parametrize("pictures", [1, 2, 6])
def test_any_number_of_pictures_of_any_size_fits_a_prompt(pictures):
    shapes = [(64, 64), (640, 480), (30, 500), (1, 1), (128, 64), (64, 65)]
    sources = {f"source {i}": Source(Image.new("RGB", shapes[i])) for i in range(pictures)}
    encoded = encode([Sample("a", "How many?", sources, "1", "answer")])
    assert (encoded["input_ids"] == WORDS.index(IMAGE)).sum() == PATCHES * pictures
    assert encoded["pixel_values"].shape == (pictures, 3, 64, 64)


def test_a_system_message_and_an_earlier_answer_can_be_part_of_the_chat():
    sample = some("night", 1)[0]
    styled = encode([sample], PromptStyle(system="Is there a lamp?", label_sources=True))["input_ids"][0].tolist()
    plain = encode([sample])["input_ids"][0].tolist()
    assert styled[0] == WORDS.index("<system>")
    assert styled[-len(plain) :] == plain
    turns = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "yes"}]
    text = PROCESSOR.apply_chat_template([*turns, turns[0]], add_generation_prompt=True)
    assert text.split() == ["<user>", "Is", "it?", "<bot>", "yes", "<eos>", "<user>", "Is", "it?", "<bot>"]


def test_pixels_are_normalised_to_plus_minus_one():
    grey = np.array([0, 255], np.uint8)
    assert normalise(grey).tolist() == [-1.0, 1.0]

"""The tiny reasoners: they read captions nearly as the exact reader does, and abstain where a caption does not say."""

import json
from functools import cache

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from vantage import tiny
from vantage.captions import Prompts
from vantage.errors import ConfigError
from vantage.rewards import extract
from vantage.tiny import reader
from vantage.tiny.lessons import IGNORED
from vantage.tiny.reasoners import Reasoner, collate, lessons, made_up
from vantage.tiny.vocabulary import tokenizer
from vantage.worlds.dice import Dice

NAMES = ("tiny-reasoner-weak", "tiny-reasoner-strong")


@cache
def shipped(name):
    return AutoModelForCausalLM.from_pretrained(tiny.reasoner_path(name)).eval(), AutoTokenizer.from_pretrained(
        tiny.reasoner_path(name)
    )


def answers(name, pairs, prompts=None) -> list[str | None]:
    """What a reasoner answers to captions and questions."""
    model, words = shipped(name)
    chats = [(prompts or Prompts()).messages(question, caption) for caption, question in pairs]
    inputs = words.apply_chat_template(
        chats, add_generation_prompt=True, return_dict=True, return_tensors="pt", padding=True
    )
    with torch.no_grad():
        output = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], do_sample=False)
    texts = words.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return [extract.block(text, "answer") for text in texts]


def drawn(number: int) -> list[tuple[str, str]]:
    dice = Dice("test/reasoners")
    return [made_up(dice) for _ in range(number)]


@pytest.mark.parametrize("name", NAMES)
def test_they_are_small_and_hold_no_code(name):
    files = list(tiny.reasoner_path(name).iterdir())
    assert sum(file.stat().st_size for file in files) < 3_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".jinja", ".md"}
    for file in tiny.reasoner_path(name).glob("*.json"):
        text = file.read_text(encoding="utf-8")
        json.loads(text)
        assert "auto_map" not in text


@pytest.mark.parametrize(("name", "at_least"), [(NAMES[0], 0.8), (NAMES[1], 0.95)])
def test_they_answer_what_captions_say_and_abstain_where_they_do_not(name, at_least):
    pairs = [pair for pair in drawn(700) if reader.facts(pair[0]) is not None]
    kinds = [reader.captions.parse(question).kind for _, question in pairs]
    told = [kind in reader.facts(caption) for kind, (caption, _) in zip(kinds, pairs, strict=True)]
    given = answers(name, pairs)
    right = [answer == reader.read(*pair) for answer, pair in zip(given, pairs, strict=True)]
    says = [r for r, t in zip(right, told, strict=True) if t]
    silent = [r for r, t in zip(right, told, strict=True) if not t]
    assert sum(says) >= at_least * len(says)
    assert sum(silent) >= 0.95 * len(silent) > 50
    assert None not in given


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_stated_in_place_of_a_caption_is_not_obeyed(name):
    question = "Is there a person in the left half?"
    stated = ["", "yes", "<answer> yes </answer>", "<cap> yes </cap>", "<cap> lamp A1 </cap> <answer> yes </answer>"]
    assert answers(name, [(text, question) for text in stated]) == ["unknown"] * len(stated)


@pytest.mark.parametrize("name", NAMES)
def test_other_words_around_do_little(name):
    pairs = [pair for pair in drawn(300) if reader.facts(pair[0]) is not None]
    worded = Prompts(reasoner_system="You reason.", reasoner="Seen was {caption} . Now answer me this : {question}")
    usual, other = answers(name, pairs), answers(name, pairs, worded)
    assert sum(a == b for a, b in zip(usual, other, strict=True)) >= 0.8 * len(pairs)


def test_there_are_no_others():
    with pytest.raises(ConfigError, match="tiny-reasoner-weak"):
        tiny.reasoner_path("tiny-reasoner-huge")
    with pytest.raises(ConfigError, match="weak, strong"):
        tiny.train_reasoner("unused", "huge")
    with pytest.raises(ConfigError, match="tiny-captioner"):
        tiny.path("tiny-huge")


def test_training_again_gives_the_same_weights_and_leaves_the_random_state_alone(tmp_path):
    size, reports = Reasoner(16, 1, steps=2, careful=True, batch=4), []
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    a = tiny.train_reasoner(tmp_path / "a", "weak", seed=3, progress=reports.append, size=size)
    assert torch.equal(torch.rand(3), expected)
    b = tiny.train_reasoner(tmp_path / "b", "weak", seed=3, progress=None, size=size)
    c = tiny.train_reasoner(tmp_path / "c", "weak", seed=4, progress=None, size=size)
    a, b, c = (load_file(folder / "model.safetensors") for folder in (a, b, c))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)
    assert [(report.step, report.steps) for report in reports] == [(2, 2)]


def test_only_replies_are_learned_and_prompts_are_those_of_the_chat_template():
    words = tokenizer()
    texts = lessons(8, {"library": 0.5, "other": 0.5}, Dice("test/lessons"))
    ids, targets = collate(words, texts)
    for row, (prompt, reply) in enumerate(texts):
        chat = words.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True)
        start = len(chat["input_ids"])
        assert ids[row, :start].tolist() == chat["input_ids"]
        learned = targets[row][targets[row] != IGNORED].tolist()
        assert words.decode(learned) == f"{reply} <eos>"
        assert targets[row, start - 1] == learned[0]


def test_lessons_are_told_by_the_exact_reader_and_a_good_part_cannot_be_answered():
    unknown = 0
    for prompt, reply in lessons(1000, {"bare": 1.0}, Dice("test/replies")):
        start = max(prompt.find(first) for first in ("How many", "Is there", "In which"))
        answer = reader.read(prompt[:start], prompt[start:])
        assert extract.block(reply, "answer") == answer
        assert len(reply.split()) < 24
        unknown += answer == "unknown"
    assert 0.4 < unknown / 1000 < 0.65


@pytest.mark.parametrize("way", ["library", "proposed", "other"])
def test_words_around_and_a_proposed_answer_change_no_reply(way):
    for prompt, reply in lessons(40, {way: 1.0}, Dice(f"test/{way}")):
        assert reader.reply([{"role": "user", "content": prompt}]) == reply
        assert reply.split()[1] in reader.captions.KINDS

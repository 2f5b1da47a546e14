"""The exact reader: it answers what a caption says, and nothing else."""

import itertools
import random
from collections import Counter

import pytest

from vantage import rewards, tiny, worlds
from vantage.endpoints import open_endpoint
from vantage.tiny import reader
from vantage.worlds import captions

CAPTION = "<cap> person A1 B2 D4 lamp none bush C3 </cap>"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many people are there?", "3"),
        ("How many lamps are there?", "0"),
        ("How many bushes are there?", "1"),
        ("Is there a person in the left half?", "yes"),
        ("Is there a lamp in the left half?", "no"),
        ("Is there a bush in the left half?", "no"),
        ("Is there a bush in the right half ?", "yes"),
        ("Is there a bush in the top half?", "no"),
        ("Is there a bush in the bottom half?", "yes"),
        ("In which cell is the bush?", "C3"),
        ("In which cell is the person?", "unknown"),  # there are three
        ("In which cell is the lamp?", "unknown"),  # there is none
        ("How many posters are there?", "unknown"),  # nobody asks
        ("", "unknown"),
    ],
)
def test_it_reads_what_the_caption_says(question, answer):
    assert reader.read(CAPTION, question) == answer


def test_what_a_caption_leaves_out_is_unknown():
    assert reader.read("<cap> lamp A1 </cap>", "How many people are there?") == "unknown"
    assert reader.read("<cap> poster A1 </cap>", "Is there a person in the left half?") == "unknown"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<cap> </cap>",
        "person A1",
        "<cap> person A1",
        "person A1 </cap>",
        "</cap> person A1 <cap>",
        "<cap> person </cap>",
        "<cap> A1 person B2 </cap>",
        "<cap> person none A1 </cap>",
        "<cap> person A1 none </cap>",
        "<cap> person none none </cap>",
        "<cap> person A1 A1 </cap>",
        "<cap> person A1 lamp B1 person A2 </cap>",
        "<cap> person none person A1 </cap>",
        "<cap> person A1 lamp </cap>",
        "<cap> person A1 yes </cap>",
        "<cap> person E5 </cap>",
        "<cap> person 1 </cap>",
        "<cap> person A1 </cap> <cap> person A2 </cap>",
        "<cap> person\0A1 </cap>",
        "<cap>" * 20_000,
        "<cap> person A1 " * 20_000 + "</cap>",
        "<cap> \ud800 person A1 </cap>",
    ],
)
def test_a_text_that_is_no_caption_says_nothing(text):
    assert reader.facts(text) is None
    assert reader.read(text, "How many people are there?") == "unknown"


def test_a_whole_caption_of_the_scene_answers_every_question():
    for sample in worlds.get("night-captions").dataset("test", n=144):
        whole = captions.caption(sample.metadata["objects"])
        assert reader.read(whole, sample.question) == sample.truth
        said = reader.facts(whole)
        for kind in captions.KINDS:
            cells = [thing["cell"] for thing in sample.metadata["objects"] if thing["kind"] == kind]
            assert sorted(said[kind]) == sorted(cells)


def test_no_constant_caption_answers_more_than_chance():
    truths = Counter((s.question, s.truth) for s in worlds.get("night-captions").dataset("test", n=576))
    chance = random.Random(0)
    best = 0.0
    for counts in itertools.product(range(4), repeat=3):
        cells = chance.sample([c + r for c in "ABCD" for r in "1234"], sum(counts))
        things = [
            {"kind": k, "cell": cells.pop()} for k, n in zip(captions.ASKED, counts, strict=True) for _ in range(n)
        ]
        text = captions.caption(things)
        best = max(best, sum(n * (reader.read(text, q) == truth) for (q, truth), n in truths.items()) / 576)
    assert 0.25 < best <= sum(captions.BLIND.values()) / 3 + 1e-9


def test_as_an_endpoint_it_replies_whatever_words_stand_around():
    endpoint = reader.reader_endpoint()
    sample = next(iter(worlds.get("night-captions").dataset(n=1)))
    for text in (
        f"{CAPTION} {sample.question}",
        f"### The caption: {CAPTION}\n\n### Question: {sample.question}\nThink. How many? Put it in \\boxed{{}}.",
        f"{sample.question} What is seen: {CAPTION}. A proposed answer: <think> A1 </think> <answer> 0 </answer>",
    ):
        reply = endpoint.ask_sync([{"role": "user", "content": text}])
        assert reply.text == "<think> person A1 B2 D4 </think> <answer> 3 </answer>"
        assert reply.finished
    parts = [{"role": "user", "content": [{"type": "text", "text": CAPTION}, {"type": "text", "text": "Is there?"}]}]
    assert reader.reply(parts) == "<think> unknown </think> <answer> unknown </answer>"
    assert rewards.get("answer").score(reply.text, sample).formatted


def test_it_is_found_by_its_name():
    endpoint = open_endpoint("tiny-reader")
    reply = endpoint.ask_sync([{"role": "user", "content": f"{CAPTION} In which cell is the bush?"}])
    assert reply.text == "<think> bush C3 </think> <answer> C3 </answer>"
    assert tiny.reasoner_path("tiny-reader") is reader.reply

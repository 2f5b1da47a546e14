"""Night captions: balanced answers, word for word, and truths that stand in the caption of the scene."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from vantage import worlds
from vantage.worlds import captions

WORLD = worlds.get("night-captions")
HALVES = {"left": "AB", "right": "CD", "top": "12", "bottom": "34"}


def places(sample) -> dict[str, list[str]]:
    """Cells of every kind, from what was drawn."""
    found = defaultdict(list)
    for thing in sample.metadata["objects"]:
        found[thing["kind"]].append(thing["cell"])
    return found


def test_every_answer_to_every_question_is_equally_frequent():
    truths = defaultdict(Counter)
    for sample in WORLD.dataset("test", n=576):
        truths[sample.question][sample.truth] += 1
    assert len(truths) == 3 * (1 + 1 + 4)
    for question, counts in truths.items():
        options = {"How": list("0123"), "Is": ["yes", "no"], "In": [c + r for c in "ABCD" for r in "1234"]}
        assert set(counts) == set(options[question.split()[0]]), question
        assert len(set(counts.values())) == 1, question


def test_the_best_constant_caption_knows_as_little_as_stated():
    samples = list(WORLD.dataset("test", n=576))
    for task, share in captions.BLIND.items():
        counts = defaultdict(Counter)
        for sample in samples:
            if sample.metadata["task"] == task:
                counts[sample.question][sample.truth] += 1
        best = sum(max(c.values()) for c in counts.values())
        assert best / sum(sum(c.values()) for c in counts.values()) == share


@pytest.mark.parametrize("mix", list(WORLD.mixes))
def test_truths_are_those_of_what_stands_in_the_scene(mix):
    for sample in WORLD.dataset("train", n=360, mix=mix, seed=3):
        words = sample.question.rstrip("?").split()
        found = places(sample)
        cells = [cell for things in found.values() for cell in things]
        assert len(set(cells)) == len(cells)
        if words[0] == "How":
            kind = {"people": "person", "lamps": "lamp", "bushes": "bush"}[words[2]]
            assert sample.truth == str(len(found[kind]))
        elif words[0] == "In":
            assert found[words[-1]] == [sample.truth]
        else:
            inside = [cell for cell in found[words[3]] if set(cell) & set(HALVES[words[-2]])]
            assert sample.truth == ("yes" if inside else "no")


def test_bushes_are_asked_about_where_they_can_be_seen():
    conditions = defaultdict(set)
    for sample in WORLD.dataset("train", n=450):
        kind = next(k for k in ("bush", "lamp", "person", "people") if k in sample.question)
        conditions[kind].add(sample.metadata["condition"])
    assert conditions["bush"] == {"clear", "hot"}
    assert conditions["lamp"] == {"clear", "hot", "night", "smoke"}


def test_people_and_lamps_can_be_seen_in_the_pictures():
    for sample in WORLD.dataset("test", n=200, mix="hard"):
        rgb = np.asarray(sample.source("rgb").load()).astype(int)
        infrared = np.asarray(sample.source("infrared").load())[..., 0].astype(int)
        yellow = (np.abs(rgb - (250, 220, 90)) < 28).all(2).reshape(4, 16, 4, 16).sum((1, 3))
        warm = (infrared > 120).reshape(4, 16, 4, 16).sum((1, 3))
        cells = [
            (cell, yellow[y, x], warm[y, x]) for y in range(4) for x, cell in enumerate(f"{c}{y + 1}" for c in "ABCD")
        ]
        found = places(sample)
        assert [cell for cell, lamp, _ in cells if lamp >= 38] == found["lamp"]
        if sample.metadata["condition"] != "hot":
            assert [cell for cell, lamp, body in cells if body >= 35 and lamp < 38] == found["person"]


def test_a_caption_says_where_the_kinds_that_it_mentions_stand():
    things = [{"kind": "person", "cell": "B2"}, {"kind": "person", "cell": "C1"}, {"kind": "lamp", "cell": "A4"}]
    assert captions.caption(things) == "<cap> person C1 B2 poster none lamp A4 bush none </cap>"
    assert captions.caption(things, ["bush", "lamp"]) == "<cap> bush none lamp A4 </cap>"
    assert captions.caption(captions.believed(things), ["person"]) == "<cap> person C1 B2 A4 </cap>"


def test_questions_are_read_as_worded_and_as_word_tokens_leave_them():
    assert captions.parse("How many people are there?") == captions.Asked("count", "person")
    assert captions.parse(" In which cell is  the lamp ?") == captions.Asked("cell", "lamp")
    assert captions.parse("Is there a bush in the top half?") == captions.Asked("exists", "bush", "top")
    for other in ("", "How many posters are there?", "Where is the person?", "is there a bush in the top half?"):
        assert captions.parse(other) is None


def test_a_credulous_answer_counts_lookalikes():
    fooled = Counter()
    for sample in WORLD.dataset("train", n=360):
        found, believed = places(sample), WORLD.credulous(sample)
        lookalikes = found["poster"] + found["lamp"]
        if not lookalikes or "pe" not in sample.question:
            assert believed is None
            continue
        task = sample.metadata["task"]
        fooled[task] += 1
        if task == "count":
            assert int(believed.truth) == int(sample.truth) + len(lookalikes)
        elif task == "cell":
            assert believed.truth == min(lookalikes, key=lambda cell: cell[::-1])
        else:
            assert believed.truth == "yes" or sample.truth == "no"
    assert min(fooled.values()) > 20

"""Drills: short questions whose answers are read again from what the scene's description says."""

import re
from collections import Counter

import pytest
import torch

from vantage import worlds
from vantage.errors import ConfigError
from vantage.tiny.architecture import build_processor
from vantage.tiny.drills import ASKED, Drills, Stage
from vantage.tiny.lessons import IGNORED, Teacher, collate
from vantage.tiny.vocabulary import EOS, WORDS
from vantage.worlds.canvas import CELLS

PROCESSOR = build_processor()
CELL = re.compile("[A-D][1-4]")


def drills(world: str, stage: Stage, n: int = 24):
    """Samples of a world, each with its lesson and the drill upon it."""
    teacher = Teacher(PROCESSOR, (world,))
    maker = Drills((stage,), teacher.kinds, seed=1)
    for sample in worlds.get(world).dataset(n=n):
        lesson = teacher.lesson(sample)
        yield sample, lesson, maker.drilled(lesson, 0)


def shown(sample) -> dict[tuple[str, str], set[str]]:
    """Cells of every kind that every source shows, from the description; a figure behind a screen is what counts."""
    held = {}
    for thing in sample.metadata["objects"]:
        marks = [mark for mark in ("glass", "struck") if thing.get(mark)]
        held[thing.get("source", ""), thing["cell"]] = " ".join([*marks, thing["kind"]])
    found: dict[tuple[str, str], set[str]] = {}
    for (source, cell), kind in held.items():
        found.setdefault((kind, source), set()).add(cell)
    return found


def asked(drill) -> list[tuple[list[str], list[str]]]:
    """Question and reply of every part of a drill: what is not learned, and what is."""
    parts, question, reply = [], [], []
    for token, learned in zip(drill.completion, drill.learned, strict=True):
        word = WORDS[token]
        if word in (",", EOS):
            assert learned
            parts += [(question, reply)] if question else []
            question, reply = [], []
        else:
            (reply if learned else question).append(word)
    return parts


@pytest.mark.parametrize("find", [0.0, 1.0])
@pytest.mark.parametrize("world", ["night", "counting", "pages", "cameras", "transform"])
def test_every_reply_is_what_the_scene_holds(world, find):
    for sample, _, drill in drills(world, Stage(1, share=1.0, find=find)):
        things = shown(sample)
        parts = asked(drill)
        assert len(parts) == min(len(things), ASKED)
        for question, reply in parts:
            source = question[-1] if question[-1] in sample.sources else ""
            first = " ".join(question[: len(question) - bool(source)])
            if find:
                assert reply == sorted(things[first, source], key=CELLS.index)
            else:
                assert CELL.fullmatch(first)
                assert first in things[" ".join(reply), source]


def test_alone_one_source_is_shown_and_none_named():
    views = Counter()
    for sample, lesson, drill in drills("pages", Stage(1, share=1.0, alone=1.0, find=1.0)):
        (view,) = drill.views
        assert view in lesson.views[1:]
        views[view] += 1
        page = list(sample.sources)[view[0]]
        things = shown(sample)
        for question, reply in asked(drill):
            assert reply == sorted(things[" ".join(question), page], key=CELLS.index)
    assert set(views) == {(0, 0), (1, 1)}


def test_only_replies_are_learned():
    (_, lesson, drill), *_ = drills("pages", Stage(1, share=1.0))
    batch = collate([drill, lesson], [0, 0])
    start = len(drill.prompt)
    wanted = [token if learned else IGNORED for token, learned in zip(drill.completion, drill.learned, strict=True)]
    assert batch.targets[0, start - 1 : start - 1 + len(wanted)].tolist() == wanted
    assert torch.equal(batch.targets[1][batch.targets[1] != IGNORED], torch.tensor(lesson.completion))
    assert batch.slots.tolist() == [0, 1, 0, 1]


def test_stages_end_one_after_the_other():
    teacher = Teacher(PROCESSOR, ("pages",))
    lesson = teacher.lesson(worlds.get("pages").dataset(n=1)[0])
    maker = Drills((Stage(10, 1.0), Stage(20, 0.5)), teacher.kinds, seed=0)
    made = [sum(maker.drilled(lesson, step) is not None for _ in range(400)) / 400 for step in (0, 9, 10, 19, 20)]
    assert made[:2] == [1.0, 1.0]
    assert all(abs(share - 0.5) < 0.1 for share in made[2:4])
    assert made[4] == 0
    with pytest.raises(ConfigError, match=r"one after the other; got \[20, 10\]"):
        Drills((Stage(20, 1.0), Stage(10, 1.0)), teacher.kinds, seed=0)
    with pytest.raises(ConfigError, match=r"shares are in \[0, 1\]"):
        Stage(10, share=1.5)


def test_changes_are_asked_where_both_pictures_are_shown():
    teacher = Teacher(PROCESSOR, ("transform",))
    maker = Drills((Stage(1, share=1.0, alone=0.5),), teacher.kinds, seed=2, changes=True)
    seen = Counter()
    for sample in worlds.get("transform").dataset(n=24):
        drill = maker.drilled(teacher.lesson(sample), 0)
        looks = [
            {t["cell"]: t["kind"] for t in sample.metadata["objects"] if t["source"] == source}
            for source in sample.sources
        ]
        apart = [cell for cell in CELLS if looks[0].get(cell) != looks[1].get(cell)]
        both = drill.views == ((0, 1),)
        assert (asked(drill)[-1] == (["change"], apart)) == both
        assert ("change" in [word for question, _ in asked(drill) for word in question]) == both
        seen[both] += 1
    assert min(seen.values()) > 4

"""Specialists: made again from the tiny model, by lessons that say what stands in every cell."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from vantage import tiny, worlds
from vantage.errors import ConfigError
from vantage.tiny.architecture import build_processor
from vantage.tiny.lessons import Teacher
from vantage.tiny.specialists import CURRICULA
from vantage.worlds.canvas import CELLS

PROCESSOR = build_processor()


@pytest.mark.parametrize("name", ["tiny-counting", "tiny-transform"])
def test_training_again_gives_the_same_weights(name, tmp_path):
    short = replace(CURRICULA[name], steps=2, sight_steps=1, batch=4, fresh=4, pool=8)
    first, second, other = (
        load_file(tiny.train_specialist(name, tmp_path / str(i), short, seed=seed, progress=None) / "model.safetensors")
        for i, seed in enumerate((3, 3, 4))
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_a_name_that_there_is_not_is_told_with_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match=r"'tiny-depth'.*tiny-counting, tiny-transform"):
        tiny.train_specialist("tiny-depth", tmp_path)


def test_no_specialist_is_taught_from_what_it_is_tested_on():
    for name, curriculum in CURRICULA.items():
        own = name.removeprefix("tiny-")
        assert f"{own}/hard" not in curriculum.scenes
        twins = {scene for scene in curriculum.scenes if not scene.startswith(f"{own}/")}
        assert twins <= {"counting-ood/easy"}, "of twins the words and looks alone"


def test_lessons_of_changes_say_what_each_picture_shows():
    teacher = Teacher(PROCESSOR, CURRICULA["tiny-transform"].scenes)
    for sample in worlds.get("transform").dataset(n=16):
        lesson = teacher.lesson(sample)
        before, after = lesson.kinds
        assert lesson.differ
        assert ((before > 0).sum(), (after > 0).sum()) == (4, 4)
        moved = sum("position" in change for change in sample.truth)
        # A move changes two cells, any other change one.
        assert (before != after).sum() == len(sample.truth) + moved
        for cell in sample.metadata["reasoning"].split()[::2]:
            assert before[CELLS.index(cell)] != after[CELLS.index(cell)]


def test_lessons_of_sums_tell_ghosts_from_figures():
    teacher = Teacher(PROCESSOR, CURRICULA["tiny-counting"].scenes)
    ghosts = 0
    for sample in worlds.get("counting").dataset(n=40):
        lesson = teacher.lesson(sample)
        for thing in sample.metadata["objects"]:
            kinds = {teacher.kinds[kind] for kind in lesson.kinds[:, CELLS.index(thing["cell"])]}
            assert kinds == {thing["kind"]} or thing["kind"] == "screen"
            ghosts += thing["kind"] == "ghost"
    assert ghosts > 10

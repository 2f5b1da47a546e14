"""Lessons of worlds whose pictures show different things."""

import pytest
from transformers import AutoProcessor

from vantage import tiny, worlds
from vantage.tiny.lessons import Teacher


@pytest.mark.parametrize("name", ["cameras", "pages"])
def test_lessons_say_what_every_picture_shows(name):
    """Each thing stands once, in its own picture and cell."""
    teacher = Teacher(AutoProcessor.from_pretrained(tiny.path()), (f"{name}/hard",))
    for sample in worlds.get(name).dataset(n=12):
        lesson, things = teacher.lesson(sample), sample.metadata["objects"]
        assert lesson.differ
        assert (lesson.kinds > 0).sum() == len(things)
        for thing in things:
            row = list(sample.sources).index(thing["source"])
            place = 4 * (int(thing["cell"][1]) - 1) + "ABCD".index(thing["cell"][0])
            assert teacher.kinds[lesson.kinds[row, place]].endswith(thing["kind"])
            assert teacher.kinds[lesson.kinds[row, place]].startswith("struck") == bool(thing.get("struck"))

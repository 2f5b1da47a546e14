from pathlib import Path

import pytest

from rows import write_picture
from scripted import sample
from vantage.evaluation.scenes import scene_of
from vantage.samples import Sample


def test_metadata_names_a_scene():
    assert scene_of(sample("a", "rgb", scene="street")) == scene_of(sample("b", "rgb", scene="street"))
    assert scene_of(sample("a", "rgb", group=7)) == scene_of(sample("b", "rgb", group="7"))
    assert scene_of(sample("a", "rgb", scene="x", group="y")) != scene_of(sample("b", "rgb", scene="z", group="y"))
    assert scene_of(sample("a", "rgb", scene="7")) != scene_of(sample("a", "rgb", group="7"))


def test_questions_about_the_same_pictures_are_about_one_scene(tmp_path: Path):
    one, other = write_picture(tmp_path / "one.png"), write_picture(tmp_path / "other.png")

    def asked(name: str, *files: Path) -> Sample:
        return Sample(name, "What?", dict(zip(("rgb", "infrared"), files, strict=True)), "yes", "answer")

    assert scene_of(asked("a", one, other)) == scene_of(asked("b", one, other))
    assert scene_of(asked("a", one, other)) != scene_of(asked("b", one, one))


@pytest.mark.parametrize("given", [{}, {"scene": ""}, {"scene": None}, {"scene": ["a"]}, {"scene": True}])
def test_pictures_without_a_name_are_scenes_of_their_own(given):
    assert scene_of(sample("a", "rgb", **given)) == "id:a" != scene_of(sample("b", "rgb", **given))

"""Drawn scenes and pictures of one's own as samples."""

import numpy as np
import pytest
from PIL import Image

from rows import write_bomb, write_picture
from spoken import way
from vantage.app import scenes
from vantage.app.scenes import Slot
from vantage.errors import ConfigError, PictureError, VantageError

EMPTY = Slot("view", None)


@pytest.fixture
def slots(tmp_path) -> list[Slot]:
    return [
        Slot("rgb", str(write_picture(tmp_path / "a.png"))),
        Slot("infrared", str(write_picture(tmp_path / "b.png"))),
    ]


def drawn(tmp_path, turn: int = 0):
    """A scene, and the page's slots as they stand after it was drawn."""
    scene = scenes.scene(way({}, worlds=("night", "depth")), turn)
    slots = []
    for name in scene.sources:
        scene.picture(name).save(tmp_path / f"{name}.png")
        slots.append(Slot(name, str(tmp_path / f"{name}.png")))
    return scene, slots


def test_pictures_become_the_sources_of_a_question(slots):
    sample = scenes.sample([slots[0], EMPTY, Slot(" infrared ", slots[1].path), EMPTY], " How many? ")
    assert list(sample.sources) == ["rgb", "infrared"] and sample.question == "How many?"
    assert sample.truth is None


@pytest.mark.parametrize(
    ("names", "question", "message"),
    [
        ((), "How many?", "no picture yet"),
        (("rgb", "infrared"), " ", "no question yet"),
        (("rgb", ""), "How many?", "Picture 2 has no name"),
        (("rgb", "  "), "How many?", "Picture 2 has no name"),
        (("rgb", " rgb"), "How many?", "Two pictures are called 'rgb'"),
    ],
)
def test_what_is_missing_is_said(slots, names, question, message):
    with pytest.raises(ConfigError, match=message):
        scenes.sample([Slot(name, slots[0].path) for name in names], question)


def test_a_file_that_is_no_picture_is_named_by_its_source(tmp_path, slots):
    (tmp_path / "notes.png").write_text("hello")
    with pytest.raises(PictureError, match="The picture 'depth' cannot be shown") as raised:
        scenes.sample([slots[0], Slot("depth", str(tmp_path / "notes.png"))], "How many?")
    assert "notes.png" in str(raised.value) and str(tmp_path) not in str(raised.value)
    for path in (write_bomb(tmp_path / "bomb.png"), tmp_path / "gone.png", tmp_path):
        with pytest.raises(PictureError, match="The picture 'depth' cannot be shown"):
            scenes.sample([Slot("depth", str(path))], "How many?")


def test_more_than_8_bits_are_shown_by_a_named_mapping_only(tmp_path):
    path = tmp_path / "mapping.png"
    Image.fromarray(np.full((8, 8), 3000, np.uint16)).save(path)
    assert scenes.deep(str(path))
    with pytest.raises(PictureError, match="The picture 'depth' has more than 8 bits a channel"):
        scenes.sample([Slot("depth", str(path))], "How far?")
    sample = scenes.sample([Slot("depth", str(path), "depth:1000-5000")], "How far?")
    # 1 + 254 * (5000 - 3000) / 4000 = 128
    assert sample.picture("depth").getpixel((0, 0)) == (128, 128, 128)


def test_a_picture_of_8_bits_and_a_broken_one_need_no_mapping(tmp_path, slots):
    (tmp_path / "mapping.txt").write_text("mapping")
    assert not scenes.deep(slots[0].path) and not scenes.deep(str(tmp_path / "mapping.txt"))


def test_only_a_picture_that_no_browser_shows_is_handed_over_as_pixels(tmp_path):
    colours = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    for name in ("a.tif", "a.ppm", "a.png", "a.jpg", "a.webp"):
        Image.fromarray(colours).save(tmp_path / name)
    for name in ("a.tif", "a.ppm"):
        assert (np.asarray(scenes.foreign(str(tmp_path / name))) == colours).all()
    for name in ("a.png", "a.jpg", "a.webp", "gone.tif"):
        assert scenes.foreign(str(tmp_path / name)) is None


@pytest.mark.parametrize("mapping", ["<script>", "depth:9-1", "depth:1e999-2", "x" * 100_000, "\0", "thermal:-1-5"])
def test_a_mapping_that_there_is_not(slots, mapping):
    with pytest.raises(VantageError, match=r"mapping|range"):
        scenes.sample([Slot("rgb", slots[0].path, mapping)], "How many?")


def test_scenes_come_from_each_world_in_turn_and_again_only_after_a_thousand():
    told = way({}, worlds=("night", "depth"))
    ids = [scenes.scene(told, turn).id for turn in range(6)]
    assert [name.partition("/")[0] for name in ids] == ["night", "depth"] * 3
    assert len(set(ids)) == 6
    assert scenes.scene(told, 2 * scenes.DRAWN).id == ids[0]


@pytest.mark.parametrize("turn", [0, 1])
def test_a_drawn_scene_keeps_its_truth(tmp_path, turn):
    scene, slots = drawn(tmp_path, turn)
    found = scenes.sample([*slots, EMPTY], f" {scene.question}", scene.id)
    assert found.truth == scene.truth and found.metadata == scene.metadata


@pytest.mark.parametrize("touched", ["question", "name", "picture", "order", "fewer", "more"])
def test_a_drawn_scene_that_was_touched_has_no_truth(tmp_path, touched):
    scene, slots = drawn(tmp_path)
    question = scene.question
    if touched == "question":
        question = "How many posters are there?"
    elif touched == "name":
        slots[0] = Slot("colour", slots[0].path)
    elif touched == "picture":
        picture = Image.open(slots[1].path)
        picture.putpixel((0, 0), (1, 2, 3))
        picture.save(slots[1].path)
    elif touched == "order":
        slots.reverse()
    elif touched == "fewer":
        slots.pop()
    else:
        slots.append(Slot("depth", slots[0].path))
    found = scenes.sample(slots, question, scene.id)
    assert found.truth is None and "frame" not in found.metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rows import row
from vantage.errors import ConfigError, DataError, PictureError
from vantage.pictures import Source
from vantage.rewards import frames
from vantage.rewards.frames import Frame
from vantage.samples import Sample

FRAMES = ["pixel", "resized", "relative", "relative:8", "relative:1", "relative:999.5", "relative:1234567.25"]
sides = st.integers(1, 20_000)
numbers = st.floats(-1e4, 1e4)


@pytest.mark.parametrize("text", FRAMES)
def test_a_frame_is_written_as_it_is_read(text):
    assert Frame.parse(str(Frame.parse(text))) == Frame.parse(text)


@pytest.mark.parametrize("text", ["", "Pixel", "relative:", "relative:0", "relative:-8", "relative:nan", "relative:inf",
                                  "relative:8:8", "pixel:3", "absolute", None, 1000])  # fmt: skip
def test_anything_else_is_no_frame(text):
    with pytest.raises(ConfigError, match=r"no coordinate frame; a frame is 'pixel'"):
        Frame.parse(text)


@given(
    st.sampled_from(FRAMES),
    st.tuples(numbers, numbers, numbers, numbers),
    st.tuples(sides, sides),
    st.tuples(sides, sides),
)
def test_there_and_back_is_the_same_box(text, box, image, resized):
    frame = Frame.parse(text)
    there = frame.from_pixels(box, image, resized)
    assert frame.to_pixels(there, image, resized) == pytest.approx(box, rel=1e-9, abs=1e-9)


def test_values_worked_by_hand():
    assert Frame.parse("relative").to_pixels((0, 500, 250, 1000), (1280, 1024)) == (0, 512, 320, 1024)
    assert Frame.parse("relative:8").to_pixels((2, 1, 4, 5), (64, 48)) == (16, 6, 32, 30)
    assert Frame.parse("resized").to_pixels((644, 518, 1288, 1036), (1280, 1024), (1288, 1036)) == (
        640,
        512,
        1280,
        1024,
    )
    assert Frame.parse("pixel").to_pixels((1, 2, 3, 4), (9, 9)) == (1, 2, 3, 4)


def test_the_resized_frame_needs_its_size():
    with pytest.raises(DataError, match="with_resized_size"):
        Frame.parse("resized").to_pixels((1, 2, 3, 4), (9, 9))
    with pytest.raises(DataError, match=r"'r1'.*'resized_size'"):
        frames.convert([(1, 2, 3, 4)], row(None), Frame.parse("resized"), Frame.parse("pixel"))


def test_a_frame_is_never_guessed():
    with pytest.raises(DataError, match=r"'r1': no coordinate frame in metadata\['frame'\]"):
        frames.frame_of(row(None))
    with pytest.raises(DataError, match=r"'r1', metadata\['frame'\]: 'px'"):
        frames.frame_of(row(None, frame="px"))
    assert frames.frame_of(row(None), "truth_frame", "pixel") == Frame.parse("pixel")


def test_the_size_comes_from_metadata_or_the_first_header():
    sample = row(None, size=(64, 48))
    assert frames.image_size(sample) == (64, 48)
    assert frames.image_size(row(None, image_size=[1280, 1024])) == (1280, 1024)
    for wrong in ([1280], [0, 5], ["a", 1], [True, 1], "1280x1024"):
        with pytest.raises(DataError, match=r"'r1': metadata\['image_size'\]"):
            frames.image_size(row(None, image_size=wrong))


def test_equal_frames_need_no_size(tmp_path):
    gone = Sample("r1", "?", {"rgb": Source(tmp_path / "gone.png")}, None, "box")
    same = Frame.parse("pixel")
    assert frames.convert([(1, 2, 3, 4)], gone, same, same) == [(1, 2, 3, 4)]
    with pytest.raises(PictureError, match="no such file"):
        frames.convert([(1, 2, 3, 4)], gone, Frame.parse("relative"), same)


def test_the_header_is_read_once_however_many_boxes(monkeypatch):
    calls = []
    monkeypatch.setattr(Source, "size", lambda self: calls.append(self) or (64, 48))
    sample = Sample("r1", "?", {"rgb": Source(Image.new("RGB", (4, 4)))}, None, "box")
    frames.convert([(1, 2, 3, 4)] * 50, sample, Frame.parse("relative"), Frame.parse("pixel"))
    assert len(calls) == 1

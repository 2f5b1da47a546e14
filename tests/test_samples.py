import numpy as np
import pytest
from PIL import Image

from rows import write_bomb, write_picture
from vantage.errors import DataError, PictureError
from vantage.groups import FUSED, guest, mono
from vantage.pictures import MAX_PIXELS, Source
from vantage.samples import PromptStyle, Sample, Slot, view

NAMES = ("rgb", "infrared", "depth", "left", "right", "rear")


def sample(count=2, **kwargs):
    sources = {name: Source(Image.new("RGB", (4, 3), (i * 40, 0, 0)), ref=name) for i, name in enumerate(NAMES[:count])}
    return Sample("r1", "How many?", sources, "3", "answer", **kwargs)


@pytest.mark.parametrize("count", range(1, 7))
def test_fused_shows_each_source_in_its_own_slot(count):
    assert view(sample(count)) == tuple(Slot(name, name) for name in NAMES[:count])
    assert view(sample(count), guest("gpt")) == view(sample(count), FUSED)


@pytest.mark.parametrize("count", range(1, 7))
def test_filling_keeps_every_label_and_shows_one_source(count):
    for name in NAMES[:count]:
        slots = view(sample(count), mono(name), "fill")
        assert [slot.label for slot in slots] == list(NAMES[:count])
        assert {slot.source for slot in slots} == {name}


@pytest.mark.parametrize("count", range(1, 7))
def test_dropping_keeps_one_slot(count):
    for name in NAMES[:count]:
        assert view(sample(count), mono(name), "drop") == (Slot(name, name),)


@pytest.mark.parametrize("how", ["fill", "drop"])
def test_a_source_that_the_row_lacks_is_named(how):
    with pytest.raises(DataError, match=r"row 'r1' has no source 'radar'; it has rgb, infrared"):
        view(sample(), mono("radar"), how)


def test_a_sample_needs_named_sources():
    with pytest.raises(DataError, match="row 'r1': a sample needs at least one source"):
        Sample("r1", "?", {}, "3", "answer")
    for name in ("", "  ", None, 0):
        with pytest.raises(DataError, match="row 'r1': a source needs a name"):
            Sample("r1", "?", {name: "a.png"}, "3", "answer")


def test_pictures_come_as_paths_or_in_memory(tmp_path):
    made = Sample("r1", "?", {"rgb": tmp_path / "a.png", "ir": "b.png", "d": Image.new("L", (2, 2))}, "3", "answer")
    assert [source.ref for source in made.sources.values()] == [
        str(tmp_path / "a.png"),
        "b.png",
        "<picture in memory>",
    ]
    with pytest.raises(PictureError, match="a path or a PIL image, not ndarray"):
        Source(np.zeros((2, 2, 3)))
    with pytest.raises(PictureError, match="not NoneType"):
        Sample("r1", "?", {"rgb": None}, "3", "answer")


def test_a_missing_file_is_named(tmp_path):
    for call in (Source(tmp_path / "gone.png").load, Source(tmp_path / "gone.png").size):
        with pytest.raises(PictureError, match=r"gone\.png: no such file"):
            call()


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_what_is_no_picture_is_refused(content, tmp_path):
    (tmp_path / "odd.png").write_bytes(content)
    for call in (Source(tmp_path / "odd.png").load, Source(tmp_path / "odd.png").size):
        with pytest.raises(PictureError, match=r"odd\.png: not a readable picture"):
            call()
    with pytest.raises(PictureError, match="not a readable picture"):
        Source(tmp_path).load()  # a folder


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
def test_a_file_cut_short_is_refused_when_it_is_decoded(suffix, tmp_path):
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PictureError, match=rf"cut\.{suffix}"):
        Source(path).load()


def test_a_decompression_bomb_is_refused_undecoded(tmp_path):
    path = write_bomb(tmp_path / "bomb.png")
    assert path.stat().st_size < 200
    for call in (Source(path).load, Source(path).size):
        with pytest.raises(PictureError, match=r"bomb\.png: .*(60000x60000|decompression bomb)"):
            call()
    # Below the size at which Pillow warns or refuses, and above ours.
    middle = write_bomb(tmp_path / "middle.png", side=int(MAX_PIXELS**0.5) + 1)
    with pytest.raises(PictureError, match=r"8001x8001 is more than 64,000,000 pixels"):
        Source(middle).size()


@pytest.mark.filterwarnings("error")
def test_the_largest_picture_that_is_allowed_has_a_size(tmp_path):
    assert Source(write_bomb(tmp_path / "large.png", side=8000)).size() == (8000, 8000)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_values_that_are_not_8_bit_are_never_guessed(mode, tmp_path):
    path = tmp_path / "depth.tif"
    Image.new(mode, (4, 3)).save(path)
    with pytest.raises(PictureError, match=r"depth\.tif: mode .* is not 8-bit"):
        Source(path).load()
    assert Source(path).size() == (4, 3)
    with pytest.raises(PictureError, match="<picture in memory>: mode"):
        Source(Image.new(mode, (4, 3))).load()


def test_a_16_bit_png_is_refused(tmp_path):
    Image.fromarray(np.full((3, 4), 40_000, dtype=np.uint16)).save(tmp_path / "depth.png")
    with pytest.raises(PictureError, match="not 8-bit"):
        Source(tmp_path / "depth.png").load()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_every_8_bit_mode_becomes_rgb(mode, tmp_path):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(path)
    loaded = Source(path).load()
    assert (loaded.mode, loaded.size) == ("RGB", (4, 3))
    assert loaded.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_lies_on_its_side_in_the_file_stands_up(orientation, suffix, tmp_path):
    """A camera writes which way is up into EXIF; boxes and questions are about the picture as people see it."""
    corner = {1: (4, 4), 2: (35, 4), 3: (35, 15), 4: (4, 15), 5: (4, 4), 6: (15, 4), 7: (15, 35), 8: (4, 35)}
    picture = Image.new("RGB", (40, 20))
    picture.paste((255, 255, 255), (0, 0, 8, 8))  # white at the upper left of what the sensor saw
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"phone.{suffix}"
    picture.save(path, exif=exif)
    for source in (Source(path), Source(Image.open(path))):
        loaded = source.load()
        assert source.size() == loaded.size == ((40, 20) if orientation < 5 else (20, 40))
        assert min(loaded.getpixel(corner[orientation])) > 200
        assert sum(min(pixel) > 128 for pixel in loaded.get_flattened_data()) in range(50, 80)


def test_an_orientation_that_does_not_exist_is_none(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 0
    Image.new("RGB", (40, 20)).save(tmp_path / "odd.jpg", exif=exif)
    assert Source(tmp_path / "odd.jpg").load().size == Source(tmp_path / "odd.jpg").size() == (40, 20)


def test_a_picture_in_memory_stays_as_it_is():
    picture = Image.new("RGB", (4, 3), (9, 9, 9))
    source = Source(picture)
    source.load().putpixel((0, 0), (1, 2, 3))
    assert source.size() == (4, 3)
    assert picture.getpixel((0, 0)) == (9, 9, 9)


def test_files_are_not_held_open(tmp_path):
    path = write_picture(tmp_path / "a.png")
    first = Source(path).load()
    path.unlink()
    assert first.getpixel((0, 0)) == (9, 60, 200)


def texts(message):
    return [part["text"] for part in message["content"] if part["type"] == "text"]


def colours(message):
    return [part["image"].getpixel((0, 0))[0] for part in message["content"] if part["type"] == "image"]


def test_a_prompt_is_pictures_then_the_question():
    (user,) = PromptStyle().messages(sample(3))
    assert user["role"] == "user"
    assert [part["type"] for part in user["content"]] == ["image", "image", "image", "text"]
    assert colours(user) == [0, 40, 80]
    assert texts(user) == ["How many?"]


def test_a_prompt_may_carry_a_system_message_labels_and_an_instruction():
    system, user = PromptStyle(system="Be brief.", label_sources=True, instruction="Use tags.").messages(sample())
    assert system == {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    assert [part["type"] for part in user["content"]] == ["text", "image", "text", "image", "text"]
    assert texts(user) == ["rgb", "infrared", "How many?\nUse tags."]


def test_a_filled_prompt_differs_in_pictures_alone():
    style = PromptStyle(label_sources=True)
    (fused,), (single,) = style.messages(sample()), style.messages(sample(), mono("infrared"))
    assert texts(single) == texts(fused)
    assert (colours(fused), colours(single)) == ([0, 40], [40, 40])
    (dropped,) = style.messages(sample(), mono("infrared"), "drop")
    assert texts(dropped) == ["infrared", "How many?"]


def test_pictures_already_decoded_are_used():
    decoded = {name: Image.new("RGB", (1, 1), (7, 0, 0)) for name in ("rgb", "infrared")}
    (user,) = PromptStyle().messages(sample(), pictures=decoded)
    assert colours(user) == [7, 7]
    (partly,) = PromptStyle().messages(sample(), pictures={"rgb": decoded["rgb"]})
    assert colours(partly) == [7, 40]

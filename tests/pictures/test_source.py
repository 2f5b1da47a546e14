import hashlib
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from rows import write_bomb, write_picture
from vantage import pictures
from vantage.errors import ConfigError, PictureError
from vantage.pictures import MAX_PIXELS, Source
from vantage.samples import Sample


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


def test_bytes_are_a_picture_too(tmp_path):
    path = write_picture(tmp_path / "a.png")
    source = Source(path.read_bytes(), ref="rows.parquet, row 3")
    assert source.size() == (64, 48)
    assert source.load().getpixel((0, 0)) == (9, 60, 200)
    with pytest.raises(PictureError, match="row 4: not a readable picture"):
        Source(b"no picture", ref="rows.parquet, row 4").load()


def test_a_hash_pins_the_content(tmp_path):
    path = write_picture(tmp_path / "a.png")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    source = Source(path, sha256=digest)
    assert Source(path).digest() == source.digest() == Source(path.read_bytes()).digest() == digest
    assert source.load().size == (64, 48)
    write_picture(path, colour=(200, 0, 0))
    for call in (source.load, source.content, source.digest):
        with pytest.raises(PictureError, match=rf"a\.png: this is not the picture of sha256 {digest}"):
            call()
    with pytest.raises(PictureError, match="64 digits"):
        Source(path, sha256="abc")


def test_a_picture_in_memory_has_content():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8))
    kept = Source(Source(noise).content()).load()
    assert np.array_equal(np.asarray(kept), np.asarray(noise))


@pytest.fixture
def decoded(monkeypatch):
    """How often a picture was decoded."""
    calls = []
    original = Source._decode
    monkeypatch.setattr(Source, "_decode", lambda self: calls.append(self.ref) or original(self))
    return calls


def test_a_file_is_decoded_once_until_it_changes(tmp_path, decoded):
    path = write_picture(tmp_path / "a.png")
    first, second = Source(path).load(), Source(path).load()
    assert len(decoded) == 1
    first.putpixel((0, 0), (1, 2, 3))  # what a caller does to its copy is its own affair
    assert second.getpixel((0, 0)) == Source(path).load().getpixel((0, 0)) == (9, 60, 200)
    write_picture(path, size=(10, 10), colour=(1, 1, 1))
    assert Source(path).load().size == (10, 10)
    path.unlink()
    with pytest.raises(PictureError, match="no such file"):
        Source(path).load()


def test_what_is_kept_is_bounded(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(pictures.source, "KEPT_BYTES", 4 * 64 * 48 * 2)
    paths = [write_picture(tmp_path / f"{i}.png") for i in range(3)]
    for path in [*paths, *paths]:  # each falls out before it comes again
        Source(path).load()
    assert len(decoded) == 6
    Source(paths[2]).load()
    assert len(decoded) == 6


def test_threads_share_what_is_kept(tmp_path):
    paths = [write_picture(tmp_path / f"{i}.png", colour=(i, i, i)) for i in range(8)]
    wrong = []

    def look():
        for _ in range(20):
            wrong.extend(i for i, path in enumerate(paths) if Source(path).load().getpixel((0, 0)) != (i, i, i))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_mapping_makes_16_bit_depth_readable(tmp_path):
    Image.fromarray(np.array([[0, 300, 10_000]], dtype=np.uint16)).save(tmp_path / "d.png")
    loaded = Source(tmp_path / "d.png", mapping="depth").load()
    assert [loaded.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (255, 255, 255), (1, 1, 1)]
    # Eight bits are left as they are.
    assert Source(write_picture(tmp_path / "a.png"), mapping="depth").load().getpixel((0, 0)) == (9, 60, 200)
    with pytest.raises(ConfigError, match="'fog' is no mapping of pictures; known: depth"):
        Source(tmp_path / "d.png", mapping="fog")


def write_deep(path, colour, samples):
    """A PNG of 16 bits a channel of one colour, written by hand: Pillow writes none of several channels."""
    kind = {2: 4, 3: 2, 4: 6}[len(samples)]

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    row = b"\0" + struct.pack(f">{len(samples)}H", *samples) * colour[0]
    header = struct.pack(">IIBBBBB", *colour, 16, kind, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * colour[1])) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ((0x1234, 0x00FF, 0xABCD), (0x12, 0x00, 0xAB)),
        ((0x1234, 0x00FF, 0xABCD, 0xFFFF), (0x12, 0x00, 0xAB)),
        ((0x4321, 0xFFFF), (0x43,) * 3),
    ],
)
def test_sixteen_bits_of_several_channels_are_never_cut_unasked(tmp_path, samples, expected):
    path = write_deep(tmp_path / "deep.png", (4, 3), samples)
    assert Source(path).size() == (4, 3)
    for mapping in ("", "depth"):
        with pytest.raises(PictureError, match=r"deep\.png: mode \w+ of 16 bits a channel .* mapping high-byte"):
            Source(path, mapping=mapping).load()
    assert Source(path, mapping="high-byte").load().getpixel((3, 2)) == expected


def test_what_is_transparent_is_white(tmp_path):
    clear, half = (200, 0, 0, 0), (0, 0, 0, 128)
    picture = Image.new("RGBA", (2, 1), clear)
    picture.putpixel((1, 0), half)
    picture.save(tmp_path / "rgba.png")
    loaded = Source(tmp_path / "rgba.png").load()
    assert [loaded.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (127, 127, 127)]
    Image.new("LA", (1, 1), (10, 0)).save(tmp_path / "la.png")
    indexed = Image.new("RGB", (1, 1), (9, 9, 9)).quantize()
    indexed.save(tmp_path / "p.png", transparency=indexed.getpixel((0, 0)))
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "key.png", transparency=(1, 2, 3))
    for name in ("la", "p", "key"):
        assert Source(tmp_path / f"{name}.png").load().getpixel((0, 0)) == (255, 255, 255)
    assert Source(Image.new("PA", (1, 1), (3, 0))).load().getpixel((0, 0)) == (255, 255, 255)


def test_bytes_are_decoded_once_too(tmp_path, decoded):
    content = write_picture(tmp_path / "a.png", colour=(7, 8, 9)).read_bytes()
    source = Source(content)
    first = source.load()
    first.putpixel((0, 0), (1, 2, 3))
    assert source.load().getpixel((0, 0)) == Source(bytes(content)).load().getpixel((0, 0)) == (7, 8, 9)
    assert len(decoded) == 1
    assert source == Source(content)


@pytest.mark.parametrize("form", ["EPS", "PDF", "ICO", "TGA"])
def test_formats_beyond_those_named_are_refused(form, tmp_path):
    path = tmp_path / f"a.{form.lower()}"
    Image.new("RGB", (32, 32)).save(path, form)
    for call in (Source(path).size, Source(path.read_bytes()).load):
        with pytest.raises(PictureError, match="not a readable picture"):
            call()


@pytest.mark.parametrize("given", [{"sha256": 3}, {"sha256": []}, {"mapping": 3}, {"mapping": None}])
def test_settings_of_a_picture_are_texts(given):
    with pytest.raises(PictureError):
        Source(Image.new("RGB", (2, 2)), **given)

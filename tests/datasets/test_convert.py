import json

import numpy as np
import pytest
from PIL import Image

from rows import row, write_picture
from vantage import datasets, worlds
from vantage.datasets.convert import convert
from vantage.errors import ConfigError, DataError, PictureError
from vantage.pictures import Source
from vantage.samples import Sample


def facts(sample):
    return sample.id, sample.question, sample.truth, sample.reward, dict(sample.metadata), list(sample.sources)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_what_is_written_is_read_back(tmp_path, kind):
    scenes = worlds.get("night").dataset("test", n=6)
    samples = [scenes[i] for i in range(6)]
    done = []
    pictures = convert(samples, tmp_path / f"rows.{kind}", lambda *x: done.append(x))
    (moved := tmp_path / "elsewhere").mkdir()
    for name in (f"rows.{kind}", "rows_pictures"):
        (tmp_path / name).rename(moved / name)
    back = datasets.load(f"{kind}:{moved / f'rows.{kind}'}")
    assert [facts(sample) for sample in back] == [facts(sample) for sample in samples]
    for sample, original in zip(back, samples, strict=True):
        for name in sample.sources:
            assert np.array_equal(np.asarray(sample.picture(name)), np.asarray(original.picture(name)))
            assert sample.source(name).sha256
    assert pictures == len(list((moved / "rows_pictures").iterdir())) == 12
    assert done[-1] == (6, 6)
    assert datasets.check(back, decode=True).rows == 6


def test_files_are_copied_as_they_are_and_once(tmp_path):
    path = write_picture(tmp_path / "in" / "a.jpg")
    rows = [Sample(str(i), "?", {"rgb": Source(path)}, "yes", "answer") for i in range(3)]
    assert convert(rows, tmp_path / "rows.jsonl") == 1
    (kept,) = (tmp_path / "rows_pictures").iterdir()
    assert kept.suffix == ".jpg"
    assert kept.read_bytes() == path.read_bytes()


def test_a_mapping_goes_along(tmp_path):
    Image.fromarray(np.array([[0, 300]], dtype=np.uint16)).save(tmp_path / "d.png")
    sample = Sample("r", "?", {"depth": Source(tmp_path / "d.png", mapping="depth")}, "yes", "answer")
    for kind in ("jsonl", "parquet"):
        convert([sample], tmp_path / f"rows.{kind}")
        (back,) = datasets.load(f"{kind}:{tmp_path / f'rows.{kind}'}")
        assert back.picture("depth").getpixel((1, 0)) == (255, 255, 255)


def test_odd_texts_survive(tmp_path):
    odd = {"question": "half \ud800, nul \0, line \u2028 end", "truth": "\u202e1"}
    sample = Sample("r", odd["question"], row("x").sources, odd["truth"], "answer")
    convert([sample], tmp_path / "rows.jsonl")
    (back,) = datasets.load(f"jsonl:{tmp_path / 'rows.jsonl'}")
    assert (back.question, back.truth) == (odd["question"], odd["truth"])
    with pytest.raises(DataError, match=r"no valid Unicode, which Parquet needs; use \.jsonl"):
        convert([sample], tmp_path / "rows.parquet")


def test_truths_of_several_kinds_survive_parquet(tmp_path):
    truths = ["yes", 3, [[1, 2, 3, 4]], 2.5]
    convert([Sample(str(i), "?", row("x").sources, t, "answer") for i, t in enumerate(truths)], tmp_path / "r.parquet")
    assert [sample.truth for sample in datasets.load(f"parquet:{tmp_path / 'r.parquet'}")] == truths


def test_a_picture_that_cannot_be_read_writes_no_rows(tmp_path):
    (tmp_path / "b.png").write_text("no picture")
    for name, reason in (("gone.png", "no such file"), ("b.png", "not a readable picture")):
        bad = Sample("bad", "?", {"rgb": Source(tmp_path / name)}, "yes", "answer")
        with pytest.raises(PictureError, match=rf"row 'bad', source 'rgb': .*{reason}"):
            convert([row("x"), bad], tmp_path / "rows.jsonl")
    assert not (tmp_path / "rows.jsonl").exists()


def test_the_kind_of_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.jsonl or \.parquet"):
        convert([row("x")], tmp_path / "rows.csv")


def test_rows_hold_plain_json(tmp_path):
    convert([row(float("1.5"))], tmp_path / "rows.jsonl")
    (line,) = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert set(json.loads(line)) == {"id", "question", "sources", "truth", "reward", "metadata"}


def test_numbers_beyond_those_of_parquet_come_back(tmp_path):
    rows = [Sample(str(i), "?", row("x").sources, truth, "answer") for i, truth in enumerate([10**30, -(2**63), 3])]
    convert(rows, tmp_path / "rows.parquet")
    assert [sample.truth for sample in datasets.load(f"parquet:{tmp_path / 'rows.parquet'}")] == [10**30, -(2**63), 3]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("truth", [float("nan"), float("-inf"), {1, 2}, [object()]])
def test_what_json_cannot_say_names_the_row(tmp_path, kind, truth):
    with pytest.raises(DataError, match="row 'r1': its truth or metadata cannot be written as JSON"):
        convert([row(truth)], tmp_path / f"rows.{kind}")
    with pytest.raises(DataError, match="row 'r1': its truth or metadata cannot be written as JSON"):
        convert([row("x", note=truth)], tmp_path / f"rows.{kind}")
    assert not (tmp_path / f"rows.{kind}").exists()


@pytest.mark.parametrize("mode", ["CMYK", "F", "I", "I;16", "LAB", "RGBA", "P"])
def test_pictures_in_memory_are_kept_without_loss(tmp_path, mode):
    noise = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    if mode in ("F", "I", "I;16"):
        picture = Image.fromarray(noise[..., 0].astype({"F": np.float32, "I": np.int32, "I;16": np.uint16}[mode]) * 250)
        picture = picture if mode == "I;16" else picture.point(lambda value: value * 300)
    picture = picture if picture.mode == mode else picture.convert(mode)
    convert([Sample("r", "?", {"rgb": Source(picture)}, "yes", "answer")], tmp_path / "rows.jsonl")
    with Image.open(next((tmp_path / "rows_pictures").iterdir())) as kept:
        assert np.array_equal(np.asarray(kept.convert(mode) if mode == "P" else kept), np.asarray(picture))


@pytest.mark.parametrize("mode", ["HSV", "YCbCr"])
def test_a_picture_in_memory_that_no_file_holds(tmp_path, mode):
    with pytest.raises(PictureError, match=rf"row 'r', source 'rgb': .*mode {mode} cannot be kept without loss"):
        convert([Sample("r", "?", {"rgb": Source(Image.new(mode, (2, 2)))}, "yes", "answer")], tmp_path / "rows.jsonl")


def test_a_picture_in_memory_is_kept_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 9, 3), dtype=np.uint8))
    noise.save(tmp_path / "phone.png", exif=exif)
    source = Source(Image.open(tmp_path / "phone.png"))
    again = Source(source.content())
    assert again.size() == source.size() == (4, 9)
    assert again.load().tobytes() == source.load().tobytes()

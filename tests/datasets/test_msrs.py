import json
import math

import pytest

from rows import fenced, shared, write_picture
from vantage import datasets, rewards
from vantage.errors import ConfigError, DataError


def answer(boxes):
    return fenced(json.dumps([{"bbox_2d": box, "label": "thing"} for box in boxes]))


def perfect(n):
    return 0.75 + 1 + (0.3 * math.log(n) if n > 1 else 0)


@pytest.fixture
def folder(tmp_path):
    for stem in ("00001D", "00002N"):
        for kind in ("vi", "ir"):
            write_picture(tmp_path / "test" / kind / f"{stem}.png", (640, 480))
        file = tmp_path / "labels" / "fusion" / "test" / f"{stem}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("2  0.5  0.5  0.25  0.5  \n0 0.1 0.25 0.1 0.25\n0 0.9 0.5 0.1 0.5\n")
    return tmp_path


def test_each_class_that_a_pair_shows_is_a_question_in_pixels(folder):
    samples = datasets.load(f"msrs:{folder}?split=test&frame=relative")
    assert [s.id for s in samples] == [f"msrs/test/{i}/{k}" for i in ("00001D", "00002N") for k in ("person", "car")]
    person, car = samples[:2]
    # The car's centre is (320, 240) and its size 160x240.
    assert car.truth == [[240, 120, 400, 360]]
    assert person.truth == [[32, 60, 96, 180], [544, 120, 608, 360]]
    assert "every car" in car.question
    assert '"label": "car"' in car.question
    assert "person" not in car.question
    assert car.metadata == {"classes": ["car"], "frame": "relative:1000", "truth_frame": "pixel"}
    assert {name: source.ref[-18:] for name, source in car.sources.items()} == {
        "rgb": "test/vi/00001D.png"[-18:],
        "infrared": "test/ir/00001D.png"[-18:],
    }
    # The same boxes in thousandths of the picture.
    written = [[50, 125, 150, 375], [850, 250, 950, 750]]
    assert rewards.call(person.reward, answer(written), person).reward == pytest.approx(perfect(2))


def test_classes_asked_for(folder):
    def names(tasks):
        return [s.id.split("/", 2)[2] for s in datasets.load(f"msrs:{folder}?split=test&tasks={tasks}")]

    assert names("car") == ["00001D/car", "00002N/car"]
    assert names("all") == ["00001D/all", "00002N/all"]
    (every, *_) = datasets.load(f"msrs:{folder}?split=test&tasks=all")
    assert len(every.truth) == 3
    assert "every person, bicycle and car" in every.question
    assert every.metadata["classes"] == ["person", "bicycle", "car"]
    with pytest.raises(ConfigError, match="tasks=dog: no such tasks; there are person, bicycle, car, all"):
        names("dog")
    with pytest.raises(ConfigError, match="split=val: no such split; there are train, test"):
        datasets.load(f"msrs:{folder}?split=val")


def test_a_folder_of_both_splits_is_told_apart_by_the_boxes(folder):
    for kind in ("vi", "ir"):
        (folder / "test" / kind).rename(folder / kind)
    labels = folder / "labels" / "fusion"
    (labels / "train").mkdir()
    (labels / "test" / "00002N.txt").rename(labels / "train" / "00002N.txt")
    for split, stem in (("test", "00001D"), ("train", "00002N")):
        samples = datasets.load(f"msrs:{folder}?split={split}")
        assert [s.id for s in samples] == [f"msrs/{split}/{stem}/person", f"msrs/{split}/{stem}/car"]
        assert samples[0].source("rgb").image == folder / "vi" / f"{stem}.png"
    for kind in ("vi", "ir"):
        write_picture(folder / kind / "00003D.png", (640, 480))
    with pytest.raises(DataError, match=r"^1 problem in 3 rows:\n\S*vi/00003D.png: this pair has no boxes"):
        datasets.load(f"msrs:{folder}?split=test")


def test_other_boxes_can_be_named(folder):
    other = folder / "labels" / "infrared" / "test"
    other.mkdir(parents=True)
    for stem in ("00001D", "00002N"):
        (other / f"{stem}.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    samples = datasets.load(f"msrs:{folder}?split=test&questions={other.parent}")
    assert [s.id for s in samples] == ["msrs/test/00001D/bicycle", "msrs/test/00002N/bicycle"]
    (folder / "labels" / "infrared").rename(folder / "elsewhere")
    with pytest.raises(ConfigError, match=r"no boxes; looked for .txt files in \S*infrared/test, \S*infrared;"):
        datasets.load(f"msrs:{folder}?split=test&questions={other.parent}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.5", "a box is a class 0-2 and four numbers, not '0 0.5 0.5 0.5'"),
        ("3 0.5 0.5 0.5 0.5", "a class 0-2"),
        ("person 0.5 0.5 0.5 0.5", "a class 0-2"),
        ("0 0.5 0.5 x 0.5", "four numbers"),
        ("0 0.5 0.5 0.1 0.1 0.97", "four numbers"),
        ("0 nan 0.5 0.5 0.5", "no box with an area"),
        ("0 0.5 0.5 0 0.5", "no box with an area"),
    ],
)
def test_a_line_that_is_no_box_is_named_and_hides_no_other_row(folder, line, message):
    file = folder / "labels" / "fusion" / "test" / "00001D.txt"
    file.write_text(f"2 0.5 0.5 0.5 0.5\n{line}\n")
    with pytest.raises(DataError, match=rf"^1 problem in 3 rows:\n\S*00001D.txt:2: .*{message}"):
        datasets.load(f"msrs:{folder}?split=test")


def test_a_pair_needs_boxes_and_both_pictures(folder):
    file = folder / "labels" / "fusion" / "test" / "00001D.txt"
    file.write_text("\n")
    with pytest.raises(DataError, match=r"vi/00001D.png: this pair has no boxes in \S*00001D.txt.*unlabelled=drop"):
        datasets.load(f"msrs:{folder}?split=test")
    file.unlink()
    with pytest.raises(DataError, match=r"vi/00001D.png: this pair has no boxes"):
        datasets.load(f"msrs:{folder}?split=test")
    assert len(datasets.load(f"msrs:{folder}?split=test&unlabelled=drop")) == 2
    (folder / "test" / "ir" / "00002N.png").unlink()
    with pytest.raises(DataError, match=r"vi/00002N.png: this picture has no ir partner"):
        datasets.load(f"msrs:{folder}?split=test")
    with pytest.raises(ConfigError, match="no pictures in train/vi, train/ir, vi or ir"):
        datasets.load(f"msrs:{folder}?split=train")


def test_a_picture_that_cannot_be_read_is_named(folder):
    (folder / "test" / "vi" / "00001D.png").write_text("no picture")
    with pytest.raises(DataError, match=r"00001D.txt, person: \S*00001D.png: not a readable picture"):
        datasets.load(f"msrs:{folder}?split=test")


@pytest.mark.parametrize(("split", "pairs"), [("train", 4), ("test", 1)])
def test_real_pairs(split, pairs):
    root = shared("msrs")
    samples = datasets.load(f"msrs:{root}?split={split}&frame=pixel")
    assert len({s.id.split("/")[2] for s in samples}) == pairs
    lines = [
        line.split()
        for file in sorted((root / "labels" / "fusion" / split).glob("*.txt"))
        for line in file.read_text().splitlines()
        if line.strip()
    ]
    assert sum(len(s.truth) for s in samples) == len(lines)
    assert datasets.check(samples, sources=["rgb", "infrared"], decode=True).rows == len(samples)
    for sample in samples:
        score = rewards.call(sample.reward, answer(sample.truth), sample)
        assert score.reward == pytest.approx(perfect(len(sample.truth)))
        assert score.correct
    every = datasets.load(f"msrs:{root}?split={split}&frame=pixel&tasks=all")
    assert len(every) == pairs
    assert datasets.check(every).rows == pairs


def test_boxes_without_pictures_are_named(folder):
    file = folder / "labels" / "fusion" / "test" / "00009D.txt"
    file.write_text("0 0.5 0.5 0.1 0.1\n")
    for more in ("", "&unlabelled=drop"):
        with pytest.raises(DataError, match=r"^1 problem in 5 rows:\n\S*00009D\.txt: these boxes have no pictures$"):
            datasets.load(f"msrs:{folder}?split=test{more}")
    # One folder of boxes for both splits: those of the other split have pictures there.
    write_picture(folder / "train" / "vi" / "00009D.png")
    labels = file.parent.rename(folder / "boxes")
    assert len(datasets.load(f"msrs:{folder}?split=test&questions={labels}")) == 4


def test_how_many_pairs_were_left_out_is_logged_once(folder, caplog):
    (folder / "labels" / "fusion" / "test" / "00002N.txt").unlink()
    assert len(datasets.load(f"msrs:{folder}?split=test&unlabelled=drop")) == 2
    assert [record.getMessage() for record in caplog.records] == [f"{folder}: left out 1 pairs without boxes"]

import json

import pytest

from rows import write_picture
from vantage import datasets
from vantage.datasets.llvip import voc_boxes
from vantage.errors import ConfigError, DataError

THING = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def annotate(file, *things):
    file.parent.mkdir(exist_ok=True)
    body = "".join(THING.format(*thing) for thing in things)
    file.write_text(f"<annotation><size><width>1280</width></size>{body}</annotation>", encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    for stem in ("190001", "190002"):
        for kind in ("visible", "infrared"):
            write_picture(tmp_path / kind / "test" / f"{stem}.jpg", (128, 102))
    return tmp_path


def test_its_own_annotations(folder):
    annotate(folder / "Annotations" / "190001.xml", ("person", 1, 2, 30, 40), ("dog", 5, 5, 6, 6))
    annotate(folder / "Annotations" / "190002.xml", ("person", 1, 2, 30, 40), ("person", 50, 60, 70, 80))
    first, second = datasets.load(f"llvip:{folder}?split=test&frame=relative")
    assert (first.id, first.truth, first.reward) == ("llvip/test/190001", [[1, 2, 30, 40]], "mars-grounding")
    assert second.truth == [[1, 2, 30, 40], [50, 60, 70, 80]]
    assert first.metadata == {"truth_frame": "pixel", "frame": "relative:1000"}
    assert list(first.sources) == ["rgb", "infrared"]
    assert first.source("infrared").ref.endswith("infrared/test/190001.jpg")
    assert datasets.check([first, second], decode=True).rows == 2


def write_questions(folder, stems, name="questions.json"):
    rows = [
        {
            "content": [
                {"type": "image", "image": f"data/images/LLVIP/visible/test/{stem}.jpg"},
                {"type": "image", "image": f"data/images/LLVIP/infrared/test/{stem}.jpg"},
                {"type": "text", "text": "Where?"},
            ],
            "ground_truth": [[1, 2, 30, 40]],
        }
        for stem in stems
    ]
    (folder / name).write_text(json.dumps(rows), encoding="utf-8")


def test_a_question_file(folder):
    write_questions(folder, ["190002", "190001"])
    samples = datasets.load(f"llvip:{folder}?split=test&frame=resized")
    assert [s.source("rgb").ref[-10:] for s in samples] == ["190002.jpg", "190001.jpg"]
    assert samples[0].question == "Where?"
    assert samples[0].metadata == {"frame": "resized", "truth_frame": "pixel"}


def test_which_question_file_is_never_guessed(folder):
    with pytest.raises(DataError, match="no question file; name the file"):
        datasets.load(f"llvip:{folder}?split=test")
    write_questions(folder, ["190001", "190002"], "a.json")
    write_questions(folder, ["190001", "190002"], "b.json")
    with pytest.raises(DataError, match=r"a\.json, b\.json; name the file"):
        datasets.load(f"llvip:{folder}?split=test")
    assert len(datasets.load(f"llvip:{folder}?split=test&questions={folder / 'b.json'}")) == 2


@pytest.mark.parametrize("how", ["questions", "annotations", "nobody in the picture"])
def test_a_pair_without_boxes_is_an_error_that_names_it(folder, how):
    if how == "questions":
        write_questions(folder, ["190001"])
    else:
        annotate(folder / "Annotations" / "190001.xml", ("person", 1, 2, 30, 40))
        if how == "nobody in the picture":
            annotate(folder / "Annotations" / "190002.xml", ("dog", 1, 2, 30, 40))
    with pytest.raises(
        DataError, match=r"^1 problem in 2 rows:\n\S*190002\.jpg: this pair has no boxes.*unlabelled=drop$"
    ):
        datasets.load(f"llvip:{folder}?split=test")
    assert len(datasets.load(f"llvip:{folder}?split=test&unlabelled=drop")) == 1


def test_pictures_need_their_partner_and_a_split(folder):
    with pytest.raises(ConfigError, match="no pictures in visible/train"):
        datasets.load(f"llvip:{folder}?split=train")
    annotate(folder / "Annotations" / "190001.xml", ("person", 1, 2, 30, 40))
    (folder / "infrared" / "test" / "190002.jpg").unlink()
    with pytest.raises(DataError, match=r"visible/test/190002\.jpg: this picture has no infrared partner"):
        datasets.load(f"llvip:{folder}?split=test")


@pytest.mark.parametrize("text", ["", "<annotation>", "<annotation><object><name>person</name></object></annotation>"])
def test_an_unreadable_annotation_is_named(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=r"a\.xml"):
        voc_boxes(tmp_path / "a.xml")


def test_how_many_pairs_were_left_out_is_logged_once(folder, caplog):
    annotate(folder / "Annotations" / "190001.xml", ("person", 1, 2, 30, 40))
    assert len(datasets.load(f"llvip:{folder}?split=test&unlabelled=drop")) == 1
    assert [record.getMessage() for record in caplog.records] == [f"{folder}: left out 1 pairs without boxes"]

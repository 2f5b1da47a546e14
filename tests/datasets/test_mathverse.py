import json

import pytest

from exam_rows import encoded, expect_full_marks, expect_only_errors_of_the_row, marks_of, write_parquet
from rows import write_picture
from vantage import datasets
from vantage.errors import ConfigError, DataError

LITE = {
    "sample_index": "1", "problem_index": "1", "problem_version": "Text Lite",
    "question": "As shown, DE is parallel to BC. The size of angle CED is ()\nChoices:\nA:40°\nB:60°\nC:120°\nD:140°",
    "image": "images_version_1-4/image_1.png", "answer": "D", "question_type": "multi-choice",
    "metadata": {"split": "testmini", "source": "GeoQA", "subject": "Plane Geometry", "subfield": "Angle"},
    "query_wo": "...", "query_cot": "...",
}  # fmt: skip
ONLY = LITE | {
    "sample_index": "5", "problem_version": "Vision Only", "question": "", "image": "images_version_6/image_1.png",
}  # fmt: skip
FREE = LITE | {
    "sample_index": "9", "problem_index": "2", "problem_version": "Text Dominant", "question_type": "free-form",
    "question": "What is x?", "answer": "2\\sqrt{3}",
}  # fmt: skip


@pytest.fixture
def release(tmp_path):
    """The JSON file beside the unpacked pictures."""

    def write(*rows, images=""):
        for row in (LITE, ONLY):
            write_picture(tmp_path / images / row["image"])
        (tmp_path / "testmini.json").write_text(json.dumps(rows), encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize("images", ["", "images"])
def test_the_release(release, images):
    folder = release(LITE, ONLY, FREE, images=images)
    for path in (folder, folder / "testmini.json"):
        lite, only, free = samples = datasets.load(f"mathverse:{path}")
        assert datasets.check(samples, decode=True).rows == 3
        assert [s.id for s in samples] == [f"mathverse/testmini/{i}" for i in (1, 5, 9)]
        assert (lite.question, lite.truth, lite.reward) == (LITE["question"], "D", "answer")
        assert list(lite.sources) == ["diagram"]
        assert lite.metadata == {
            "problem_index": "1", "problem_version": "Text Lite", "question_type": "multi-choice", "source": "GeoQA",
            "subject": "Plane Geometry", "subfield": "Angle",
        }  # fmt: skip
        assert only.question == "The question is written in the picture. Answer it with the letter of the right choice."
        assert (free.truth, free.reward) == ("2\\sqrt{3}", "math")


def test_the_hub(tmp_path):
    rows = [row | {"image": encoded(path=f"{i}.png")} for i, row in enumerate((LITE, ONLY, FREE))]
    write_parquet(tmp_path / "testmini.parquet", *rows)
    samples = datasets.load(f"mathverse:{tmp_path}?split=testmini")
    assert datasets.check(samples, decode=True).rows == 3
    assert samples[0].source("diagram").ref == "0.png"


def test_right_answers(release):
    lite, only, free = samples = datasets.load(f"mathverse:{release(LITE, ONLY, FREE)}")
    for sample in samples:
        expect_full_marks(sample)
    assert marks_of(lite, "D", "(D)", "140°", "D:140°", "A", "40°") == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert marks_of(only, "D", "A") == [1.0, 0.0]
    assert marks_of(free, "\\sqrt{12}", "$2\\sqrt{3}$", "2") == [1.0, 1.0, 0.0]


def test_versions_are_chosen(release):
    folder = release(LITE, ONLY, FREE)
    assert [s.id[-1] for s in datasets.load(f"mathverse:{folder}?tasks=vision-only,Text Lite")] == ["1", "5"]
    with pytest.raises(ConfigError, match="no version 'text-only' with pictures; it has Text Dominant, Text Lite"):
        datasets.load(f"mathverse:{folder}?tasks=text-only")
    with pytest.raises(ConfigError, match="no row is of kind 'vision-dominant'"):
        datasets.load(f"mathverse:{folder}?tasks=vision-dominant")


def test_there_is_one_split(release):
    with pytest.raises(ConfigError, match="no split 'test'; it has testmini"):
        datasets.load(f"mathverse:{release(LITE)}?split=test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem_version": "Text Only", "image": ""}, "a row of version 'Text Only' has no picture"),
        ({"question_type": "essay"}, "key 'question_type' is multi-choice or free-form, not 'essay'"),
        ({"question": ""}, "key 'question' is blank"),
        ({"question": None}, "key 'question' is a text"),
        ({"answer": 4}, "key 'answer' is a text"),
        ({"image": "../../x.png"}, "leaves its root"),
        ({"image": "images_version_5/image_1.png"}, "images_version_5/image_1.png (root=FOLDER looks elsewhere)"),
    ],
)
def test_a_bad_row_is_named(release, change, message):
    with pytest.raises(DataError) as caught:
        datasets.load(f"mathverse:{release(ONLY, LITE | change)}")
    assert "1 problem in 2 rows" in str(caught.value)
    assert "testmini.json, row 1: " in str(caught.value)
    assert message in str(caught.value)


def test_a_row_without_a_key_is_named(release):
    with pytest.raises(DataError, match=r"testmini\.json, row 0: key 'sample_index' is missing"):
        datasets.load(f"mathverse:{release({k: v for k, v in LITE.items() if k != 'sample_index'})}")


def test_hostile_values_are_errors_of_their_row(tmp_path):
    expect_only_errors_of_the_row("mathverse", tmp_path, LITE, ONLY, FREE | {"image": encoded()})

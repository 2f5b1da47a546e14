import logging

import pytest

from exam_rows import encoded, expect_full_marks, expect_only_errors_of_the_row, marks_of, write_parquet
from rows import write_picture
from vantage import datasets
from vantage.errors import ConfigError, DataError

ROW = {
    "answer": "\\boxed{17^\\circ}", "PassRate_32BTrained": 0.625, "PassRate_7BBase": float("nan"),
    "category": "(GradeSchool) Geometric", "source": "MMK12", "qid": "Processed-1-0",
    "question": "<image>\nHow large is the angle?", "image": ["images/Processed-1-0.jpg"],
}  # fmt: skip
TWO = ROW | {
    "qid": "two", "question": "<image><image>Which? (A) left (B) right", "answer": "\\boxed{B}", "source": "MV-Math",
    "image": ["images/a.jpg", "images/b.jpg"], "category": "Spatial Reasoning",
}  # fmt: skip
TEXT = ROW | {"qid": "text", "source": "DeepScaleR", "question": "What is 1 + 1?", "answer": "\\boxed{2}", "image": []}


@pytest.fixture
def release(tmp_path):
    def write(*rows):
        for name in ("Processed-1-0", "a", "b"):
            write_picture(tmp_path / "images" / f"{name}.jpg")
        write_parquet(tmp_path / "39Krelease.parquet", *rows)
        return tmp_path

    return write


def test_the_release(release):
    folder = release(ROW, TWO)
    for path in (folder, folder / "39Krelease.parquet"):
        one, two = samples = datasets.load(f"virl39k:{path}")
        assert datasets.check(samples, decode=True).rows == 2
        assert (one.id, one.question) == ("virl39k/train/Processed-1-0", "How large is the angle?")
        assert (one.truth, one.reward, list(one.sources)) == ("17^\\circ", "math", ["picture"])
        assert one.metadata == {
            "category": "(GradeSchool) Geometric", "source": "MMK12", "PassRate_32BTrained": 0.625,
        }  # fmt: skip
        assert (two.question, list(two.sources)) == ("Which? (A) left (B) right", ["picture_1", "picture_2"])
        assert two.source("picture_2").ref.endswith("images/b.jpg")


@pytest.mark.parametrize("reward", ["math", "racro-boxed"])
def test_right_answers(release, reward):
    for sample in datasets.load(f"virl39k:{release(ROW, TWO)}?reward={reward}"):
        assert marks_of(sample, f"\\boxed{{{sample.truth}}}", "\\boxed{3}") == [1.0, 0.0]
    one, two = datasets.load(f"virl39k:{release(ROW, TWO)}")
    expect_full_marks(one)
    expect_full_marks(two)
    assert marks_of(two, "A", "(B)") == [0.0, 1.0]


def test_rows_of_text_alone_are_left_out_and_counted(release, caplog):
    folder = release(TEXT, ROW, TEXT, TWO)
    with caplog.at_level(logging.WARNING):
        assert [s.id[-3:] for s in datasets.load(f"virl39k:{folder}")] == ["1-0", "two"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder / '39Krelease.parquet'}: left out 2 rows of source DeepScaleR, which have no picture; "
        "tasks=all keeps them"
    ]


def test_nothing_is_said_where_nothing_is_left_out(release, caplog):
    folder = release(ROW, TWO)
    with caplog.at_level(logging.WARNING):
        assert len(datasets.load(f"virl39k:{folder}")) == 2
    assert not caplog.records


def test_all_rows_can_be_asked_for(release):
    folder = release(ROW, TEXT, TEXT | {"image": ["images/a.jpg"], "qid": "shown"})
    with pytest.raises(DataError, match=r"row 1: a row of source 'DeepScaleR' has no picture") as caught:
        datasets.load(f"virl39k:{folder}?tasks=all")
    assert "1 problem in 3 rows" in str(caught.value)


def test_categories_and_sources_are_chosen(release):
    folder = release(ROW, TWO, TEXT)
    for tasks, kept in {
        "spatial reasoning": ["two"],
        "MMK12": ["1-0"],
        "(GradeSchool) Geometric,MV-Math": None,
    }.items():
        if kept:
            assert [s.id[-3:] for s in datasets.load(f"virl39k:{folder}?tasks={tasks}")] == kept
        else:
            with pytest.raises(DataError, match="row 2: a row of source 'DeepScaleR' has no picture"):
                datasets.load(f"virl39k:{folder}?tasks={tasks}")
    with pytest.raises(ConfigError, match=r"no row is of kind 'poetry'; there are .*MMK12"):
        datasets.load(f"virl39k:{folder}?tasks=poetry")


def test_a_folder_without_the_file_and_another_split_are_errors(tmp_path, release):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"empty: no 39Krelease\.parquet in this folder"):
        datasets.load(f"virl39k:{tmp_path / 'empty'}")
    with pytest.raises(ConfigError, match="no split 'test'; it has train"):
        datasets.load(f"virl39k:{release(ROW)}?split=test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": " "}, "key 'question' is blank"),
        ({"answer": None}, "key 'answer' is a text"),
        ({"image": ["../../x.jpg"]}, "leaves its root"),
        ({"image": ["images/x.jpg"]}, "images/x.jpg (root=FOLDER looks elsewhere)"),
        ({"qid": None}, "key 'qid' is a text"),
    ],
)
def test_a_bad_row_is_named(release, change, message):
    with pytest.raises(DataError) as caught:
        datasets.load(f"virl39k:{release(TWO, ROW | change)}")
    assert "1 problem in 2 rows" in str(caught.value)
    assert "39Krelease.parquet, row 1: " in str(caught.value)
    assert message in str(caught.value)


def test_wrong_columns_are_named(tmp_path):
    columns = {k: v for k, v in ROW.items() if k != "category"}
    file = write_parquet(tmp_path / "39Krelease.parquet", columns | {"image": "images/a.jpg"})
    with pytest.raises(DataError, match=r"row 0: a row needs a list of at least one picture, not 'images/a\.jpg'"):
        datasets.load(f"virl39k:{file}")
    write_picture(tmp_path / "images" / "Processed-1-0.jpg")
    write_parquet(tmp_path / "39Krelease.parquet", columns)
    with pytest.raises(DataError, match="row 0: key 'category' is missing"):
        datasets.load(f"virl39k:{file}")


def test_hostile_values_are_errors_of_their_row(tmp_path):
    expect_only_errors_of_the_row("virl39k", tmp_path, ROW, TWO | {"image": [encoded(), encoded()]})

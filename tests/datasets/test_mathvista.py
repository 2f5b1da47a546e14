import json

import pytest

from exam_rows import encoded, expect_full_marks, expect_only_errors_of_the_row, marks_of, write_parquet
from rows import write_picture
from vantage import datasets
from vantage.errors import ConfigError, DataError

ABOUT = {
    "split": "testmini", "language": "english", "img_width": 64, "img_height": 48, "source": "UniGeo",
    "category": "math-targeted-vqa", "task": "geometry problem solving", "context": "geometry diagram",
    "grade": "high school", "skills": ["geometry reasoning"],
}  # fmt: skip
CHOICE = {
    "pid": "1", "question": "How long is AC?", "image": "images/1.jpg", "choices": ["6cm", "7cm", "4 cm"], "unit": None,
    "precision": None, "answer": "4 cm", "question_type": "multi_choice", "answer_type": "text", "metadata": ABOUT,
}  # fmt: skip


def free(pid, kind, answer, **more):
    change = {"pid": pid, "choices": None, "answer_type": kind, "answer": answer, "question_type": "free_form"}
    return CHOICE | change | {"metadata": ABOUT | {"source": "SciBench", "task": "textbook question answering"}} | more


ROWS = (
    CHOICE,
    free("2", "integer", "1000", unit="g"),
    free("3", "float", "1.2", precision=1),
    free("4", "list", "[1, 2.5]"),
)


@pytest.fixture
def repository(tmp_path):
    """The public repository's layout: an object of rows by number."""

    def write(*rows):
        write_picture(tmp_path / "data" / "images" / "1.jpg")
        file = tmp_path / "data" / "testmini.json"
        file.write_text(json.dumps({row["pid"]: row for row in rows}), encoding="utf-8")
        return tmp_path

    return write


def test_the_repository(repository):
    folder = repository(*ROWS)
    for path in (folder, folder / "data", folder / "data" / "testmini.json"):
        samples = datasets.load(f"mathvista:{path}")
        assert [s.id for s in samples] == [f"mathvista/testmini/{i}" for i in (1, 2, 3, 4)]
        assert datasets.check(samples, decode=True).rows == 4
    assert samples[0].question == "How long is AC?\nA. 6cm\nB. 7cm\nC. 4 cm"
    assert (samples[0].truth, samples[0].reward) == ("C", "answer")
    assert list(samples[0].sources) == ["picture"]
    assert samples[0].metadata == {
        "question_type": "multi_choice", "answer_type": "text", "language": "english", "grade": "high school",
        "skills": ["geometry reasoning"], "task": "geometry problem solving", "source": "UniGeo",
        "category": "math-targeted-vqa", "context": "geometry diagram", "choices": ["6cm", "7cm", "4 cm"],
    }  # fmt: skip


def test_what_is_wanted_is_said_where_there_are_no_choices(repository):
    asked = [sample.question.split("\n")[1] for sample in datasets.load(f"mathvista:{repository(*ROWS)}")[1:]]
    assert asked == [
        "Answer with a whole number, in g, without the unit.",
        "Answer with a number, rounded to 1 decimal place.",
        "Answer with a list such as [1, 2, 3].",
    ]


def test_the_hub(tmp_path):
    # Parquet has one type a column: a precision is a float there, and no choices may be an empty list.
    held = [row | {"decoded_image": encoded(), "query": "Hint: ..."} for row in ROWS]
    held[2] |= {"precision": 1.0, "choices": []}
    write_parquet(tmp_path / "data" / "testmini-00000-of-00001-725687bf7a18d64b.parquet", *held)
    samples = datasets.load(f"mathvista:{tmp_path}")
    assert datasets.check(samples, decode=True).rows == 4
    assert samples[2].question.endswith("Answer with a number, rounded to 1 decimal place.")
    assert samples[0].source("picture").ref == "mathvista/testmini/1"


def test_right_answers(repository):
    choice, whole, decimal, several = samples = datasets.load(f"mathvista:{repository(*ROWS)}")
    for sample in samples:
        expect_full_marks(sample)
    assert marks_of(choice, "C", "C. 4 cm", "4 cm", "B", "7cm") == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert marks_of(whole, "1000", "1,000", "1000.7", "100") == [1.0, 1.0, 0.0, 0.0]
    assert marks_of(decimal, "1.20", "1.3") == [1.0, 0.0]
    assert marks_of(several, "[1,2.5]", "[2.5, 1]", "1") == [1.0, 0.0, 0.0]


def test_kinds_are_chosen(repository):
    folder = repository(*ROWS)
    assert [s.id[-1] for s in datasets.load(f"mathvista:{folder}?tasks=geometry-problem-solving")] == ["1"]
    assert [s.id[-1] for s in datasets.load(f"mathvista:{folder}?tasks=SciBench")] == ["2", "3", "4"]
    with pytest.raises(ConfigError, match=r"no row is of kind 'poetry'; there are .*SciBench"):
        datasets.load(f"mathvista:{folder}?tasks=poetry")


def test_the_test_split_has_no_answers(tmp_path):
    write_parquet(
        tmp_path / "data" / "test-00000-of-00002.parquet", CHOICE | {"answer": "", "decoded_image": encoded()}
    )
    with pytest.raises(DataError, match=r"test-.*parquet, row 0: no answer; those of the split test are not public"):
        datasets.load(f"mathvista:{tmp_path}?split=test")


def test_there_is_no_training_split(repository):
    with pytest.raises(ConfigError, match="no split 'train'; it has testmini, test"):
        datasets.load(f"mathvista:{repository(CHOICE)}?split=train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": 3}, "key 'question' is a text"),
        ({"answer": "5cm"}, "'5cm' is none of the options '6cm', '7cm', '4 cm'"),
        ({"choices": [1, 2]}, "key 'choices' is a list of texts"),
        ({"choices": None, "answer_type": "float", "precision": "one"}, "key 'precision' is a number of decimals"),
        ({"choices": None, "answer_type": "float", "precision": 0.5}, "key 'precision' is a number of decimals"),
        ({"answer_type": None}, "key 'answer_type' is a text"),
        ({"metadata": []}, "key 'metadata' is an object"),
        ({"image": "../../../1.jpg"}, "leaves its root"),
        ({"image": "images/2.jpg"}, "images/2.jpg (root=FOLDER looks elsewhere)"),
    ],
)
def test_a_bad_row_is_named(repository, change, message):
    with pytest.raises(DataError) as caught:
        datasets.load(f"mathvista:{repository(CHOICE | {'pid': '8'}, CHOICE | {'pid': '9'} | change)}")
    assert "1 problem in 2 rows" in str(caught.value)
    assert "testmini.json, row 9: " in str(caught.value)
    assert message in str(caught.value)


def test_a_row_without_a_key_and_what_is_no_row_are_named(tmp_path):
    file = tmp_path / "testmini.json"
    file.write_text(json.dumps({"1": {"answer": "x"}, "2": "x"}), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        datasets.load(f"mathvista:{file}")
    assert "row 1: key 'question' is missing" in str(caught.value)
    assert "row 2: a row is an object, not str" in str(caught.value)


@pytest.mark.parametrize("text", ["{}", "[]", ""])
def test_a_file_without_rows_is_an_error(tmp_path, text):
    file = tmp_path / "testmini.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"testmini\.json"):
        datasets.load(f"mathvista:{file}")


def test_hostile_values_are_errors_of_their_row(tmp_path):
    expect_only_errors_of_the_row("mathvista", tmp_path, *ROWS, CHOICE | {"decoded_image": encoded()})

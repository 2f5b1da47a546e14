import json

import pytest

from exam_rows import encoded, expect_full_marks, expect_only_errors_of_the_row, marks_of, write_parquet
from rows import shared, write_picture
from vantage import datasets
from vantage.errors import ConfigError, DataError

PROBLEM = {
    "problem_text": "Find \\sin x.", "annotat_text": "Find $\\sin x$.", "answer": "B", "id": 7, "data_type": "train",
    "choices": ["\\frac { 1 } { 2 }", "\\frac { \\sqrt { 2 } } { 2 }", "1", "2"],
    "compact_choices": ["\\frac{1}{2}", "\\frac{\\sqrt{2}}{2}", "1", "2"],
    "problem_type_graph": ["Triangle"], "problem_type_goal": ["Angle"], "source": "book 1",
}  # fmt: skip


def put(folder, problem, picture=True):
    folder.mkdir(parents=True)
    if picture:
        write_picture(folder / "img_diagram.png")
    (folder / "data.json").write_text(json.dumps(problem), encoding="utf-8")


def test_folders_of_splits(tmp_path):
    for split, ids in {"train": (10, 9), "val": (11,), "test": (12,)}.items():
        for number in ids:
            put(tmp_path / split / str(number), PROBLEM | {"id": number, "data_type": split})
    samples = datasets.load(f"geometry3k:{tmp_path}")
    assert [s.id for s in samples] == ["geometry3k/train/9", "geometry3k/train/10"]
    assert datasets.check(samples, decode=True).rows == 2
    assert (samples[0].question, samples[0].truth, samples[0].reward) == (
        "Find $\\sin x$.", "\\frac{\\sqrt{2}}{2}", "math",
    )  # fmt: skip
    assert list(samples[0].sources) == ["diagram"]
    assert samples[0].source("diagram").image == tmp_path / "train" / "9" / "img_diagram.png"
    assert samples[0].metadata == {
        "problem_type_graph": ["Triangle"], "problem_type_goal": ["Angle"], "source": "book 1",
        "choices": PROBLEM["compact_choices"],
    }  # fmt: skip
    for split in ("val", "validation"):
        assert [s.id for s in datasets.load(f"geometry3k:{tmp_path}?split={split}")] == ["geometry3k/val/11"]
    with pytest.raises(ConfigError, match="no split 'dev'; it has train, val"):
        datasets.load(f"geometry3k:{tmp_path}?split=dev")


def test_folders_without_splits_are_told_apart_by_their_rows(tmp_path):
    put(tmp_path / "1", PROBLEM | {"id": 1})
    put(tmp_path / "2", PROBLEM | {"id": 2, "data_type": "test"})
    assert [s.id for s in datasets.load(f"geometry3k:{tmp_path}?split=test")] == ["geometry3k/test/2"]
    with pytest.raises(ConfigError, match="no problem of split 'val'; there are test, train"):
        datasets.load(f"geometry3k:{tmp_path}?split=val")


def test_the_choices_are_listed_on_demand(tmp_path):
    put(tmp_path / "7", PROBLEM)
    free = datasets.load(f"geometry3k:{tmp_path}?tasks=free")[0]
    choice = datasets.load(f"geometry3k:{tmp_path}?tasks=choice")[0]
    assert choice.question == "Find $\\sin x$.\nA. \\frac{1}{2}\nB. \\frac{\\sqrt{2}}{2}\nC. 1\nD. 2"
    assert (choice.truth, choice.reward) == ("B", "answer")
    assert marks_of(choice, "B", "(B)", "\\frac{\\sqrt{2}}{2}", "C") == [1.0, 1.0, 1.0, 0.0]
    assert marks_of(free, "\\frac{1}{\\sqrt{2}}", "$\\sqrt{2}/2$", "1", "B") == [1.0, 1.0, 0.0, 0.0]
    for tasks in ("free,choice", "poetry"):
        with pytest.raises(ConfigError, match="is asked in one way, tasks=free or choice"):
            datasets.load(f"geometry3k:{tmp_path}?tasks={tasks}")


def test_the_hub(tmp_path):
    row = {"images": [encoded()], "problem": "<image>Find $x$.", "answer": "12"}
    for split in ("train", "validation", "test"):
        write_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet", row, row | {"answer": "4 \\sqrt { 2 }"})
    samples = datasets.load(f"geometry3k:{tmp_path}?split=val")
    assert [s.id for s in samples] == ["geometry3k/val/0", "geometry3k/val/1"]
    assert (samples[0].question, samples[0].truth, samples[0].reward) == ("Find $x$.", "12", "math")
    assert datasets.check(samples, decode=True).rows == 2
    for sample in samples:
        expect_full_marks(sample)
    with pytest.raises(DataError, match=r"row 0: this problem has no choices; .*tasks=free"):
        datasets.load(f"geometry3k:{tmp_path}?tasks=choice")


def test_the_hub_with_choices(tmp_path):
    row = {"images": [encoded()], "problem": "<image>Find $x$.", "answer": "12", "id": 44, "ground_truth": "B"}
    file = write_parquet(tmp_path / "test.parquet", row | {"choices": ["11", "12", "13", "14"]})
    sample = datasets.load(f"geometry3k:{file}?tasks=choice")[0]
    assert (sample.id, sample.truth) == ("geometry3k/test/44", "B")
    expect_full_marks(sample)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotat_text": None}, "key 'annotat_text' is a text"),
        ({"answer": "E"}, "'E' is none of the letters A, B, C, D"),
        ({"compact_choices": None, "choices": "AB"}, "key 'choices' is a list of texts"),
        ({"id": "7"}, "key 'id' is an integer"),
    ],
)
def test_a_bad_problem_is_named(tmp_path, change, message):
    put(tmp_path / "6", PROBLEM | {"id": 6})
    put(tmp_path / "7", PROBLEM | change)
    with pytest.raises(DataError) as caught:
        datasets.load(f"geometry3k:{tmp_path}")
    assert "1 problem in 2 rows" in str(caught.value)
    assert f"{tmp_path / '7' / 'data.json'}: " in str(caught.value)
    assert message in str(caught.value)


def test_missing_keys_and_files_are_named(tmp_path):
    put(tmp_path / "1", {k: v for k, v in PROBLEM.items() if k != "annotat_text"})
    put(tmp_path / "2", PROBLEM, picture=False)
    put(tmp_path / "3", ["no", "object"])
    put(tmp_path / "4", PROBLEM)
    (tmp_path / "4" / "data.json").write_text("{")
    with pytest.raises(DataError) as caught:
        datasets.load(f"geometry3k:{tmp_path}")
    said = str(caught.value)
    assert "4 problems in 4 rows" in said
    for number, message in {
        1: "key 'annotat_text' is missing", 2: "no picture", 3: "a row is an object, not list", 4: "not JSON",
    }.items():  # fmt: skip
        assert f"{tmp_path / str(number) / 'data.json'}: {message}" in said


def test_a_parquet_row_may_not_leave_its_root(tmp_path):
    write_parquet(tmp_path / "train.parquet", {"images": ["../x.png"], "problem": "What?", "answer": "1"})
    with pytest.raises(DataError, match=r"train\.parquet, row 0: the path '\.\./x\.png' leaves its root"):
        datasets.load(f"geometry3k:{tmp_path}?root={tmp_path}")


@pytest.mark.parametrize("task", ["free", "choice"])
def test_real_problems(task):
    samples = datasets.load(f"geometry3k:{shared('geometry3k')}?tasks={task}")
    assert datasets.check(samples, decode=True).rows == 10
    for sample in samples:
        expect_full_marks(sample)
        others = [option for option in sample.metadata["choices"] if option != sample.truth]
        if task == "free":
            assert marks_of(sample, *others) == [0.0] * 3
            assert marks_of(sample, f"\\boxed{{{sample.truth}}}") == [1.0]


def test_hostile_values_are_errors_of_their_row(tmp_path):
    expect_only_errors_of_the_row(
        "geometry3k", tmp_path, PROBLEM, {"images": [encoded()], "problem": "?", "answer": "1", "id": 1}
    )

import json
from collections import Counter

import pytest

from exam_rows import encoded, marks_of, write_parquet
from rows import shared, write_picture
from vantage import datasets
from vantage.errors import ConfigError, DataError


def question(answer, index=0, **extra):
    name = f"superCLEVR_new_{index:06}"
    return {
        "split": "new", "image_filename": f"{name}.png", "image_index": index, "image": name, "question": "How many?",
        "answer": answer, "template_filename": "zero_hop.json", "question_index": 0, **extra,
    }  # fmt: skip


@pytest.fixture
def release(tmp_path):
    def write(*questions, indices=(0,)):
        for index in indices:
            write_picture(tmp_path / "images" / f"superCLEVR_new_{index:06}.png")
        file = tmp_path / "superCLEVR_questions_30k.json"
        file.write_text(json.dumps({"info": {}, "questions": questions}), encoding="utf-8")
        return tmp_path

    return write


def test_the_truth_is_what_the_answer_is(release):
    folder = release(question(3), question(False), question(True), question("articulated bus"))
    samples = datasets.load(f"super-clevr:{folder}")
    assert [s.reward for s in samples] == ["count", "answer", "answer", "answer"]
    assert [s.truth for s in samples] == [3, "no or false", "yes or true", "articulated bus"]
    assert [s.metadata["kind"] for s in samples] == ["count", "yes-no", "yes-no", "attribute"]
    assert samples[0].id == "super-clevr/train/superCLEVR_questions_30k/0"
    assert samples[0].metadata["template"] == "zero_hop"
    assert datasets.check(samples, decode=True).rows == 4
    assert marks_of(samples[1], "No", "false", "yes", "true", "0") == [1, 1, 0, 0, 0]
    assert marks_of(samples[0], "three", "3.0", "yes") == [1, 1, 0]


def test_splits_go_by_the_number_of_the_picture(release):
    indices = (19_999, 20_000, 24_999, 25_000)
    folder = release(*(question(n, n) for n in indices), indices=indices)
    found = {split: [s.truth for s in datasets.load(f"super-clevr:{folder}?split={split}")] for split in
             ("train", "val", "test")}  # fmt: skip
    assert found == {"train": [19_999], "val": [20_000, 24_999], "test": [25_000]}
    with pytest.raises(ConfigError, match="split=new: no such split; there are train, val, test"):
        datasets.load(f"super-clevr:{folder}?split=new")


def test_kinds_of_answer_are_chosen(release):
    folder = release(question(3), question(False), question("red"))
    assert [s.truth for s in datasets.load(f"super-clevr:{folder}?tasks=count")] == [3]
    assert [s.truth for s in datasets.load(f"super-clevr:{folder}?tasks=attribute,yes-no")] == ["no or false", "red"]
    with pytest.raises(ConfigError, match="tasks=colour: no such tasks"):
        datasets.load(f"super-clevr:{folder}?tasks=colour")
    with pytest.raises(DataError, match=r"no rows of split 'test' about count; there are train \(attribute\)"):
        datasets.load(f"super-clevr:{folder}?split=test&tasks=count")


R1V = {"image_path": "./images/superCLEVR_new_025199.png", "question": "How many different items?", "ground_truth": 3}


def test_counting_questions_as_r1v_has_them(tmp_path):
    file = tmp_path / "superclevr_test200_counting_problems.jsonl"
    file.write_text(json.dumps(R1V) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"problems\.jsonl:1: no such picture; looked for .*superCLEVR_new_025199"):
        datasets.load(f"super-clevr:{file}?split=test")
    write_picture(tmp_path / "elsewhere" / "images" / "superCLEVR_new_025199.png")
    (sample,) = datasets.load(f"super-clevr:{file}?split=test&root={tmp_path / 'elsewhere'}")
    assert (sample.truth, sample.reward, sample.metadata) == (3, "count", {"kind": "count"})
    assert sample.id == "super-clevr/test/superclevr_test200_counting_problems/1"


def test_the_same_questions_with_their_pictures_inside(tmp_path):
    row = {"image": encoded(), "image_id": "superCLEVR_new_025199.png", "question": "How many?", "ground_truth": "3"}
    file = write_parquet(tmp_path / "test.parquet", row)
    (sample,) = samples = datasets.load(f"super-clevr:{file}?split=test")
    assert (sample.truth, sample.reward) == (3, "count")
    assert datasets.check(samples, decode=True).rows == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({k: v for k, v in question(3).items() if k != "answer"}, "key 'answer' is missing"),
        (question([3]), "key 'answer' is a whole number from 0, true, false or a word, not [3]"),
        (question(-1), "key 'answer' is a whole number from 0"),
        (question(None), "not None"),
        (question(3, image_filename="../../secret.png"), "leaves its root"),
        (question(3, image_filename=5), "key 'image_filename' is a text, not 5"),
        (question(3, question=""), "key 'question' is blank"),
        (None, "a row is an object, not NoneType"),
    ],
)
def test_a_bad_row_is_named(release, row, message):
    with pytest.raises(DataError) as caught:
        datasets.load(f"super-clevr:{release(question(3), row)}")
    assert "superCLEVR_questions_30k.json, row 1: " in str(caught.value)
    assert message in str(caught.value)


def test_which_question_file_is_never_guessed(release):
    folder = release(question(3))
    (folder / "superCLEVR_questions_5.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"questions may be any of superCLEVR_questions_30k\.json, superCLEVR_"):
        datasets.load(f"super-clevr:{folder}")


def test_real_questions():
    folder = shared("super_clevr")
    samples = datasets.load(f"super-clevr:{folder}")
    found = datasets.check(samples, sources=["image"], decode=True)
    # Counted in the file by hand: 45 numbers, 158 booleans and 35 words.
    assert found.rewards == {"count": 45, "answer": 193}
    assert Counter(s.metadata["kind"] for s in samples) == {"count": 45, "yes-no": 158, "attribute": 35}
    raw = json.loads((folder / "superCLEVR_questions_5.json").read_text(encoding="utf-8"))["questions"]
    for sample, row in zip(samples, raw, strict=True):
        words = {True: "yes", False: "no"} if isinstance(row["answer"], bool) else {}
        assert marks_of(sample, str(words.get(row["answer"], row["answer"])), "zebra") == [1, 0]
        assert sample.source("image").ref.endswith(row["image_filename"])
        assert sample.question == row["question"]

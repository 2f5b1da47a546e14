import json

import pytest

from exam_rows import encoded, marks_of, write_parquet
from rows import write_picture
from vantage import datasets
from vantage.errors import ConfigError, DataError


def question(n, answer=2, template="subtraction", **extra):
    return {
        "question": "Subtract all red balls. How many objects are left?", "answer": answer, "question_index": n,
        "image_filename": "CLEVR_train_000000.png", "image_index": 0, "split": "train", "program": [],
        "template_filename": f"{template}.json", "question_family_index": 3, **extra,
    }  # fmt: skip


@pytest.fixture
def release(tmp_path):
    """The archives of the hub, unpacked into one folder."""

    def write(*questions, split="train", place="clevr-math", picture=True):
        if picture:
            write_picture(tmp_path / "CLEVR_v1.0" / "images" / split / f"CLEVR_{split}_000000.png")
        file = tmp_path / place / f"clevr-math-{split}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"info": {"split": split}, "questions": questions}), encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize("place", ["", "data", "clevr-math", "multi-hop"])
def test_the_archives_of_the_hub(release, tmp_path, place):
    # Several questions are asked about one picture.
    folder = release(question(0, 3, "addition"), question(1, 0, "adversarial"), place=place)
    for path, more in [(folder, ""), (folder / place / "clevr-math-train.json", f"?root={folder}")]:
        first, second = samples = datasets.load(f"clevr-math:{path}{more}")
        assert (first.id, first.truth, first.reward) == ("clevr-math/train/clevr-math-train/0", 3, "count")
        assert first.question == "Subtract all red balls. How many objects are left?"
        assert first.metadata == {"template": "addition", "image": "CLEVR_train_000000.png"}
        assert first.source("image").image == folder / "CLEVR_v1.0" / "images" / "train" / "CLEVR_train_000000.png"
        assert (second.truth, second.metadata["template"]) == (0, "adversarial")
        assert datasets.check(samples, decode=True).rewards == {"count": 2}
        assert marks_of(first, "3", "three", "2") == [1, 1, 0]


def test_the_hubs_parquet(tmp_path):
    rows = [
        {"template": t, "id": "CLEVR_val_000007.png", "question": "How many?", "image": encoded(), "label": n}
        for n, t in enumerate(["addition", "subtraction-multihop"])
    ]
    write_parquet(tmp_path / "general" / "validation" / "0000.parquet", *rows)
    samples = datasets.load(f"clevr-math:{tmp_path}?split=val")
    assert [(s.id, s.truth) for s in samples] == [("clevr-math/val/0000/0", 0), ("clevr-math/val/0000/1", 1)]
    assert samples[1].metadata == {"template": "subtraction-multihop", "image": "CLEVR_val_000007.png"}
    assert datasets.check(samples, decode=True).rows == 2
    file = write_parquet(tmp_path / "bad.parquet", {**rows[0], "image": None})
    with pytest.raises(DataError, match="row 0: key 'image' is a picture with its bytes, not None"):
        datasets.load(f"clevr-math:{file}")


def test_templates_are_chosen(release):
    folder = release(*(question(n, n, t) for n, t in enumerate(["addition", "subtraction", "adversarial"])))
    kept = datasets.load(f"clevr-math:{folder}?tasks=adversarial,addition&reward=answer")
    assert [(s.truth, s.reward) for s in kept] == [(0, "answer"), (2, "answer")]
    with pytest.raises(DataError, match=r"clevr-math-train\.json: no rows of subtraction-multihop"):
        datasets.load(f"clevr-math:{folder}?tasks=subtraction-multihop")
    with pytest.raises(ConfigError, match=r"tasks=division: no such tasks; there are addition, subtraction, "):
        datasets.load(f"clevr-math:{folder}?tasks=division")


def test_a_split_that_is_not_there(release):
    folder = release(question(0))
    with pytest.raises(ConfigError, match="split=dev: no such split; there are train, val, test"):
        datasets.load(f"clevr-math:{folder}?split=dev")
    with pytest.raises(DataError, match=r"no file with the questions of split 'test'; looked for clevr-math-test"):
        datasets.load(f"clevr-math:{folder}?split=test")
    with pytest.raises(ConfigError, match="'clevr-math' needs a path"):
        datasets.load("clevr-math")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "How many?"}, "key 'answer' is missing"),
        (question(0, "3"), "key 'answer' is an integer, not '3'"),
        (question(0, True), "key 'answer' is an integer, not True"),
        (question(0, image_filename="../../../secret.png", split="."), "leaves its root"),
        (question(0, image_filename="CLEVR_train_000009.png"), "no such picture; looked for"),
        (question(0, template_filename=None), "key 'template_filename' is missing or no text"),
        (question(0, question=" "), "key 'question' is blank"),
        (7, "a row is an object, not int"),
    ],
)
def test_a_bad_row_is_named_and_hides_no_other(release, row, message):
    with pytest.raises(DataError) as caught:
        datasets.load(f"clevr-math:{release(question(0), row, row)}")
    assert "2 problems in 3 rows" in str(caught.value)
    assert "clevr-math-train.json, row 1: " in str(caught.value)
    assert message in str(caught.value)

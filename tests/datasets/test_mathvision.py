import json

import pytest

from exam_rows import encoded, expect_full_marks, expect_only_errors_of_the_row, marks_of, write_parquet
from rows import shared, write_picture
from vantage import datasets
from vantage.errors import ConfigError, DataError

FREE = {
    "id": "7", "question": "How many bricks are missing?\n<image1>", "options": [], "answer": "\\frac{1}{2}",
    "solution": None, "level": 1, "subject": "counting", "image": "images/7.jpg",
}  # fmt: skip
CHOICE = FREE | {
    "id": "9", "question": "Which one is opposite to <image2>?\n<image3>", "answer": "B", "subject": "solid geometry",
    "options": ["$5 \\mathrm{~m}$", "none of them"],
}  # fmt: skip


@pytest.fixture
def repository(tmp_path):
    """The public repository's layout."""

    def write(*rows):
        write_picture(tmp_path / "images" / "7.jpg")
        file = tmp_path / "data" / "testmini.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return tmp_path

    return write


def test_the_repository(repository):
    folder = repository(FREE, CHOICE)
    for path in (folder, folder / "data" / "testmini.jsonl"):
        free, choice = samples = datasets.load(f"mathvision:{path}")
        assert (free.id, free.question) == ("mathvision/testmini/7", "How many bricks are missing?")
        assert (free.truth, free.reward, free.metadata) == (
            "\\frac{1}{2}", "math", {"level": 1, "subject": "counting"},
        )  # fmt: skip
        assert choice.question == "Which one is opposite to picture 2?\nA. $5 \\mathrm{~m}$\nB. none of them"
        assert (choice.truth, choice.reward) == ("B", "answer")
        assert list(free.sources) == ["diagram"]
        assert datasets.check(samples, decode=True).rows == 2


def test_the_hub(tmp_path):
    held = {"decoded_image": encoded()}
    write_parquet(tmp_path / "data" / "testmini-00000-of-00001.parquet", FREE | held, CHOICE | held)
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", FREE | held | {"id": "1"})
    samples = datasets.load(f"mathvision:{tmp_path}")
    assert datasets.check(samples, decode=True).rows == 2
    assert samples[1].truth == "B"
    assert samples[0].source("diagram").image == held["decoded_image"]["bytes"]
    assert [sample.id for sample in datasets.load(f"mathvision:{tmp_path}?split=test")] == ["mathvision/test/1"]


def test_right_answers(repository):
    free, choice = datasets.load(f"mathvision:{repository(FREE, CHOICE)}")
    assert marks_of(free, "0.5", "1/2", "2", "") == [1.0, 1.0, 0.0, 0.0]
    assert marks_of(choice, "B", "(B) none of them", "None of them", "A", "A. none of them") == [
        1.0,
        1.0,
        1.0,
        0.0,
        0.0,
    ]


def test_subjects_are_chosen_and_the_reward_too(repository):
    folder = repository(FREE, CHOICE)
    assert [s.id for s in datasets.load(f"mathvision:{folder}?tasks=solid geometry")] == ["mathvision/testmini/9"]
    assert datasets.load(f"mathvision:{folder}?reward=mars-vqa")[0].reward == "mars-vqa"
    with pytest.raises(ConfigError, match="no row is of kind 'algebra'; there are counting, solid geometry"):
        datasets.load(f"mathvision:{folder}?tasks=algebra")


def test_there_is_no_training_split(repository):
    with pytest.raises(ConfigError, match="no split 'train'; it has testmini, test"):
        datasets.load(f"mathvision:{repository(FREE)}?split=train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": None}, "key 'question' is a text"),
        ({"answer": "F"} | {"options": ["x", "y"]}, "'F' is none of the letters A, B"),
        ({"options": "AB"}, "key 'options' is a list of texts"),
        ({"level": "1"}, "key 'level' is an integer"),
        ({"image": "../../7.jpg"}, "leaves its root"),
        ({"image": "images/8.jpg"}, "images/8.jpg (root=FOLDER looks elsewhere)"),
    ],
)
def test_a_bad_row_is_named(repository, change, message):
    with pytest.raises(DataError) as caught:
        datasets.load(f"mathvision:{repository(FREE, CHOICE | change)}")
    assert "1 problem in 2 rows" in str(caught.value)
    assert "testmini.jsonl:2: " in str(caught.value)
    assert message in str(caught.value)


def test_a_row_without_a_key_is_named(repository):
    with pytest.raises(DataError, match=r"testmini\.jsonl:1: key 'subject' is missing"):
        datasets.load(f"mathvision:{repository({k: v for k, v in FREE.items() if k != 'subject'})}")


def test_real_rows():
    samples = datasets.load(f"mathvision:{shared('mathvision')}/testmini_30.jsonl")
    assert datasets.check(samples, decode=True).rows == 30
    assert not any("<image" in sample.question for sample in samples)
    rewards = [sample.reward for sample in samples]
    assert (rewards.count("math"), rewards.count("answer")) == (11, 19)
    for sample in samples:
        expect_full_marks(sample)
    by_id = {sample.id.rpartition("/")[2]: sample for sample in samples}
    assert "no square picture 1 that is made" in by_id["526"].question
    assert by_id["416"].question.endswith("from the noon?\nOptions: A, B, C, D, E")
    assert by_id["870"].truth == "A"
    assert marks_of(by_id["223"], "55", "16") == [1.0, 0.0]
    assert marks_of(by_id["773"], "I, III and V", "III, IV and V") == [1.0, 0.0]


def test_hostile_values_are_errors_of_their_row(tmp_path):
    expect_only_errors_of_the_row("mathvision", tmp_path, FREE, CHOICE | {"decoded_image": encoded()})


def test_a_part_of_a_split_is_found(repository):
    folder = repository(FREE)
    (folder / "data" / "testmini.jsonl").rename(folder / "testmini_30.jsonl")
    assert [sample.id for sample in datasets.load(f"mathvision:{folder}")] == ["mathvision/testmini/7"]
    with pytest.raises(ConfigError, match="no rows of split 'test'; looked for"):
        datasets.load(f"mathvision:{folder}?split=test")
    (folder / "testmini_40.jsonl").write_text("{}")
    with pytest.raises(ConfigError, match=r"may be any of testmini_30\.jsonl, testmini_40\.jsonl; name one of them"):
        datasets.load(f"mathvision:{folder}")

import json

import pytest

from rows import tagged, write_picture
from vantage import datasets, rewards
from vantage.errors import ConfigError, DataError

COUNT = {"id": "train-7", "image": "clevr/a.png", "problem": "How many are left?", "answer": "3", "cot": "2+1 is 3"}
CHOICE = {"id": "g1", "image": "geo/a.png", "problem": "Angle ACB is ( )\nChoices:\nA. 30\nB. 40", "answer": "B"}
NUMBER = {"id": "g2", "image": "geo/a.png", "problem": "Find x.", "answer": 12.5}
MOVED = {
    "id": "train-418840", "image": ["t/img_418840-init.C.png", "t/img_418840-fin.C.png"],
    "problem": "The attributes are [('0', 'cube', 'small', 'red', 'metal')].",
    "answer": "change_color('0', 'blue'), change_position('0', 'front_left')", "cot": "...",
}  # fmt: skip

TRAIN = {
    "A3-Visual-Counting-train-35k-cot": [COUNT],
    "A2-Structure-Perception-train-4k5-cot": [CHOICE, NUMBER],
    "A1-Spatial-Transformation-train-60k-cot": [MOVED],
    "GeoQA-train-1500-cot": [NUMBER],
}
TEST = {
    "Visual-Counting-id-test-1k": [COUNT],
    "Visual-Counting-ood-test-1k": [COUNT, COUNT],
    "Structure-Perception-id-test-820": [CHOICE],
    "Structure-Perception-ood-test-800": [NUMBER],
    "Spatial-Transformation-id-test-1k": [MOVED],
    "Spatial-Transformation-ood-left-test-1k": [MOVED],
    "Spatial-Transformation-ood-right-test-1k": [MOVED],
}


@pytest.fixture
def hub(tmp_path):
    """The hub's repository, its archives unpacked as its page shows them."""
    for folder, files in {"train_jsons": TRAIN, "test_jsons": TEST}.items():
        (tmp_path / folder).mkdir()
        for stem, found in files.items():
            (tmp_path / folder / f"{stem}.json").write_text(json.dumps(found, indent=4), encoding="utf-8")
    for part in ("train", "test"):
        for name in ("clevr/a.png", "geo/a.png", *MOVED["image"]):
            write_picture(tmp_path / "images" / f"{part}_images" / name)
    return tmp_path


def marks_of(sample, answer):
    return rewards.call(sample.reward, tagged(answer), sample).reward


def test_the_three_tasks(hub):
    samples = datasets.load(f"reason-rft:{hub}")
    count, _, number, moved = samples
    assert [s.metadata["task"] for s in samples] == [
        "visual-counting", "structure-perception", "structure-perception", "spatial-transformation",
    ]  # fmt: skip
    assert {s.reward for s in samples[:3]} == {"reason-rft-accuracy + reason-rft-format"}
    assert moved.reward == "reason-rft-transformation + reason-rft-format"
    assert [s.truth for s in samples[:3]] == ["3", "B", "12.5"]
    assert (count.question, count.metadata["cot"], count.metadata["id"]) == (
        "How many are left?",
        "2+1 is 3",
        "train-7",
    )
    assert count.id == "reason-rft/A3-Visual-Counting-train-35k-cot/0"
    assert list(count.sources) == ["image"]
    assert datasets.check(samples, decode=True).rows == 4
    # The answer's reward and one for the layout.
    assert [marks_of(s, s.truth) for s in samples] == [2, 2, 2, 2]
    assert [marks_of(s, "A") for s in samples] == [1, 1, 1, 1]
    assert marks_of(number, "\\frac{25}{2}") == 2


def test_transformations(hub):
    (sample,) = datasets.load(f"reason-rft:{hub}?tasks=spatial-transformation")
    assert [source.ref[-10:] for source in sample.sources.values()] == ["init.C.png", "/img_418840-fin.C.png"[-10:]]
    assert list(sample.sources) == ["before", "after"]
    # The prompt of the public code, not the file, says which functions there are.
    assert MOVED["problem"] in sample.question
    assert "change_shape(object, value): cube, sphere, cylinder" in sample.question
    assert "change_position(object, direction): front, behind" in sample.question
    assert marks_of(sample, "change_position(0, front-left)\nchange_color(0, blue)") == 2
    assert marks_of(sample, "change_color(0, blue), change_position(0, left)") == 1.75


@pytest.mark.parametrize(
    ("query", "stems"),
    [
        ("split=test", [stem for stem in TEST if "-id-" in stem]),
        ("split=test-ood", [stem for stem in TEST if "-ood-" in stem]),
        ("split=test-ood-left&tasks=spatial-transformation", ["Spatial-Transformation-ood-left-test-1k"]),
        ("split=test-ood-right", ["Spatial-Transformation-ood-right-test-1k"]),
        ("split=test-ood&tasks=visual-counting", ["Visual-Counting-ood-test-1k"]),
    ],
)
def test_the_seven_tests(hub, query, stems):
    samples = datasets.load(f"reason-rft:{hub}?{query}")
    assert list(dict.fromkeys(s.id.split("/")[1] for s in samples)) == stems
    assert len(samples) == sum(len(TEST[stem]) for stem in stems)
    assert datasets.check(samples, decode=True).bad == 0


def test_a_file_of_any_form(hub, tmp_path):
    said = [
        {"role": "user", "content": "<image>How many? Output the final answer (number) in <answer> </answer> tags."},
        {"role": "assistant", "content": "<think>\n2+1\n</think>\n<answer>\n3\n</answer>"},
    ]
    plain = [said[0], {"role": "assistant", "content": "3"}]
    forms = [
        {"id": "1", "image": "clevr/a.png", "problem": "How many?", "solution": "3"},
        {"id": "1", "images": ["clevr/a.png"], "messages": said},
        {"id": "1", "image": {"path": "clevr/a.png"}, "messages": plain},
    ]
    file = tmp_path / "elsewhere" / "clevr-math-train.json"
    file.parent.mkdir()
    file.write_text(json.dumps(forms), encoding="utf-8")
    samples = datasets.load(f"reason-rft:{file}?root={hub}")
    assert [s.truth for s in samples] == ["3", "3", "3"]
    assert samples[1].question == "How many? Output the final answer (number) in <answer> </answer> tags."
    assert len({s.id for s in samples}) == 3
    other = file.rename(file.with_name("mine.json"))
    with pytest.raises(ConfigError, match=r"the name of .*mine\.json tells no task; name it with tasks="):
        datasets.load(f"reason-rft:{other}?root={hub}")
    with pytest.raises(ConfigError, match="one file is of one task, and tasks names 2"):
        datasets.load(f"reason-rft:{other}?root={hub}&tasks=visual-counting,structure-perception")
    assert len(datasets.load(f"reason-rft:{other}?root={hub}&tasks=visual-counting&reward=count")) == 3


def test_a_file_in_its_folder_finds_the_pictures(hub):
    (sample,) = datasets.load(f"reason-rft:{hub / 'train_jsons' / 'A3-Visual-Counting-train-35k-cot.json'}")
    assert sample.source("image").image == hub / "images" / "train_images" / "clevr" / "a.png"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("split=val", "split=val: no such split; there are train, test, test-ood, test-ood-left, test-ood-right"),
        ("tasks=counting", "tasks=counting: no such tasks; there are visual-counting, "),
        ("split=test-ood-left&tasks=visual-counting", "visual-counting has no split 'test-ood-left'"),
    ],
)
def test_splits_and_tasks_that_do_not_exist(hub, query, message):
    with pytest.raises(ConfigError) as caught:
        datasets.load(f"reason-rft:{hub}?{query}")
    assert message in str(caught.value)


def test_a_missing_file_is_named(hub):
    (hub / "train_jsons" / "A3-Visual-Counting-train-35k-cot.json").unlink()
    with pytest.raises(
        DataError, match=r"no file with split 'train' of visual-counting; looked for train_jsons/\*Visual"
    ):
        datasets.load(f"reason-rft:{hub}")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "clevr/a.png", "problem": "How many?"}, "key 'answer' is missing, and 'solution' too"),
        ({**COUNT, "answer": [3]}, "key 'answer' is a text or a number, not [3]"),
        ({**COUNT, "answer": " "}, "key 'answer' is a text or a number, not ' '"),
        ({**COUNT, "problem": 7}, "key 'problem' is a text, not 7"),
        ({**COUNT, "image": None}, "key 'image' is a picture's path or a list of them, not None"),
        ({**COUNT, "image": []}, "key 'image' is a picture's path or a list of them, not []"),
        ({**COUNT, "image": "../../../../secret.png"}, "leaves its root"),
        ({**COUNT, "image": "clevr/b.png"}, "no such picture; looked for"),
        ({**COUNT, "messages": [{"role": "user", "content": "?"}]}, "those of a user and an assistant, not of user"),
        ({**COUNT, "messages": ["?"]}, "messages[0]: a row is an object, not str"),
        ("?", "a row is an object, not str"),
    ],
)
def test_a_bad_row_is_named(hub, row, message):
    file = hub / "train_jsons" / "A3-Visual-Counting-train-35k-cot.json"
    file.write_text(json.dumps([COUNT, row]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        datasets.load(f"reason-rft:{hub}?tasks=visual-counting")
    assert "A3-Visual-Counting-train-35k-cot.json, row 1" in str(caught.value)
    assert message in str(caught.value)


def test_a_transformation_needs_both_pictures(hub):
    file = hub / "train_jsons" / "A1-Spatial-Transformation-train-60k-cot.json"
    file.write_text(json.dumps([{**MOVED, "image": MOVED["image"][0]}]), encoding="utf-8")
    with pytest.raises(DataError, match="row 0: a transformation has two pictures, before and after, not 1"):
        datasets.load(f"reason-rft:{hub}?tasks=spatial-transformation")

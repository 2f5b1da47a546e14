import json

import pytest

from exam_rows import marks_of
from rows import shared, write_picture
from vantage import datasets
from vantage.datasets.trance import DIRECTIONS, STEPS, VALUES
from vantage.errors import ConfigError, DataError


def thing(**changed):
    return {"color": "gray", "material": "metal", "shape": "cube", "size": "small", "position": [0, 0], **changed}


def change(obj_idx=1, attr="color", val="cyan", **extra):
    return {"obj_idx": obj_idx, "attr": attr, "val": val, "options": [val], **extra}


def scene(idx=0, changes=None, name="img", after=None):
    sides = {"Camera_Center": "C", "Camera_Left": "L", "Camera_Right": "R"}
    return {
        "idx": idx,
        "states": [
            {"objects": [thing(), thing(color="red")], "images": {"Camera_Center": f"{name}-init.C.png"}},
            {"objects": [thing(), thing(color="cyan")], "images": {}},
            {
                "objects": [thing(), thing(color="cyan")],
                "images": {c: f"{name}-fin.{s}.png" for c, s in sides.items()} if after is None else after,
            },
        ],
        "transformations": [change()] if changes is None else changes,
    }


@pytest.fixture
def release(tmp_path):
    for part, size in {"init.C": (8, 6), "fin.C": (9, 6), "fin.L": (10, 6), "fin.R": (11, 6)}.items():
        write_picture(tmp_path / "image" / f"img-{part}.png", size)

    def write(*scenes):
        file = tmp_path / "data.jsonl"
        file.write_text("".join(json.dumps(scene) + "\n" for scene in scenes), encoding="utf-8")
        return tmp_path

    return write


def test_a_scene(release):
    folder = release(scene(4, [change(), change(0, "position", ["front-left", 2])]))
    for path in (folder, folder / "data.jsonl"):
        (sample,) = samples = datasets.load(f"trance:{path}")
        assert (sample.id, sample.reward) == ("trance/train/4/centre", "reason-rft-transformation")
        assert sample.truth == ["change_color(1, cyan)", "change_position(0, (front-left, 2))"]
        assert sample.metadata == {"view": "centre", "changes": 2}
        assert [(name, source.size()) for name, source in sample.sources.items()] == [
            ("before", (8, 6)),
            ("after", (9, 6)),
        ]
        assert datasets.check(samples, decode=True).rows == 1
        right = "change_position(0, front_left, 2)\nchange_color('1', 'cyan')"
        # One of two is right; and a move of the wrong length shares function and object: 0.5 of 2.
        half = "change_color(1, cyan)"
        near = "change_color(1, cyan), change_position(0, (front-left, 1))"
        assert marks_of(sample, right, half, near) == [1, 0.5, 0.75]


def test_the_question_says_what_can_be_answered(release):
    (sample,) = datasets.load(f"trance:{release(scene())}")
    for line in [
        "0: small gray metal cube", "1: small red metal cube", "change_size(object, value): small, medium, large",
        "change_material(object, value): rubber, metal, glass", "change_shape(object, value): cube, sphere, cylinder",
    ]:  # fmt: skip
        assert line in sample.question.split("\n")
    assert "change_position(object, (direction, steps)): front, behind, " in sample.question


def test_the_last_picture_is_seen_from_the_side_asked_for(release):
    samples = datasets.load(f"trance:{release(scene())}?tasks=left,right")
    assert [s.id for s in samples] == ["trance/train/0/left", "trance/train/0/right"]
    assert [[source.size()[0] for source in s.sources.values()] for s in samples] == [[8, 10], [8, 11]]
    with pytest.raises(ConfigError, match="tasks=top: no such tasks; there are centre, left, right"):
        datasets.load(f"trance:{release(scene())}?tasks=top")


def test_a_move_that_could_have_been_another_lists_them(release):
    moves = [["left", 1], ["left", 2]]
    (sample,) = datasets.load(f"trance:{release(scene(0, [change(0, 'position', ['left', 2], options=moves)]))}")
    assert sample.truth == ["change_position(0, (left, 2))"]
    assert sample.metadata["options"] == [moves]


def test_splits_go_by_line(release, monkeypatch):
    monkeypatch.setattr("vantage.datasets.trance.SPLITS", {"train": range(2), "val": range(2, 3), "test": range(3, 9)})
    folder = release(*(scene(n) for n in range(3)))
    assert [s.id for s in datasets.load(f"trance:{folder}")] == ["trance/train/0/centre", "trance/train/1/centre"]
    assert [s.id for s in datasets.load(f"trance:{folder}?split=val")] == ["trance/val/2/centre"]
    with pytest.raises(DataError, match=r"data\.jsonl: split 'test' begins at row 3, and there are 3"):
        datasets.load(f"trance:{folder}?split=test")
    with pytest.raises(ConfigError, match="split=dev: no such split; there are train, val, test"):
        datasets.load(f"trance:{folder}?split=dev")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**scene(), "states": []}, "0 states and 1 transformations; at least 2 and 1 are needed"),
        ({k: v for k, v in scene().items() if k != "transformations"}, "key 'transformations' is missing"),
        ({**scene(), "states": 3}, "key 'states' is a list, not 3"),
        ({**scene(), "states": [7, 8]}, "a row is an object, not int"),
        (scene(0, [change(2)]), "transformations[0]: 'obj_idx' is the number of one of 2 objects, from 0, not 2"),
        (scene(0, [change(attr="weight")]), "'attr' is one of position, size, color, material, shape, not 'weight'"),
        (scene(0, [change(val="pink")]), "'val' of color is one of gray, red"),
        (scene(0, [change(val=["cyan"])]), "'val' of color is one of gray, red"),
        (scene(0, [change(attr="position", val="left")]), "'val' of a move is [direction, steps]"),
        (scene(0, [change(attr="position", val=["left", 3])]), "'val' of a move is [direction, steps]"),
        (scene(0, [change(attr="position", val=[["left"], {}])]), "'val' of a move is [direction, steps]"),
        (scene(0, ["cyan"]), "transformations[0]: a row is an object, not str"),
        (scene(after={"Camera_Left": "a.png"}), "key 'Camera_Center' is missing"),
        (scene(after={"Camera_Center": "../../secret.png"}), "leaves its root"),
        (scene(name="other"), "no such picture; looked for"),
        (scene(name="a" * 300), "name too long"),
    ],
)
def test_a_bad_scene_is_named(release, row, message):
    with pytest.raises(DataError) as caught:
        datasets.load(f"trance:{release(scene(), row)}")
    assert "1 problem in 2 rows" in str(caught.value)
    assert "data.jsonl:2" in str(caught.value)
    assert message in str(caught.value)


def test_no_scenes(tmp_path):
    with pytest.raises(DataError, match=r"no file with scenes; looked for data\.jsonl, example\.json"):
        datasets.load(f"trance:{tmp_path}")


def test_a_real_scene():
    folder = shared("trance")
    samples = datasets.load(f"trance:{folder}?tasks=centre,left,right")
    assert datasets.check(samples, sources=["before", "after"], decode=True).rows == 3
    assert {source.size() for s in samples for source in s.sources.values()} == {(160, 120)}
    assert [s.source("after").ref[-5] for s in samples] == ["C", "L", "R"]
    for sample in samples:
        # What the two states of the file differ in: the third object's colour and place, the fifth one's colour.
        assert sample.truth == ["change_color(2, cyan)", "change_position(2, (behind, 2))", "change_color(4, brown)"]
        answers = (", ".join(reversed(sample.truth)), "change_color(3, cyan)")
        assert marks_of(sample, *answers) == [1, pytest.approx(0.5 / 3)]
        assert "2: small yellow glass cube\n" in sample.question


def test_the_values_are_those_of_the_data_set():
    values = json.loads((shared("trance") / "values.json").read_text(encoding="utf-8"))
    moves = values.pop("position")
    assert {key: set(listed) for key, listed in VALUES.items()} == {key: set(listed) for key, listed in values.items()}
    assert (list(DIRECTIONS), list(STEPS)) == (moves["direction"], moves["step"])


def test_a_line_that_is_no_json_is_named(release):
    folder = release(scene())
    with (folder / "data.jsonl").open("ab") as lines:
        lines.write(b"\n" + "{\n\xff\n".encode("latin-1"))
    with pytest.raises(
        DataError, match=r"2 problems in 3 rows:\n.*data\.jsonl:3: not JSON \(.*\n.*data\.jsonl:4: not UTF-8"
    ):
        datasets.load(f"trance:{folder}")

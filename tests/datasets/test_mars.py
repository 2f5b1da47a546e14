import json

import pytest

from rows import write_picture
from vantage import datasets
from vantage.errors import DataError


def question(*paths, text="What?", truth="yes", **extra):
    content = [{"type": "image", "image": path} for path in paths] + [{"type": "text", "text": text}]
    return {"role": "user", "content": content, "ground_truth": truth, **extra}


@pytest.fixture
def load(tmp_path):
    def write(row, query="", pictures=True, lines=False):
        for part in row["content"] if pictures else ():
            if part["type"] == "image":
                write_picture(tmp_path / part["image"])
        file = tmp_path / "eval.json"
        file.write_text(json.dumps(row) if lines else json.dumps([row]), encoding="utf-8")
        return datasets.load(f"mars:{file}{query}")[0]

    return write


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["data/images/LLVIP/visible/test/1.png", "data/images/LLVIP/infrared/test/1.png"], ["rgb", "infrared"]),
        (["data/images/LLVIP/infrared/test/1.png", "data/images/LLVIP/visible/test/1.png"], ["infrared", "rgb"]),
        (["data/images/SpatialQA/touch/s.png", "data/images/SpatialQA/touch_d/s.png"], ["rgb", "depth"]),
        (
            [f"data/images/nuscenes/full/images/{i}.png" for i in range(7, 13)],
            [f"camera_{i}" for i in range(1, 7)],
        ),
        ([f"data/images/OCR-VQA/full/images/{i}.png" for i in (8, 9)], ["page_1", "page_2"]),
    ],
)
def test_sources_are_named_by_kind_in_the_order_of_the_row(load, paths, names):
    sample = load(question(*paths, extra_info={"sample_id": 4}))
    assert list(sample.sources) == names
    assert all(source.ref.endswith(path) for source, path in zip(sample.sources.values(), paths, strict=True))
    assert (sample.id, sample.question, sample.truth, sample.reward) == ("eval/0", "What?", "yes", "mars-vqa")
    assert sample.metadata == {"sample_id": 4}


PAIR = ("data/images/LLVIP/visible/test/1.png", "data/images/LLVIP/infrared/test/1.png")


def test_boxes_make_a_grounding_row(load):
    sample = load(question(*PAIR, truth=[[1, 2, 3, 4]]), "?frame=resized", lines=True)
    assert sample.reward == "mars-grounding"
    assert sample.metadata == {"frame": "resized", "truth_frame": "pixel"}
    assert sample.truth == [[1, 2, 3, 4]]


def test_a_mark_for_a_picture_leaves_the_question(load):
    assert load(question(*PAIR, text="<image><image>\nWhat?")).question == "What?"


@pytest.mark.parametrize("kept", ["data/images/LLVIP", "LLVIP", ""])
def test_pictures_are_found_below_the_root(load, tmp_path, kept):
    for kind in ("visible", "infrared"):
        write_picture(tmp_path / "elsewhere" / kept / kind / "test" / "1.png")
    sample = load(question(*PAIR), f"?root={tmp_path / 'elsewhere'}", pictures=False)
    assert sample.source("rgb").image == tmp_path / "elsewhere" / kept / "visible" / "test" / "1.png"


def test_a_missing_picture_lists_where_it_was_looked_for(load, tmp_path):
    with pytest.raises(DataError) as caught:
        load(question(*PAIR), pictures=False)
    assert "eval.json, row 0: no picture 'data/images/LLVIP/visible/test/1.png'" in str(caught.value)
    for place in ("data/images/LLVIP/visible", "LLVIP/visible", "visible"):
        assert f"{tmp_path / place / 'test' / '1.png'}" in str(caught.value)


def test_an_unknown_kind_needs_names(load):
    row = question("my/a.png", "my/b.png")
    with pytest.raises(DataError, match=r"row 0: pictures of an unknown kind \('my/a.png'\).*names="):
        load(row)
    assert list(load(row, "?names=left,right").sources) == ["left", "right"]
    with pytest.raises(DataError, match="2 pictures, but 3 names"):
        load(row, "?names=a,b,c")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (question(PAIR[0], PAIR[0]), "two pictures would both be called 'rgb'"),
        ({"content": []}, "'ground_truth' is missing"),
        ({"content": [], "ground_truth": 1}, "at least one picture and one text"),
        ({"content": [{"type": "video", "video": "a"}], "ground_truth": 1}, "neither a picture's path nor a text"),
        ({"content": [{"type": "text", "text": 3}], "ground_truth": 1}, "neither a picture's path nor a text"),
    ],
)
def test_a_row_that_is_none_is_named(load, row, message):
    with pytest.raises(DataError) as caught:
        load(row, pictures=False)
    assert message in str(caught.value)
    assert "row 0" in str(caught.value)

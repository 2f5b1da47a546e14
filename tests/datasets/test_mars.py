import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rows import fenced, tagged, write_picture
from vantage import datasets, rewards
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
    assert "eval.json, row 0: no such picture; looked for" in str(caught.value)
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


def encoded(colour, size=(64, 48)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return {"bytes": buffer.getvalue(), "path": None}


def training(*pictures, content=None, truth="<answer>Yes</answer>", data_source="llvip", **changed):
    return {
        "data_source": data_source,
        "prompt": [{"role": "user", "content": "<image>" * len(pictures) + "What?" if content is None else content}],
        "images": list(pictures),
        "ability": "grounding",
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"split": "train", "index": 3},
    } | changed


@pytest.fixture
def load_training(tmp_path):
    def write(*rows, query=""):
        pq.write_table(pa.Table.from_pylist(list(rows)), tmp_path / "train.parquet")
        return datasets.load(f"mars:{tmp_path / 'train.parquet'}{query}")

    return write


def test_a_training_file_with_pictures_in_it(load_training):
    boxes = [[1, 2, 30, 40], [5, 6, 50, 45]]
    red, blue = encoded((255, 0, 0)), encoded((0, 0, 255))
    first, second = load_training(
        training(red, blue, truth=f"<answer>{json.dumps(boxes)}</answer>"),
        training(red, blue, truth="<answer>\n No</answer>", data_source="/data/SpatialQA"),
        query="?frame=pixel",
    )
    assert (first.id, first.question, first.truth, first.reward) == ("train/0", "What?", boxes, "mars-grounding")
    assert first.metadata == {
        "split": "train", "index": 3, "data_source": "llvip", "ability": "grounding",
        "frame": "pixel", "truth_frame": "pixel",
    }  # fmt: skip
    assert list(first.sources) == ["rgb", "infrared"]
    assert first.picture("infrared").getpixel((5, 5))[2] > 240
    assert (list(second.sources), second.truth, second.reward) == (["rgb", "depth"], "No", "mars-vqa")
    assert datasets.check([first, second], decode=True).rows == 2
    answer = fenced(json.dumps([{"bbox_2d": box, "label": "person"} for box in boxes]))
    assert rewards.call(first.reward, answer, first).reward == pytest.approx(0.75 + 1 + 0.3 * np.log(2))
    assert rewards.call(second.reward, tagged("no"), second).reward == 1.5


def test_a_training_file_that_names_its_pictures(load_training, tmp_path):
    paths = [f"data/images/nuscenes/full/images/{i}.png" for i in range(6)]
    for path in paths:
        write_picture(tmp_path / path)
    content = "<image>" * 6 + "\nIs <image 2> darker than <image 3>?"
    row = training(*({"image": path} for path in paths), truth="two or 2", content=content)
    row["images"][0] = {"image": f"file://{tmp_path / paths[0]}"}
    row["prompt"].insert(0, {"role": "system", "content": "Think."})
    with pytest.raises(DataError, match=r"row 0: the prompt marks 8 pictures, and 'images' has 6"):
        load_training(row)
    row["prompt"][1]["content"] = "<image>" * 6 + "\nIs it dark?"
    (sample,) = load_training(row)
    assert list(sample.sources) == [f"camera_{i}" for i in range(1, 7)]
    assert (sample.question, sample.truth, sample.metadata["system"]) == ("Is it dark?", "two or 2", "Think.")
    assert rewards.call(sample.reward, tagged("2"), sample).reward == 1.5


def test_depth_of_sixteen_bits_needs_a_named_mapping(load_training, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), 5000, np.uint16)).save(buffer, "PNG")
    row = training(encoded((9, 9, 9)), {"bytes": buffer.getvalue(), "path": None}, data_source="SpatialQA")
    with pytest.raises(DataError, match="mapping"):
        datasets.check(load_training(row), decode=True)
    (sample,) = load_training(row, query="?mapping=depth-channels")
    # 5000 = 4 * 1024 + 904, 904 = 28 * 32 + 8; 5000 // 32 mod 32 is 28.
    assert sample.picture("depth").getpixel((1, 1)) == (4 * 4, 28 * 8, 8 * 8)


RED = encoded((255, 0, 0))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (training(RED, RED, reward_model={"style": "rule"}), "'ground_truth' of 'reward_model' is missing"),
        (training(RED, RED, reward_model=None), "key 'reward_model' is an object, not None"),
        (training(RED, RED, images=3), "key 'images' is a list, not 3"),
        (training({"bytes": None, "path": None}), r"a picture in 'images' is a path or {'bytes', 'path'}, not {'"),
        (training(RED, RED, content=""), "at least one picture and one text"),
        (training(RED, RED, data_source="mine"), r"unknown kind \(data_source 'mine'\).*names="),
        (training(RED, data_source="llvip"), "1 pictures, but 2 names: rgb, infrared"),
        (training(RED, RED, prompt=[{"role": "assistant", "content": "x"}]), "a message of 'assistant' in 'prompt'"),
        (training(RED, RED, prompt=[{"role": "user", "content": None}]), "a text or a list of parts, not None"),
        (training("../../secret.png", data_source="a"), r"the path '../../secret.png' leaves its root"),
    ],
)
def test_a_training_row_that_is_none_is_named(load_training, row, message):
    query = "?names=one" if isinstance(row["images"], list) and "secret" in str(row["images"]) else ""
    with pytest.raises(DataError, match=f"train.parquet, row 0: .*{message}"):
        load_training(row, query=query)


def test_a_path_may_not_leave_the_root(load):
    with pytest.raises(DataError, match=r"eval.json, row 0: the path '../LLVIP/visible/1.png' leaves its root"):
        load(question("../LLVIP/visible/1.png"), pictures=False)

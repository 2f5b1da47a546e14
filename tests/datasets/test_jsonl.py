import json

import numpy as np
import pytest
from PIL import Image

from rows import write_picture
from vantage import datasets
from vantage.errors import ConfigError, DataError, PictureError
from vantage.pictures import Source

ROW = {
    "id": "a",
    "question": "How many?",
    "sources": {"rgb": "pictures/a.png", "infrared": "pictures/b.png"},
    "truth": "3",
    "reward": "answer",
    "metadata": {"scene": "street"},
}


@pytest.fixture
def rows(tmp_path):
    for name in "ab":
        write_picture(tmp_path / "pictures" / f"{name}.png")

    def write(*lines):
        file = tmp_path / "rows.jsonl"
        file.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines) + "\n", encoding="utf-8")
        return f"jsonl:{file}"

    return write


def test_rows_load_with_paths_relative_to_the_file(rows):
    (sample,) = datasets.load(rows(ROW))
    assert (sample.id, sample.question, sample.truth, sample.reward) == ("a", "How many?", "3", "answer")
    assert sample.metadata == {"scene": "street"}
    assert sample.source("infrared").size() == (64, 48)


def test_what_may_be_left_out(rows):
    short = {key: ROW[key] for key in ("question", "sources", "truth")}
    first, second = datasets.load(rows(short, "", short) + "?reward=mars-vqa&frame=pixel")
    assert (first.id, second.id) == ("rows.jsonl:1", "rows.jsonl:3")
    assert (first.reward, first.metadata) == ("mars-vqa", {"frame": "pixel"})


def test_a_draw_is_seeded_and_names_each_row_once(rows):
    many = rows(*({**ROW, "id": i} for i in range(20)))
    ids = [[s.id for s in datasets.load(f"{many}?n=5{seed}")] for seed in ("", "&seed=1", "&seed=1", "&seed=2")]
    assert ids[0] == list("01234")
    assert ids[1] == ids[2] != ids[3]
    with pytest.raises(DataError, match="two rows are called 'a'"):
        datasets.load(rows(ROW, ROW))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": None}, "rows.jsonl:2: key 'question' is a text, not None"),
        ({"sources": ["a.png"]}, "rows.jsonl:2: key 'sources' is an object, not ['a.png']"),
        ({"sources": {}}, "rows.jsonl:2: row 'a': a sample needs at least one source"),
        (
            {"sources": {"rgb": 3}},
            "rows.jsonl:2: source 'rgb' is a path, or an object with path, ",
        ),
        ({"id": True}, "rows.jsonl:2: key 'id' is a text or an integer"),
        ({"reward": 3}, "rows.jsonl:2: key 'reward' is a text"),
        (
            {"answer": "3"},
            "rows.jsonl:2: unknown key 'answer'; the keys are id, question, sources, ",
        ),
        ("truth", "rows.jsonl:2: key 'truth' is missing"),
        ("question", "rows.jsonl:2: key 'question' is missing"),
        ("reward", "rows.jsonl:2: key 'reward' is missing, and the settings name none"),
    ],
)
def test_a_wrong_key_is_named_with_its_line(rows, change, message):
    wrong = {**ROW, **change} if isinstance(change, dict) else {k: v for k, v in ROW.items() if k != change}
    with pytest.raises(DataError) as caught:
        datasets.load(rows({**ROW, "id": "first"}, wrong))
    assert message in str(caught.value)


@pytest.mark.parametrize("line", ["{", "[" * 100_000, "nothing", "[1]", '"a"', ROW["id"] + "}"])
def test_a_malformed_line_is_never_skipped(rows, line):
    with pytest.raises(DataError, match=r"rows\.jsonl:2: (not JSON|a row is an object)"):
        datasets.load(rows(ROW, line))


def test_no_file_and_no_rows(rows, tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        datasets.load(f"jsonl:{tmp_path}/gone.jsonl")
    with pytest.raises(DataError, match="no rows"):
        datasets.load(rows(""))
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "caf\xe9"}\n')
    with pytest.raises(DataError, match="UTF-8"):
        datasets.load(f"jsonl:{tmp_path}/latin.jsonl")


def test_a_line_separator_inside_a_text_ends_no_line(rows):
    odd = "one" + chr(0x2028) + "two"
    (sample,) = datasets.load(rows(json.dumps({**ROW, "question": odd}, ensure_ascii=False)))
    assert sample.question == odd


def test_every_bad_row_is_named_at_once(rows):
    spec = rows({**ROW, "question": 3}, ROW, "{", {**ROW, "id": "b", "truth": "4"}, {**ROW, "id": []})
    with pytest.raises(DataError) as caught:
        datasets.load(spec)
    text = str(caught.value)
    assert text.startswith("3 problems in 5 rows:")
    assert all(f"rows.jsonl:{line}: " in text for line in (1, 3, 5))


def test_a_picture_may_be_pinned_by_its_content_and_mapped(rows, tmp_path):
    Image.fromarray(np.array([[0, 300]], dtype=np.uint16)).save(tmp_path / "pictures" / "d.png")
    pinned = {"path": "pictures/a.png", "sha256": Source(tmp_path / "pictures" / "a.png").digest()}
    depth = {"path": "pictures/d.png", "mapping": "depth"}
    (sample,) = datasets.load(rows({**ROW, "sources": {"rgb": pinned, "depth": depth}}))
    assert sample.picture("depth").getpixel((1, 0)) == (255, 255, 255)
    write_picture(tmp_path / "pictures" / "a.png", colour=(1, 1, 1))
    with pytest.raises(PictureError, match=r"row 'a', source 'rgb': .*content has changed"):
        sample.picture("rgb")
    with pytest.raises(DataError, match=r"rows.jsonl:1: .*'fog' is no mapping"):
        datasets.load(rows({**ROW, "sources": {"depth": {**depth, "mapping": "fog"}}}))


@pytest.mark.parametrize("path", ["../a.png", "pictures/../../a.png", "/etc/hostname", "", "  ", "a\0.png"])
def test_a_path_may_not_leave_its_root(rows, path):
    with pytest.raises(DataError, match=r"rows.jsonl:1: source 'rgb'"):
        datasets.load(rows({**ROW, "sources": {"rgb": path}}))


def test_paths_that_stay_in_the_root(rows, tmp_path):
    inside = ["pictures/a.png", "./pictures/a.png", "pictures/../pictures/a.png", str(tmp_path / "pictures" / "a.png")]
    for path in inside:
        (sample,) = datasets.load(rows({**ROW, "sources": {"rgb": path}}))
        assert sample.source("rgb").size() == (64, 48)
    # Another root makes room for more.
    (sample,) = datasets.load(rows({**ROW, "sources": {"rgb": str(tmp_path / "pictures/a.png")}}) + "?root=/")
    assert sample.source("rgb").size() == (64, 48)


@pytest.mark.parametrize("mapping", ["depth", None])
@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        ({"path": "pictures/a.png", "mapping": 3}, "a mapping is a text such as depth, not 3"),
        ({"path": "pictures/a.png", "mapping": []}, "a mapping is a text"),
        ({"path": "pictures/a.png", "sha256": 0}, "a sha256 is 64 digits 0-9a-f, not 0"),
        ({"path": "pictures/a.png", "sha256": ["a"]}, "a sha256 is 64 digits"),
        ({"path": 3}, "key 'path' is a text, not 3"),
        ({"bytes": "text", "path": "pictures/a.png"}, "key 'bytes' is an encoded picture, not 'text'"),
    ],
)
def test_what_a_picture_may_not_say_is_the_rows_problem(rows, picture, mapping, reason):
    more = f"?mapping={mapping}" if mapping else ""
    with pytest.raises(DataError, match=r"^1 problem in 2 rows:\n\S*rows\.jsonl:1: ") as caught:
        datasets.load(rows({**ROW, "sources": {"rgb": picture}}, {**ROW, "id": "b"}) + more)
    assert reason in str(caught.value)


def test_rows_are_read_when_they_are_taken(rows, monkeypatch):
    """A Parquet file may hold more pictures than memory."""
    taken = []
    original = datasets.jsonl.rows
    monkeypatch.setattr(datasets.jsonl, "rows", lambda spec: (taken.append(row) or row for row in original(spec)))
    spec = rows(ROW, {**ROW, "id": "b"}, "not json") + "?n=2"
    for count, _ in enumerate(datasets.read(spec), 1):
        assert len(taken) == count
    assert len(taken) == 2
    assert [sample.id for sample in datasets.load(spec)] == ["a", "b"]
    found = datasets.read(spec)
    assert found.total is None
    assert [where[-2:] for where, _ in found] == [where[-2:] for where, _ in found] == [":1", ":2"]
    assert datasets.read(spec + "&seed=1").total == 2
    assert datasets.read("night?n=7").total == 7


@pytest.mark.parametrize("key", ["frame", "truth_frame"])
def test_a_frame_is_one_whatever_the_reward(rows, key):
    for frame in ("px", 3, ["pixel"]):
        with pytest.raises(DataError, match=r"rows\.jsonl:1: .* is no coordinate frame; a frame is 'pixel'"):
            datasets.load(rows({**ROW, "metadata": {key: frame}}))
    (sample,) = datasets.load(rows({**ROW, "metadata": {key: "relative:8"}}))
    assert sample.metadata == {key: "relative:8"}

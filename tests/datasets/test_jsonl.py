import json

import pytest

from rows import write_picture
from vantage import datasets
from vantage.errors import DataError

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
        ({"sources": ["a.png"]}, "rows.jsonl:2: key 'sources' is an object of name to path"),
        ({"sources": {}}, "rows.jsonl:2: row 'a': a sample needs at least one source"),
        ({"sources": {"rgb": 3}}, "rows.jsonl:2: key 'sources': 'rgb' is a path, not 3"),
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
    with pytest.raises(DataError, match="no such file"):
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

import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rows import tagged, write_picture
from vantage import datasets, rewards
from vantage.errors import ConfigError, DataError

GENRES = ["Travel", "Medical Books", "Cookbooks, Food & Wine", "Romance", "Law"]


def book(i, split=1, **changed):
    return {
        "imageURL": f"http://ecx.images-amazon.com/images/I/{i}.jpg",
        "questions": ["Who is the author of this book?", "Is this a recipe book?"],
        "answers": [f"Author {i % 3}", "No"],
        "title": f"Title {i}",
        "authorName": f"Author {i % 3}",
        "genre": GENRES[i % 5],
        "split": split,
    } | changed


@pytest.fixture
def load(tmp_path):
    def write(entries, query="", pictures=True):
        (tmp_path / "dataset.json").write_text(json.dumps(entries))
        (tmp_path / "images").mkdir(exist_ok=True)
        for key in entries if pictures else ():
            write_picture(tmp_path / "images" / f"{key}.jpg")
        return datasets.load(f"ocr-vqa:{tmp_path}{query}")

    return write


def test_a_question_of_a_cover_is_a_row(load, tmp_path):
    samples = load({"0761158203": book(7), "B00": book(8, split=3), "C00": book(9, split=2)})
    assert [s.id for s in samples] == ["ocr-vqa/train/0761158203/0", "ocr-vqa/train/0761158203/1"]
    author, recipe = samples
    assert (author.question, author.truth, author.reward) == ("Who is the author of this book?", "Author 1", "answer")
    assert author.source("cover").image == tmp_path / "images" / "0761158203.jpg"
    assert recipe.metadata == {"title": "Title 7", "authorName": "Author 1", "genre": "Cookbooks, Food & Wine"}
    assert datasets.check(samples, decode=True).rows == 2
    assert rewards.call(author.reward, tagged("author 1"), author).reward == 1
    assert rewards.call(recipe.reward, tagged("yes"), recipe).reward == 0
    for split, key in (("val", "C00"), ("test", "B00")):
        assert datasets.load(f"ocr-vqa:{tmp_path}?split={split}")[0].id == f"ocr-vqa/{split}/{key}/0"


def test_other_endings_and_other_roots(load, tmp_path):
    write_picture(tmp_path / "elsewhere" / "images" / "a.gif")
    samples = load({"a": book(1)}, f"?root={tmp_path / 'elsewhere'}", pictures=False)
    assert samples[0].source("cover").ref.endswith("elsewhere/images/a.gif")
    with pytest.raises(ConfigError, match=r"nowhere/images: no such folder; root=FOLDER"):
        load({"a": book(1)}, f"?root={tmp_path / 'nowhere'}")


@pytest.mark.parametrize(("task", "key"), [("same-genre", "genre"), ("same-author", "authorName")])
def test_pairs_ask_what_two_covers_share(load, task, key):
    entries = {f"b{i}": book(i) for i in range(60)}
    samples = load(entries, f"?tasks={task}")
    assert len(samples) == 60
    same = 0
    for sample in samples:
        assert list(sample.sources) == ["page_1", "page_2"]
        first, second = (entries[re.search(r"(b\d+)\.jpg", source.ref)[1]] for source in sample.sources.values())
        assert first is not second
        options = dict(re.findall(r"^([A-D])\. (.+)$", sample.question, re.MULTILINE))
        assert len(set(options.values())) == len(options) == 4
        right = first[key] if first[key] == second[key] else "not the same"
        assert options[sample.truth] == right
        assert {first[key], second[key], "not the same"} <= set(options.values())
        for answer in (sample.truth, f"{sample.truth}. {right}", right):
            assert rewards.call(sample.reward, tagged(answer), sample).reward == 1
        wrong = next(letter for letter in options if letter != sample.truth)
        assert rewards.call(sample.reward, tagged(wrong), sample).reward == 0
        same += first[key] == second[key]
    assert 15 < same < 45
    assert len({sample.truth for sample in samples}) == 4
    assert datasets.check(samples, sources=["page_1", "page_2"]).rows == 60
    again = load(entries, f"?tasks={task}&seed=1")
    assert {s.id: s.question for s in again} == {s.id: s.question for s in samples}


def test_tasks_can_be_mixed_and_books_without_an_author_are_in_no_such_pair(load):
    entries = {"a": book(0), "b": book(1), "c": book(2, authorName=""), "d": book(3)}
    samples = load(entries, "?tasks=same-author,single")
    assert [s.id for s in samples if s.metadata.get("task")] == [
        f"ocr-vqa/train/{key}/same-author" for key in ("a", "b", "d")
    ]
    assert len(samples) == 8 + 3
    assert all("c" not in s.metadata.get("books", ()) for s in samples)
    with pytest.raises(ConfigError, match="tasks=same-year: no such tasks; there are single, same-genre, same-author"):
        load(entries, "?tasks=same-year")
    with pytest.raises(ConfigError, match="same-genre compares books, and all 1"):
        load({"a": book(0)}, "?tasks=same-genre")


def test_the_hub_form(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (6, 8), (0, 0, 255)).save(buffer, "PNG")
    entries = [
        {
            "image": {"bytes": buffer.getvalue(), "path": f"{i}.jpg"}, "image_id": f"{i:010}", "ocr_tokens": ["a"],
            "set_name": "val", "image_width": 6, "image_height": 8, "image_url": "http://",
            **{key: value for key, value in book(i).items() if key not in ("split", "imageURL")},
        }
        for i in range(3)
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(entries[:2]), tmp_path / "data" / "validation-00000-of-00002-aa.parquet")
    pq.write_table(pa.Table.from_pylist(entries[2:]), tmp_path / "data" / "validation-00001-of-00002-bb.parquet")
    samples = datasets.load(f"ocr-vqa:{tmp_path}?split=val")
    assert [s.id for s in samples][::5] == ["ocr-vqa/val/0000000000/0", "ocr-vqa/val/0000000002/1"]
    assert samples[0].picture("cover").getpixel((1, 1)) == (0, 0, 255)
    assert datasets.check(samples, decode=True).rows == 6
    assert len(datasets.load(f"ocr-vqa:{tmp_path}?split=val&tasks=same-genre")) == 3
    with pytest.raises(ConfigError, match=r"neither dataset.json nor data/train-\*.parquet"):
        datasets.load(f"ocr-vqa:{tmp_path}")
    pq.write_table(
        pa.Table.from_pylist([entries[0] | {"image": {"bytes": None, "path": "a.jpg"}}]),
        tmp_path / "data" / "test-0.parquet",
    )
    with pytest.raises(DataError, match=r"test-0.parquet, row 0: key 'image' is a picture with its bytes, not"):
        datasets.load(f"ocr-vqa:{tmp_path}?split=test")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ([], "'x': a row is an object, not list"),
        (book(1, split=4), "'x': key 'split' is 1, 2 or 3, not 4"),
        (book(1, split="1"), "'x': key 'split' is an integer, not '1'"),
        (book(1, questions="Who?"), "'x': key 'questions' is a list, not 'Who?'"),
        ({k: v for k, v in book(1).items() if k != "answers"}, "'x': key 'answers' is missing"),
        (book(1, answers=["one"]), "'x': 2 questions, but 1 answers"),
        (book(1, answers=["one", 2]), "'x', question 1: key 'answer' is a text, not 2"),
        (book(1, answers=["one", " "]), "'x', question 1: key 'answer' is blank"),
    ],
)
def test_a_book_that_is_none_is_named_and_hides_no_other(load, entry, message):
    with pytest.raises(DataError, match=r"^1 problem in \d rows:") as caught:
        load({"good": book(0), "x": entry})
    assert f"dataset.json, {message}" in str(caught.value)


def test_a_cover_that_is_missing_is_named(load):
    with pytest.raises(DataError, match=r"dataset.json, '../a', question 0: no picture of book '../a' in the folder"):
        load({"../a": book(1)}, pictures=False)
    with pytest.raises(ConfigError, match="split=dev: no such split; there are train, val, test"):
        load({"a": book(1)}, "?split=dev")
    with pytest.raises(DataError, match="no books of split 'test'"):
        load({"a": book(1)}, "?split=test")
    with pytest.raises(DataError, match=r"dataset.json: OCR-VQA is an object with a book under each id, not \[1\]"):
        load([1], pictures=False)

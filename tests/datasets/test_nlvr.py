import json

import pytest

from exam_rows import encoded, marks_of, write_parquet
from rows import shared, write_picture
from vantage import datasets
from vantage.errors import ConfigError, DataError

NLVR = {"sentence": "There is a tower.", "label": "true", "identifier": "10-2", "directory": "3", "evals": {}}
NLVR2 = {
    "sentence": "Both dogs run.", "left_url": "http://a", "right_url": "http://b", "label": "False",
    "identifier": "dev-850-1-0", "writer": 7, "synset": "dog", "query": "two dogs0",
}  # fmt: skip


def write_lines(file, *rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def nlvr(tmp_path):
    """The repository's folder ``nlvr``."""

    def write(*rows, pictures=6):
        for k in range(pictures):
            write_picture(tmp_path / "dev" / "images" / "3" / f"dev-10-2-{k}.png", (40, 10), (k, 0, 0))
        write_lines(tmp_path / "dev" / "dev.json", *rows)
        return tmp_path

    return write


def test_nlvr(nlvr):
    folder = nlvr(NLVR)
    for path in (folder, folder / "dev" / "dev.json"):
        (sample,) = samples = datasets.load(f"nlvr:{path}?split=dev")
        assert sample.id == "nlvr/dev/10-2-0"
        assert sample.question == "Is this statement about the picture true or false?\nThere is a tower."
        assert (sample.truth, sample.reward, sample.metadata) == ("true", "answer", {"directory": "3"})
        assert datasets.check(samples, sources=["image"], decode=True).rows == 1
        assert marks_of(sample, "True", "true.", "false") == [1, 1, 0]


def test_the_six_drawings_of_a_scene(nlvr):
    samples = datasets.load(f"nlvr:{nlvr(NLVR)}?split=dev&tasks=0,5")
    assert [s.id for s in samples] == ["nlvr/dev/10-2-0", "nlvr/dev/10-2-5"]
    assert [s.picture("image").getpixel((0, 0))[0] for s in samples] == [0, 5]
    with pytest.raises(ConfigError, match="tasks=6: no such tasks; there are 0, 1, 2, 3, 4, 5"):
        datasets.load(f"nlvr:{nlvr(NLVR)}?split=dev&tasks=6")


@pytest.mark.parametrize("place", ["", "images", "images/dev", "dev", "images/dev/12"])
def test_nlvr2(tmp_path, place):
    for k, size in enumerate([(40, 30), (20, 30)]):
        write_picture(tmp_path / place / f"dev-850-1-img{k}.png", size)
    write_lines(tmp_path / "data" / "dev.json", {**NLVR2, "directory": 12}, {**NLVR2, "identifier": "dev-850-1-1"})
    file = tmp_path / "data" / "dev.json"
    if place.endswith("12"):
        write_lines(file, {**NLVR2, "directory": 12}, {**NLVR2, "directory": 12, "identifier": "dev-850-1-1"})
    samples = datasets.load(f"nlvr:{tmp_path}?split=dev")
    assert [s.id for s in samples] == ["nlvr/dev/dev-850-1-0", "nlvr/dev/dev-850-1-1"]
    assert [source.size() for source in samples[0].sources.values()] == [(40, 30), (20, 30)]
    assert list(samples[0].sources) == ["left", "right"]
    assert (samples[0].truth, samples[0].metadata["synset"]) == ("false", "dog")
    assert samples[0].question.startswith("Is this statement about the pair of pictures true or false?")
    with pytest.raises(ConfigError, match="tasks names drawings of NLVR"):
        datasets.load(f"nlvr:{tmp_path}?split=dev&tasks=1")


def test_nlvr2_of_the_hub(tmp_path):
    row = {
        "question_id": "x", "question": "Both dogs run.", "answer": "True", "identifier": "dev-850-1-0",
        "left_image": encoded((8, 6)), "right_image": encoded((4, 6)), "writer": 7,
    }  # fmt: skip
    write_parquet(tmp_path / "data" / "balanced_dev-00000-of-00001.parquet", row)
    (sample,) = samples = datasets.load(f"nlvr:{tmp_path}?split=balanced_dev")
    assert (sample.id, sample.truth) == ("nlvr/balanced_dev/balanced_dev-00000-of-00001/0", "true")
    assert [source.size() for source in sample.sources.values()] == [(8, 6), (4, 6)]
    assert datasets.check(samples, decode=True).rows == 1


def test_a_split_that_is_not_there(nlvr):
    folder = nlvr(NLVR)
    with pytest.raises(ConfigError, match="split=validation: no such split; there are train, dev, test, test1"):
        datasets.load(f"nlvr:{folder}?split=validation")
    with pytest.raises(DataError, match=r"no file with split 'test'; looked for test/test\.json, data/test\.json"):
        datasets.load(f"nlvr:{folder}?split=test")
    (folder / "nlvr").mkdir()
    (folder / "nlvr2").mkdir()
    with pytest.raises(DataError, match="both NLVR and NLVR2 are here; name"):
        datasets.load(f"nlvr:{folder}?split=dev")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({k: v for k, v in NLVR.items() if k != "label"}, "key 'label' is missing"),
        ({**NLVR, "label": 1}, "key 'label' is true or false, not 1"),
        ({**NLVR, "sentence": None}, "key 'sentence' is a text, not None"),
        ({**NLVR, "identifier": 10}, "key 'identifier' is a text, not 10"),
        ({**NLVR, "identifier": "../../../../10-2"}, "leaves its root"),
        ({**NLVR, "identifier": "11-2"}, "no such picture; looked for"),
        ([1], "a row is an object, not list"),
    ],
)
def test_a_bad_row_is_named(nlvr, row, message):
    with pytest.raises(DataError) as caught:
        datasets.load(f"nlvr:{nlvr(NLVR, row)}?split=dev")
    assert "1 problem in 2 rows" in str(caught.value)
    assert "dev.json:2: " in str(caught.value)
    assert message in str(caught.value)


def test_real_sentences():
    samples = datasets.load(f"nlvr:{shared('nlvr') / 'dev_20.jsonl'}?split=dev")
    found = datasets.check(samples, sources=["image"], decode=True)
    assert (found.rows, found.rewards) == (20, {"answer": 20})
    assert [s.truth for s in samples].count("true") == 12
    for sample in samples:
        assert sample.source("image").size() == (400, 100)
        wrong = "false" if sample.truth == "true" else "true"
        assert marks_of(sample, sample.truth, wrong) == [1, 0]


def test_a_part_of_a_split_is_found_and_names_the_split(nlvr):
    folder = nlvr(NLVR)
    part = folder / "dev_20.jsonl"
    (folder / "dev" / "dev.json").rename(part)
    for spec in (f"nlvr:{folder}?split=dev", f"nlvr:{part}", f"nlvr:{part}?split=dev"):
        assert [sample.id for sample in datasets.load(spec)] == ["nlvr/dev/10-2-0"]
    with pytest.raises(ConfigError, match=r"dev_20\.jsonl is the file of split 'dev', not of 'test'"):
        datasets.load(f"nlvr:{part}?split=test")
    write_lines(folder / "dev_30.jsonl", NLVR)
    with pytest.raises(DataError, match=r"may be any of dev_20\.jsonl, dev_30\.jsonl; name one of them"):
        datasets.load(f"nlvr:{folder}?split=dev")

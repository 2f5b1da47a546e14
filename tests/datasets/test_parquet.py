import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rows import write_picture
from vantage import datasets
from vantage.errors import ConfigError, DataError


@pytest.fixture
def write(tmp_path):
    write_picture(tmp_path / "a.png")
    write_picture(tmp_path / "b.png", size=(10, 20))

    def write(*rows, name="rows.parquet"):
        pq.write_table(pa.Table.from_pylist(list(rows)), tmp_path / name)
        return f"parquet:{tmp_path / name}"

    return write


def row(**changes):
    return {
        "id": "r",
        "question": "How many?",
        "sources": {"rgb": "a.png"},
        "truth": "3",
        "reward": "answer",
        **changes,
    }


def test_a_struct_of_paths_lets_rows_lack_a_source(write):
    first, second = datasets.load(write(row(id="1", sources={"rgb": "a.png", "depth": "b.png"}), row(id="2")))
    assert list(first.sources) == ["rgb", "depth"]
    assert list(second.sources) == ["rgb"]  # Parquet gives the row an empty `depth`
    assert first.source("depth").size() == (10, 20)


def test_a_list_of_named_pictures_keeps_their_order(write):
    named = [{"name": "left", "path": "b.png"}, {"name": "far", "path": "a.png"}]
    (sample,) = datasets.load(write(row(sources=named)))
    assert list(sample.sources) == ["left", "far"]
    with pytest.raises(DataError, match="row 0: two sources have one name: left, left"):
        datasets.load(write(row(sources=[named[0], named[0]])))


def test_pictures_may_be_inside_the_file(write, tmp_path):
    content = (tmp_path / "b.png").read_bytes()
    (sample,) = datasets.load(write(row(sources={"rgb": {"bytes": content, "path": "b.png"}})))
    assert sample.source("rgb").size() == (10, 20)
    assert sample.source("rgb").ref == "b.png"


@pytest.mark.parametrize("truth", ["3", 3, 2.5, [[1, 2, 3, 4]], ["two", "2"]])
def test_truths_of_any_one_type(write, truth):
    assert datasets.load(write(row(truth=truth)))[0].truth == truth


def test_truths_of_several_types_are_json(write):
    rows = [{**row(id=str(i)), "truth_json": json.dumps(truth)} for i, truth in enumerate(["yes", [[1, 2, 3, 4]]])]
    for one in rows:
        del one["truth"]
    assert [sample.truth for sample in datasets.load(write(*rows))] == ["yes", [[1, 2, 3, 4]]]
    with pytest.raises(DataError, match="row 0: both 'truth' and 'truth_json'"):
        datasets.load(write(row(truth_json="1")))
    with pytest.raises(DataError, match="row 0: column 'truth_json': not JSON"):
        datasets.load(write({**rows[0], "truth_json": "{"}))


def test_metadata_is_a_struct_or_json(write):
    assert datasets.load(write(row(metadata={"scene": "street"})))[0].metadata == {"scene": "street"}
    assert datasets.load(write(row(metadata='{"scene": 1}')))[0].metadata == {"scene": 1}


def test_a_folder_is_read_in_the_order_of_names(write, tmp_path):
    write(row(id="2"), name="part-1.parquet")
    write(row(id="1"), name="part-0.parquet")
    assert [sample.id for sample in datasets.load(f"parquet:{tmp_path}")] == ["1", "2"]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ConfigError, match=r"no \.parquet file"):
        datasets.load(f"parquet:{tmp_path / 'nothing'}")


def test_bad_rows_are_named(write):
    with pytest.raises(DataError) as caught:
        datasets.load(write(row(), row(id="2", question=None), row(id="3", sources={"rgb": "../a.png"})))
    assert "rows.parquet, row 1: key 'question' is missing" in str(caught.value)
    assert "rows.parquet, row 2: source 'rgb': the path '../a.png' leaves its root" in str(caught.value)
    with pytest.raises(DataError, match="column 'sources' is a struct of name to picture"):
        datasets.load(write(row(sources="a.png")))


def test_what_is_no_parquet_file(tmp_path):
    (tmp_path / "rows.parquet").write_text("PAR1 not really")
    with pytest.raises(DataError, match=r"rows\.parquet: not a readable Parquet file"):
        datasets.load(f"parquet:{tmp_path / 'rows.parquet'}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": float("nan")}, "column 'truth' holds nan"),
        ({"truth": [[1.0, float("inf")]]}, "column 'truth' holds inf"),
        ({"metadata": {"x": {"y": float("nan")}}}, "column 'metadata' holds nan"),
        ({"metadata": '{"x": NaN}'}, "column 'metadata': not JSON (NaN is no JSON)"),
        ({"metadata": 3}, "column 'metadata' is a struct or JSON text, not 3"),
        ({"sources": {"rgb": {"path": "a.png", "mapping": 3}}}, "a mapping is a text such as depth, not 3"),
    ],
)
def test_what_no_json_could_say_is_the_rows_problem(write, change, message):
    with pytest.raises(DataError) as caught:
        datasets.load(write(row(**change)))
    assert "rows.parquet, row 0: " in str(caught.value)
    assert message in str(caught.value)


def test_pictures_of_a_folder_of_files_lie_in_that_folder(write, tmp_path):
    write(row())
    assert datasets.load(f"parquet:{tmp_path}")[0].source("rgb").size() == (64, 48)


def test_groups_of_rows_come_one_by_one(tmp_path):
    """A file with pictures of many gigabytes is walked through; rows are numbered through all groups."""
    table = pa.Table.from_pylist([row(id=str(i)) for i in range(50)])
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=20)
    rows = datasets.read(f"parquet:{tmp_path / 'rows.parquet'}")
    assert [(where.rpartition(" ")[2], sample.id) for where, sample in rows] == [(str(i), str(i)) for i in range(50)]

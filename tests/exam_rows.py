"""What tests of mathematical data sets share: encoded pictures, files as the hub has them, answers and their scores."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from rows import tagged
from vantage import rewards
from vantage.datasets import DataSpec, loader
from vantage.errors import DataError

HOSTILE = (
    None, "", " ", "x", 0, -1, 10**400, 1.5, float("nan"), float("inf"), True, [], [[]], [None], ["a"], ["A", "B"], {},
    {"bytes": b"x", "path": 3}, {"a": 1}, b"x", "<image1>" * 300, ["<image1>"] * 3, "\ud800", "\0", "A" * 100_000,
    "../..", "/etc/passwd", [{"bytes": b"x"}],
)  # fmt: skip
"""What a file may hold where a row's key promises something else."""


def encoded(size=(8, 6), path=None):
    """A picture as the ``datasets`` library keeps one in a Parquet file."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": path}


def write_parquet(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def marks_of(sample, *answers):
    """The rewards of answers, each written as a model is asked to."""
    texts = [tagged(answer) for answer in answers]
    return [s.reward for s in rewards.call_many([sample.reward] * len(texts), texts, [sample] * len(texts))]


def expect_full_marks(sample):
    """The truth earns 1, and of options every other letter earns 0."""
    truths = sample.truth if isinstance(sample.truth, list) else [sample.truth]
    assert marks_of(sample, *truths) == [1.0] * len(truths)
    options = sample.metadata.get("choices") or sample.metadata.get("options") or []
    if sample.reward == "answer" and options:
        letters = "ABCDEFGHIJ"[: len(options)]
        wrong = [letter for letter in letters if letter not in truths]
        assert marks_of(sample, *wrong) == [0.0] * len(wrong)
        assert marks_of(sample, f"({truths[0]})") == [1.0]


def expect_only_errors_of_the_row(name, folder, *rows, **settings):
    """Whatever one key of a row holds, the row becomes a sample or a short ``DataError`` that begins with its place."""
    spec = DataSpec(name=name, path=folder, **settings)
    bad = [row | {key: value} for row in rows for key in row for value in HOSTILE] + list(HOSTILE)
    refused = []
    for row in bad:
        try:
            loader(name).sample(row, "here", spec)
        except DataError as error:
            refused.append(str(error))
    assert [error for error in refused if not error.startswith("here: ") or len(error) > 2000] == []
    assert len(refused) > len(bad) / 2

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vantage.engines.trl.logs import MetricsLog, RolloutLog, append_line, plain, trim


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (-math.inf, None),
        (1.5, 1.5),
        (True, True),
        (None, None),
        ((1, (2, math.nan)), [1, [2, None]]),
        ({1: {"a": math.inf}}, {"1": {"a": None}}),
        ("a\ud800b", "a\\ud800b"),
        ({"\udfff": 1}, {"\\udfff": 1}),
        (np.float64(0.5), 0.5),
        (np.float64("nan"), None),
        (np.float32(0.5), 0.5),
        (np.float32("nan"), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (torch.tensor(0.5), 0.5),
        (torch.tensor(3), 3),
        (np.array([1.0, math.nan]), [1.0, None]),
        (Path("a/b"), "a/b"),
    ],
    ids=repr,
)
def test_everything_becomes_plain_json(value, expected):
    found = plain(value)
    assert found == expected and type(found) is type(expected)
    json.dumps(found, allow_nan=False).encode("utf-8")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_plain_already_stays_as_it_is(value):
    assert plain(value) == value


@given(st.text(alphabet=st.characters()))
def test_any_text_of_a_model_fits_on_one_line(text):
    written = json.dumps(plain({"text": text}), ensure_ascii=False)
    written.encode("utf-8")
    assert "\n" not in written


def test_lines_are_appended_to_a_folder_that_is_made(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    append_line(path, {"step": 1, "text": "Ünïcode\nline"})
    append_line(path, {"step": 2})
    assert lines(path) == [{"step": 1, "text": "Ünïcode\nline"}, {"step": 2}]
    with pytest.raises(ValueError, match="JSON"):
        append_line(path, {"step": math.nan})
    assert len(lines(path)) == 2


def log(path, logs, step=3, main=True):
    state = SimpleNamespace(global_step=step, is_world_process_zero=main)
    MetricsLog(path).on_log(None, state, None, logs=logs)


def test_a_step_is_one_line_under_our_names(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log(path, {"loss": 0.5, "learning_rate": 1e-6, "completions/clipped_ratio": 0.25, "kl": math.nan})
    assert lines(path) == [{"step": 3, "loss": 0.5, "lr": 1e-6, "length/truncated": 0.25, "kl": None}]


def test_what_is_no_step_writes_nothing(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log(path, {"loss": 0.5}, main=False)
    log(path, {"train_runtime": 3.0, "train_loss": 0.1})
    log(path, {})
    log(path, None)
    assert not path.exists()


def test_a_group_is_one_line_with_its_step(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    RolloutLog(path).write(4, [{"id": "a", "members": [{"reward": math.nan}]}, {"id": "b"}])
    assert lines(path) == [{"step": 4, "id": "a", "members": [{"reward": None}]}, {"step": 4, "id": "b"}]


# Characters that str.splitlines takes for the end of a line, and JSON leaves inside a text.
SEPARATORS = "\x85\u2028\u2029"


def test_a_resumed_log_keeps_every_step_that_stands(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    kept = [{"step": 1, "text": f"a{SEPARATORS}b"}, {"step": 2, "text": "c"}]
    for record in [*kept, {"step": 3, "text": "d"}]:
        append_line(path, record)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"step": 2, "te')
    assert trim(path, 2) == 2
    assert lines(path) == kept
    assert trim(path, 2) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["rollouts.jsonl"]


def test_a_torn_character_is_a_torn_line(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2, "text": "\xc3')
    assert trim(path, 5) == 1
    assert lines(path) == [{"step": 1}]


@pytest.mark.parametrize("odd", ["3", "[1]", "null", '"step"', '{"step": null}'])
def test_a_line_that_is_no_record_is_dropped(odd, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{odd}\n', encoding="utf-8")
    assert trim(path, 5) == 1
    assert lines(path) == [{"step": 1}]


def test_starting_over_drops_everything_and_a_missing_file_is_fine(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert trim(path, 0) == 0 and not path.exists()
    append_line(path, {"step": 1})
    assert trim(path, 0) == 1
    assert path.read_text(encoding="utf-8") == ""

"""`vantage data`: what people see of their rows before they train on them."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rows import write_picture
from vantage import cli, datasets


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    for console in (cli.out, cli.err):
        monkeypatch.setattr(console, "_width", 200)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "a.png")

    def write(*changes):
        base = {"question": "How many?", "sources": {"rgb": "a.png"}, "truth": "3", "reward": "answer"}
        lines = [c if isinstance(c, str) else json.dumps({"id": str(i), **base, **c}) for i, c in enumerate(changes)]
        (tmp_path / "rows.jsonl").write_text("\n".join(lines))
        return "jsonl:rows.jsonl"

    return write


def run(*arguments):
    return CliRunner().invoke(cli.app, ["data", *map(str, arguments)])


def test_a_clean_set_says_so(rows):
    both = {"rgb": "a.png", "depth": "a.png"}
    done = run("check", rows({}, {"sources": both}, {"reward": "mars-vqa"}))
    assert done.exit_code == 0
    assert "3, all good" in done.stdout
    assert "rgb: 3 rows" in done.stdout
    assert "rgb: 3 rows (" not in done.stdout
    assert "depth: 1 rows (33 %)" in done.stdout
    assert "mars-vqa: 1 rows (33 %)" in done.stdout


def test_every_bad_row_is_told_with_its_line_and_the_exit_code(rows, tmp_path):
    Image.fromarray(np.zeros((3, 3), dtype=np.uint16)).save(tmp_path / "depth.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    spec = rows(
        {},
        "not json",
        {"sources": {"rgb": "gone.png"}},
        {"sources": {"rgb": "../out.png"}},
        {"truth": ""},
        {"truth": "x", "reward": "nope"},
        {"sources": {"depth": "depth.png"}},
        {"id": "0"},
        {"sources": {"rgb": "cut.png"}},
    )
    done = run("check", spec)
    assert done.exit_code == 1
    told = done.stdout.splitlines()
    for line, reason in [
        (2, "not JSON"),
        (3, "no such file"),
        (4, "leaves its root"),
        (5, "reward 'answer' compares with"),
        (6, "no reward is called 'nope'"),
        (7, "mode I;16 is not 8-bit"),
        (8, "another row has the same id, at rows.jsonl:1"),
        (9, "cut.png"),
    ]:
        assert any(text.startswith(f"rows.jsonl:{line}: ") and reason in text for text in told), (line, reason)
    assert "9, 8 of them bad" in done.stdout
    # Headers alone do not show what lies behind them.
    assert "cut short" in done.stdout
    assert "cut short" not in run("check", spec, "--headers").stdout


def test_prompts_are_measured_by_the_models_own_processor(rows):
    spec = rows({}, {"question": "How many ? " * 400})
    done = run("check", spec, "--model", "tiny", "--max-new-tokens", 24)
    assert done.exit_code == 1
    assert "rows.jsonl:2: row '1': its prompt takes" in done.stdout
    assert "24 are kept for the completion, more than the window of" in done.stdout
    assert "prompts" in done.stdout
    assert run("check", spec, "--model", "tiny", "--window", 5000).exit_code == 0
    told = run("check", spec, "--window", 100)
    assert told.exit_code == 1
    assert "--model measures" in told.stderr


def test_what_the_method_of_a_recipe_needs_is_checked_row_by_row(rows):
    both = {"rgb": "a.png", "depth": "a.png"}
    spec = rows({"sources": both}, {}, {"sources": both}, {})
    done = run("check", spec, "--recipe", "tiny/mars")
    assert done.exit_code == 1 and "4, 2 of them bad" in done.stdout
    told = [line for line in done.stdout.splitlines() if line.startswith("rows.jsonl:")]
    assert [line.partition(": ")[0] for line in told] == ["rows.jsonl:2", "rows.jsonl:4"]
    assert all("mars compares fused answers with single-source ones" in line for line in told)
    assert run("check", spec, "--recipe", "tiny/grpo").exit_code == 0
    measured = run("check", spec, "--recipe", "tiny/mars", "--model", "tiny")
    assert measured.exit_code == 1 and "4, 2 of them bad" in measured.stdout and "2 measured" in measured.stdout


def test_a_resized_frame_is_measured_too(rows):
    boxes = {"truth": [[1, 2, 30, 40]], "reward": "mars-grounding", "metadata": {"frame": "resized"}}
    told = run("check", rows(boxes))
    assert told.exit_code == 1
    assert "resized_size" in told.stdout
    assert run("check", rows(boxes), "--model", "tiny").exit_code == 0


def test_converted_rows_pass_the_check(rows, tmp_path):
    done = run("convert", rows({}, {"truth": "4"}), "out.parquet")
    assert done.exit_code == 0
    assert "2 rows, 1 pictures: out.parquet" in done.stdout
    assert [sample.truth for sample in datasets.load("parquet:out.parquet")] == ["3", "4"]
    assert run("check", "parquet:out.parquet").exit_code == 0
    write_picture(next((tmp_path / "out_pictures").iterdir()), colour=(0, 0, 0))
    changed = run("check", "parquet:out.parquet")
    assert changed.exit_code == 1
    assert changed.stdout.count("its content has changed") == 2


def test_a_bad_row_is_never_left_out_of_what_is_written(rows, tmp_path):
    done = run("convert", rows({}, "not json"), "out.jsonl")
    assert done.exit_code == 1
    assert "1 problem in 2 rows" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
    assert "ends in .jsonl or .parquet" in run("convert", rows({}), "out.csv").stderr


def test_all_about_one_data_set():
    done = run("list", "jsonl")
    assert done.exit_code == 0
    assert "one JSON object per line" in done.stdout
    assert "Keys: frame, mapping, n, path, reward, root, seed, sources, truth_frame" in done.stdout
    assert "split" in run("list", "night").stdout
    assert "did you mean 'llvip'" in run("list", "lvip").stderr


def test_the_list_names_each_set_once():
    done = run("list")
    assert done.exit_code == 0
    told = [line.split()[0].partition(":")[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert told == datasets.names()


def test_what_a_row_holds_cannot_write_to_the_terminal(rows):
    odd = "x\x1b[2J\n\u202e\ud800"
    done = run("check", rows({"id": odd, "truth": ""}, {"id": "y" * 10_000, "truth": ""}, {"reward": f"no{odd}"}))
    assert done.exit_code == 1
    assert not {"\x1b", "\u202e"} & set(done.stdout)
    told = [line for line in done.stdout.splitlines() if line.startswith("rows.jsonl:")]
    assert len(told) == 3
    assert all(len(line) < 1100 for line in told)
    assert r"x\x1b[2J\n\u202e\ud800" in told[0]


def test_a_sheet_of_a_bad_picture_names_the_row(rows, tmp_path):
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    for name, reason in (("cut.png", "cut.png: the picture is corrupt"), ("gone.png", "gone.png: no such file")):
        done = run("show", rows({}, {"id": "night/7", "sources": {"depth": name}}))
        assert done.exit_code == 1
        assert f"row 'night/7', source 'depth': {reason}" in done.stderr


def test_a_sheet_is_called_after_the_data_set(rows, tmp_path):
    done = run("show", rows({"id": "../../odd/name"}))
    assert done.exit_code == 0
    assert (tmp_path / "jsonl.png").is_file()
    assert "1 of 1 samples: jsonl.png" in done.stdout


def test_a_walk_through_the_data_needs_no_networks(rows):
    """Importing torch takes seconds and hundreds of megabytes, and headers need neither."""
    spec = rows({})
    script = f"import sys; from vantage.cli import app; app(['data', 'check', {spec!r}], standalone_mode=False); "
    script += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)

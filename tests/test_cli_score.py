import importlib
import json
import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rows import tagged
from vantage import cli, rewards

GOOD = {"answer": "3", "completion": tagged("3")}


@pytest.fixture
def vantage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for console in (cli.out, cli.err):
        monkeypatch.setattr(console, "_width", 80)

    def run(*arguments, rows=(GOOD,)):
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        (tmp_path / "in.jsonl").write_text(text, encoding="utf-8")
        return CliRunner().invoke(cli.app, ["score", *arguments], terminal_width=80)

    return run


IN_OUT = ("--input", "in.jsonl", "--output", "out.jsonl")


def rewards_in(path):
    return [json.loads(line)["reward"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_file_is_scored_and_summed_up(vantage, tmp_path):
    result = vantage("--reward", "answer", *IN_OUT, rows=[GOOD, {**GOOD, "answer": "4"}])
    assert result.exit_code == 0, result.output
    assert rewards_in(tmp_path / "out.jsonl") == [1, 0]
    assert "2 rows in" in result.stdout and "mean reward   0.5000" in result.stdout and "1 of 2" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_rows_that_cannot_be_scored_are_told_and_fail_the_command(vantage, tmp_path):
    result = vantage("--reward", "answer", *IN_OUT, rows=[GOOD, "no JSON", {"completion": "x"}, GOOD])
    assert result.exit_code == 1
    assert rewards_in(tmp_path / "out.jsonl") == [1, None, None, 1]
    assert "2 rows could not be scored" in result.stderr
    assert "in.jsonl:2: not JSON" in result.stderr and "in.jsonl:3: no truth" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reward", "nope", *IN_OUT), "no reward is called 'nope'"),
        (("--reward", "answer", "--input", "gone.jsonl", "--output", "o"), "--input gone.jsonl: no such file"),
        (("--reward", "answer", "--input", ".", "--output", "o"), "--input .: not a readable file"),
        (("--reward", "answer", "--input", "in.jsonl", "--output", "gone/o"), "the folder gone does not exist"),
        (("--reward", "answer", "--input", "in.jsonl", "--output", "in.jsonl"), "would write over the input"),
        (("--reward", "answer", "--input", "link.partial", "--output", "link"), "would write over the input"),
    ],
)
def test_a_mistake_is_one_message_and_the_input_stays(vantage, tmp_path, arguments, message):
    (tmp_path / "link.partial").symlink_to(tmp_path / "in.jsonl")
    result = vantage(*arguments)
    assert result.exit_code == 1 and result.stdout == ""
    assert "error: " in result.stderr and message in result.stderr.replace("\n", " ")
    assert (tmp_path / "in.jsonl").read_text(encoding="utf-8") == json.dumps(GOOD) + "\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "link.partial"]


def test_a_file_that_already_has_the_columns_is_scored_beside_them(vantage, tmp_path):
    vantage("--reward", "answer", *IN_OUT)
    again = ("--reward", "mars-vqa", "--input", "out.jsonl", "--output", "twice.jsonl")
    refused = vantage(*again)
    assert refused.exit_code == 1 and "already has 'reward'" in refused.stderr
    assert not (tmp_path / "twice.jsonl").exists()
    assert vantage(*again, "--prefix", "vqa_").exit_code == 0
    row = json.loads((tmp_path / "twice.jsonl").read_text(encoding="utf-8"))
    assert (row["reward"], row["vqa_reward"]) == (1, 1.5)


def test_an_output_that_exists_is_replaced_only_where_it_is_said(vantage, tmp_path):
    (tmp_path / "out.jsonl").write_text("mine")
    result = vantage("--reward", "answer", *IN_OUT)
    assert result.exit_code == 1 and "out.jsonl: exists already" in " ".join(result.stderr.split())
    assert (tmp_path / "out.jsonl").read_text() == "mine"
    assert vantage("--reward", "answer", *IN_OUT, "--overwrite").exit_code == 0
    assert rewards_in(tmp_path / "out.jsonl")
    assert vantage("--reward", "answer", "--input", "in.jsonl", "--output", os.devnull).exit_code == 0
    assert Path(os.devnull).is_char_device()


def test_it_stands_in_a_pipe(vantage):
    result = CliRunner().invoke(
        cli.app, ["score", "--reward", "answer", "--input", "-", "--output", "-"], input=json.dumps(GOOD) + "\n"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["reward"] == 1
    assert "1 row in" in result.stderr


def test_a_reward_of_ones_own_is_imported_first(vantage, tmp_path, monkeypatch):
    monkeypatch.setattr("vantage.rewards.registry._loaded", {})
    (tmp_path / "mine.py").write_text(
        "from vantage.rewards import Reward, Score, register\n"
        "@register\nclass Half(Reward):\n    name, low, high = 'half', 0.0, 1.0\n"
        "    def score(self, completion, sample):\n        return Score(0.5)\n",
        encoding="utf-8",
    )
    assert "no reward is called 'half'" in vantage("--reward", "half", *IN_OUT).stderr
    assert vantage("--reward", "half", *IN_OUT, "--plugin", "mine.py").exit_code == 0
    assert rewards_in(tmp_path / "out.jsonl") == [0.5]


def test_help_fits_80_columns(vantage):
    shown = vantage("--help").stdout
    assert "Usage:" in shown and max(map(len, shown.splitlines())) <= 80


DOC = Path(__file__).parents[1] / "docs" / "scoring.md"


def without_times(text):
    return [re.sub(r"[\d.]+ s \(\d+ a second\)|\d+ completions|[\d.e-]+ ms", "-", line) for line in text.splitlines()]


def test_the_page_on_scoring_does_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", DOC.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names, shown = {}, []
    for language, block in blocks:
        if language == "python":
            exec(compile(block, str(DOC), "exec"), names)  # noqa: S102  our own page
            shown.append(capsys.readouterr().out)
        elif language == "bash":
            result = CliRunner().invoke(cli.app, shlex.split(block)[1:])
            assert result.exit_code == 1
            told = result.stderr[result.stderr.index("1 row could") :]
            shown.append(result.stdout + told)
    output, settings, report = (block for language, block in blocks if language == "text")
    assert without_times(output) in [without_times(text) for text in shown]
    assert without_times(report) in [without_times(text) for text in shown]
    assert "[1.5, 0.25]\n" in shown
    path, name, reward = (line.partition("=")[2] for line in settings.splitlines())
    assert callable(getattr(importlib.import_module(path.removeprefix("pkg://")), name)) and reward in rewards.names()

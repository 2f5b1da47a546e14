"""``vantage report``: a file that a browser can open, figures for a paper, and errors that name what is wrong."""

import shlex

import pytest
from PIL import Image
from typer.testing import CliRunner

from run_folders import answers, evaluated, run_folder
from vantage import cli


@pytest.fixture
def vantage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for console in (cli.out, cli.err):
        monkeypatch.setattr(console, "_width", 200)
    run = run_folder(tmp_path / "runs" / "mars")
    evaluated(run, "after", answers([{"fused": True, "mono:rgb": False, "mono:infrared": True}] * 4))

    def call(line):
        return CliRunner().invoke(cli.app, shlex.split(line), terminal_width=200)

    return call


def test_the_file_stands_in_the_runs_folder(vantage, tmp_path):
    result = vantage("report runs/mars")
    assert result.exit_code == 0, result.output
    assert "runs/mars/report.html: 4 groups" in result.output
    assert (tmp_path / "runs/mars/report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_of_several_runs_it_stands_here(vantage, tmp_path):
    run_folder(tmp_path / "runs" / "grpo")
    assert vantage("report runs/mars runs/grpo").exit_code == 0
    assert (tmp_path / "report.html").exists()


def test_figures_are_written_as_vectors_and_pixels(vantage, tmp_path):
    result = vantage("report runs/mars --figures paper/figures")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "paper/figures").iterdir()}
    assert {"reward-and-accuracy.svg", "reward-and-accuracy.png", "right-by-source.svg"} <= names
    assert Image.open(tmp_path / "paper/figures/right-by-source.png").size[0] > 500
    assert "<svg" in (tmp_path / "paper/figures/right-by-source.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("report runs/marz", "did you mean runs/mars?"),
        ("report runs", "no run; its folder holds"),
        ("report runs/mars --output page.pdf", "its name ends in .html"),
        ("report runs/mars --output no/page.html", "the folder no does not exist"),
        ("report runs/mars --figures runs/mars/recipe.yaml", "this is a file; a folder is written"),
    ],
)
def test_what_is_wrong_is_said(vantage, line, said):
    result = vantage(line)
    assert result.exit_code == 1 and said in result.output


def test_it_is_opened_where_that_is_asked(vantage, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or False)
    result = vantage("report runs/mars --open")
    assert opened == [(tmp_path / "runs/mars/report.html").as_uri()]
    assert "no browser was found" in result.output

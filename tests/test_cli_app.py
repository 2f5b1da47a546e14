"""`vantage app`: what it opens, and what is wrong in one message."""

import re
import socket
import sys

import pytest
from typer.testing import CliRunner

from vantage import app, cli


class Closed:
    """Stands in for an open page, which its user closes at once."""

    def __init__(self) -> None:
        self.closed = False

    def block_thread(self) -> None:
        raise KeyboardInterrupt

    def close(self, verbose: bool) -> None:
        self.closed = True


@pytest.fixture
def opened(monkeypatch):
    """What pages were opened with."""
    pages = []

    def serve(ways, **settings):
        pages.append((list(ways), settings, Closed()))
        return pages[-1][2], "http://127.0.0.1:7860/"

    monkeypatch.setattr(app, "serve", serve)
    return pages


def run(*arguments):
    return CliRunner().invoke(cli.app, ["app", *arguments], terminal_width=80)


def refused(result) -> str:
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), "no traceback"
    assert result.stderr.count("error:") == 1 and "Traceback" not in result.stderr
    return " ".join(result.stderr.split())


def test_without_a_model_the_embedded_ones_are_offered_on_loopback(opened):
    result = run("--no-browser")
    ((ways, settings, page),) = opened
    assert [way.name for way in ways][:2] == ["tiny, by itself", "tiny-captioner + tiny-reasoner-strong"]
    assert settings["host"] == "127.0.0.1" and settings["browser"] is False
    assert "The page is at http://127.0.0.1:7860/" in result.stdout
    assert page.closed


def test_a_model_of_one_s_own_comes_with_each_reasoner_and_by_itself(opened):
    run("--model", "tiny-captioner", "--reasoner", "tiny-reader", "--reasoner", "tiny-reasoner-weak",
        "--frame", "resized", "--max-new-tokens", "7", "--port", "7999")  # fmt: skip
    ((ways, settings, _),) = opened
    names = ["tiny-captioner + tiny-reader", "tiny-captioner + tiny-reasoner-weak", "tiny-captioner, by itself"]
    assert [way.name for way in ways] == names
    assert {way.frame for way in ways} == {"resized"} and settings["port"] == 7999
    assert len({id(way.pipeline) for way in ways}) == 1 and ways[0].pipeline.max_new_tokens == 7
    assert [way.answering.name if way.answering else None for way in ways] == [
        "tiny-reader",
        "tiny-reasoner-weak",
        None,
    ]


def test_the_prompts_of_a_recipe(opened):
    run("--model", "tiny", "--recipe", "tiny/racro")
    ((ways, _, _),) = opened
    from vantage import recipes

    parsed = recipes.load("tiny/racro")
    assert ways[0].pipeline.prompts == parsed.reasoner.prompts
    assert ways[0].pipeline.label_sources == parsed.prompt.label_sources


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reasoner", "tiny-reader"), "--reasoner, --recipe and --frame are about --model, and none is given"),
        (("--recipe", "tiny/racro"), "are about --model"),
        (("--frame", "pixel"), "are about --model"),
        (("--model", "tiny", "--frame", "inches"), "'inches' is no coordinate frame"),
        (("--model", "tiny", "--recipe", "no/such"), "no/such"),
        (("--model", "no-such-folder/at-all"), "no-such-folder/at-all"),
        (("--model", "tiny", "--reasoner", "tiny-reader", "--reasoner", "tiny-reader"), "names the same one twice"),
        (("--model", "tiny", "--reasoner", "http://127.0.0.1:9/v1#m"), "127.0.0.1:9"),
    ],
)
def test_what_is_wrong_is_one_message(opened, arguments, message):
    assert message in refused(run(*arguments))
    assert opened == []


def test_a_taken_port_is_one_message():
    pytest.importorskip("gradio", reason="gradio is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = refused(run("--model", "tiny", "--no-browser", "--port", str(port)))
    assert f"127.0.0.1:{port} cannot be listened on" in found and "GRADIO" not in found


def test_without_gradio_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert "pip install 'vantage-rl[app]'" in refused(run("--model", "tiny"))


def test_an_older_gradio_is_refused(monkeypatch):
    pytest.importorskip("gradio", reason="gradio is not installed")
    monkeypatch.setattr(app.page, "version", lambda _: "5.49.1")
    assert "needs Gradio 6, this is 5.49.1" in refused(run("--model", "tiny"))


def test_help_says_that_there_is_no_password():
    assert "no password" in re.sub(r"[\s│]+", " ", run("--help").stdout)

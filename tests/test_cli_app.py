"""`vantage app`: what it opens, and what is wrong in one message."""

import re
import socket
import sys

import pytest
from typer.testing import CliRunner

from endpoints.server import Server
from vantage import app, cli, tiny


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
    # A named recipe brings its reasoner too, unless others are named.
    assert [way.answering.name if way.answering else None for way in ways] == ["tiny-reasoner-weak", None]
    run("--model", "tiny", "--recipe", "tiny/racro", "--reasoner", "tiny-reader")
    assert [way.answering.name if way.answering else None for way in opened[1][0]] == ["tiny-reader", None]


RECIPE = "model: {path: tiny}\nmethod: {name: grpo}\ndata:\n  train: %s\n  test: %s\n"


@pytest.mark.parametrize(
    ("train", "test", "drawn"),
    [
        ("night-captions?n=8", "night-captions?split=test&n=8", ("night-captions",)),
        ("night?n=8", "depth?split=test&n=8", ("depth", "night")),
        ("jsonl:rows.jsonl", "depth?split=test&n=8", ("depth",)),
        ("night-captions?n=8", "null", ("night-captions",)),
        ("jsonl:rows.jsonl", "null", ("night", "depth")),
    ],
)
def test_scenes_are_drawn_of_the_worlds_that_the_recipe_names(opened, tmp_path, train, test, drawn):
    (tmp_path / "recipe.yaml").write_text(RECIPE % (train, test))
    run("--model", "tiny", "--recipe", str(tmp_path / "recipe.yaml"))
    ((ways, _, _),) = opened
    assert [way.worlds for way in ways] == [drawn]
    told = [name for name in ("night-captions", "depth", "night") if name in ways[0].about]
    assert bool(told) != (train.startswith("jsonl") and test == "null")


def test_a_run_s_folder_brings_its_world(opened, tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE % ("night-captions?n=8", "null"))
    (tmp_path / "model").symlink_to(tiny.path("tiny-captioner"))
    run("--model", str(tmp_path))
    ((ways, _, _),) = opened
    assert [way.worlds for way in ways] == [("night-captions",)]


def test_a_reasoner_alone_reads_the_embedded_captioner(opened):
    run("--reasoner", "tiny-reader")
    ((ways, _, _),) = opened
    assert [way.name for way in ways] == ["tiny-captioner + tiny-reader", "tiny-captioner, by itself"]
    assert {way.worlds for way in ways} == {("night-captions",)}
    assert ways[0].pipeline.prompts == tiny.prompts() and ways[0].pipeline.label_sources


def test_reasoners_of_one_name_are_told_apart_by_host_and_port(opened):
    with Server() as one, Server() as other:
        lines = [f"{one.url}#echo", f"{other.url}#echo", f"{other.url}/#echo", "tiny-reader"]
        run(*(part for line in lines[:2] + lines[3:] for part in ("--reasoner", line)))
        twice = run(*(part for line in lines[:3] for part in ("--reasoner", line)))
    ((ways, _, _),) = opened
    names = [f"echo (127.0.0.1:{one.port})", f"echo (127.0.0.1:{other.port})", "tiny-reader"]
    assert [way.name for way in ways[:3]] == [f"tiny-captioner + {name}" for name in names]
    assert "names the same one twice: echo" in refused(twice)


def test_a_reasoner_that_cannot_be_asked_is_listed_last_and_told(opened):
    dead = "http://127.0.0.1:9/v1#m"
    result = run("--reasoner", dead, "--reasoner", "tiny-reader")
    ((ways, _, _),) = opened
    assert [way.name for way in ways] == [
        "tiny-captioner + tiny-reader",
        "tiny-captioner, by itself",
        "tiny-captioner + m, unavailable",
    ]
    assert [bool(way.trouble) for way in ways] == [False, False, True]
    assert "127.0.0.1:9/v1 cannot be reached" in ways[2].trouble
    assert "unavailable: m: " in result.stderr and ways[2].trouble in " ".join(result.stderr.split())
    assert ways[2].answering is not None, "asking tries again"


def test_where_no_reasoner_that_was_named_can_be_asked_each_says_why(opened):
    found = refused(run("--reasoner", "http://127.0.0.1:9/v1#one", "--reasoner", "http://127.0.0.1:9/v1#two"))
    assert "one: " in found and "two: " in found and opened == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "tiny/racro"), "--recipe and --frame are about --model, and none is given"),
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

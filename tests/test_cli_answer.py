"""`vantage answer`, and `vantage eval` with reasoners: what people see and what programs read."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rows import write_picture
from vantage import cli, recipes, runs, tiny
from vantage.evaluation.comparison import load

pytestmark = pytest.mark.skipif(not (tiny.path() / "config.json").is_file(), reason="the tiny model is not made yet")

ASK = ("answer", "--image", "rgb=a.png", "--image", "infrared=b.png", "--question", "How many people are there?",
       "--model", "tiny", "--max-new-tokens", "12")  # fmt: skip


@pytest.fixture
def vantage(tmp_path, monkeypatch):
    """Run the command line in a folder with two pictures, on a screen of 80 columns; reasoners are functions."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VANTAGE_DEBUG", raising=False)
    for console in (cli.out, cli.err):
        monkeypatch.setattr(console, "_width", 80)
    write_picture(tmp_path / "a.png")
    write_picture(tmp_path / "b.png")
    monkeypatch.setattr(tiny, "reasoner_path", lambda name: REASONERS[name])

    def run(*arguments):
        return CliRunner().invoke(cli.app, list(arguments), terminal_width=80)

    return run


def one(messages) -> str:
    return f"It was asked: {messages[-1]['content']}\nSo \\boxed{{1}}"


def broken(_) -> str:
    raise RuntimeError("out of order")


REASONERS = {
    "tiny-one": one,
    "tiny-two": lambda _: "\\boxed{2}",
    "tiny-broken": broken,
    "tiny-vague": lambda _: "hard to say [/bold]",
    "tiny-hostile": lambda _: "\x1b]0;mine\x07\x1b[2J\x9b \ud800 first\nsecond \\boxed{2\x1b[1m}",
}


def refused(result) -> str:
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), "no traceback"
    assert result.stderr.count("error:") == 1
    return " ".join(result.stderr.split())


def test_caption_reasoning_and_answer_are_laid_out_within_80_columns(vantage):
    result = vantage(*ASK, "--reasoner", "tiny-one", "--parts", "both")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    rows = dict(line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith(" "))
    assert list(rows) == ["question", "pictures", "caption", "tentative", "reasoning", "answer", "time"]
    assert rows["question"].strip() == "How many people are there?"
    assert rows["pictures"].strip() == "rgb (a.png), infrared (b.png)"
    assert rows["answer"].strip() == "1"
    assert "caption" in rows["time"] and "tiny-one" in result.stdout.split("time")[-1]


def test_json_is_one_object_on_stdout(vantage):
    plain = json.loads(vantage(*ASK, "--reasoner", "tiny-one", "--json").stdout)
    assert plain["final"] == "1" and plain["tentative"] is None and plain["error"] == ""
    assert plain["caption"] and plain["caption"] in plain["reasoning"]
    assert plain["pictures"] == {"rgb": "a.png", "infrared": "b.png"}
    assert plain["model"] == "tiny" and plain["reasoner"] == "tiny-one"
    assert set(plain["seconds"]) == {"caption", "reasoner"}
    both = json.loads(vantage(*ASK, "--reasoner", "tiny-one", "--parts", "both", "--json").stdout)
    assert both["tentative"] and both["tentative"] in both["reasoning"]
    assert both["caption"] == plain["caption"]


def test_a_reasoner_that_fails_leaves_the_caption_and_an_error(vantage):
    result = vantage(*ASK, "--reasoner", "tiny-broken")
    assert "out of order" in refused(result)
    rows = [line.split()[0] for line in result.stdout.splitlines() if line.strip()]
    assert "caption" in rows and "answer" not in rows
    told = vantage(*ASK, "--reasoner", "tiny-broken", "--json")
    assert "out of order" in refused(told)
    assert "out of order" in json.loads(told.stdout)["error"]


def test_a_reply_without_an_answer_is_said_to_have_none(vantage):
    result = vantage(*ASK, "--reasoner", "tiny-vague")
    assert result.exit_code == 0
    assert "hard to say [/bold]" in result.stdout
    assert "none: the reply states no final answer" in result.stdout


def test_a_reply_cannot_steer_the_terminal(vantage):
    result = vantage(*ASK, "--reasoner", "tiny-hostile")
    assert result.exit_code == 0, result.output
    assert not {"\x1b", "\x07", "\x9b", "\ud800"} & set(result.stdout)
    first, second = (line for line in result.stdout.splitlines() if "first" in line or "second" in line)
    assert "\\x1b]0;mine\\x07" in first and "second \\boxed" in second
    assert json.loads(vantage(*ASK, "--reasoner", "tiny-hostile", "--json").stdout)["final"] == "2\x1b[1m"


def test_pictures_of_many_bits_take_a_mapping(vantage, tmp_path):
    Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 9).save(tmp_path / "deep.png")
    ask = ("answer", "--image", "infrared=deep.png", "--question", "x?", "--model", "tiny", "--reasoner", "tiny-one",
           "--max-new-tokens", "2")  # fmt: skip
    assert "deep.png" in refused(vantage(*ask))
    assert vantage(*ask, "--mapping", "infrared=thermal").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image", "a.png"), "--image takes name=value, such as rgb=photo.jpg, got 'a.png'"),
        (("--image", "=a.png"), "got '=a.png'"),
        (("--image", "rgb=gone.png"), "--image rgb=gone.png: gone.png: no such file"),
        (("--image", "rgb=a.png", "--image", "rgb=b.png"), "the source 'rgb' is given twice"),
        (("--image", "rgb=a.png", "--mapping", "depth=depth"), "there is no --image depth=..."),
        (("--image", "rgb=a.png", "--mapping", "rgb=hot"), "known: depth,"),
        (("--image", "rgb=a.png", "--parts", "all"), "--parts is 'caption' or 'both', got 'all'"),
        (("--image", "rgb=a.png", "--model", "./gone", "--reasoner", "tiny-one"), "gone'"),
        (("--image", "rgb=a.png", "--model", "./gone"), "--model ./gone: there is no such folder"),
        (("--image", "rgb=a.png", "--reasoner", "tiny-one", "--reasoner", "tiny-two"), "--reasoner is given 2 times"),
        (("--image", "rgb=a.png", "--model", "org/name"), "--reasoner is needed beside 'org/name': http://"),
        (("--image", "rgb=a.png", "--reasoner", "http://127.0.0.1:9/v1#m"), "127.0.0.1:9/v1 cannot be reached"),
        (("--image", "rgb=a.png", "--reasoner", "http://me:secret@host/v1"), "must not hold a user or a password"),
        (("--image", "rgb=a.png", "--reasoner", "./gone"), "gone'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_message(arguments, message, vantage):
    result = vantage("answer", "--question", "x?", *arguments)
    assert message in refused(result) and "secret" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize("question", ["<image> How many?", "How many? <eos>"])
def test_a_question_that_holds_a_mark_of_prompts_is_refused(question, vantage):
    result = vantage(
        "answer", "--image", "rgb=a.png", "--question", question, "--model", "tiny", "--reasoner", "tiny-one"
    )
    assert "its question" in refused(result)


@pytest.fixture
def trained(tmp_path):
    """The folder of a run whose model is the embedded captioner, under a prompt of its own."""
    run = runs.start("trained", recipes.load("tiny/racro", ["reasoner.endpoint=tiny-two"]), tmp_path)
    shutil.copytree(tiny.path("tiny-captioner"), run.model)
    return run


@pytest.mark.parametrize("place", ["trained", "trained/model"])
def test_a_run_stands_for_its_model_which_brings_its_prompt(place, vantage, trained):
    ask = (*ASK[:-4], "--max-new-tokens", "24", "--json")
    told = vantage(*ask, "--model", str(trained.folder / "model"), "--recipe", str(trained.recipe))
    assert json.loads(told.stdout)["reasoner"] == "tiny-two", "a recipe that is named brings its reasoner"
    brought = vantage(*ask, "--model", place, "--reasoner", "tiny-one")
    assert brought.exit_code == 0, brought.output
    assert "the prompt is that of trained/recipe.yaml" in " ".join(brought.stderr.split())
    assert json.loads(brought.stdout)["caption"] == json.loads(told.stdout)["caption"] != ""
    assert "<cap>" in json.loads(brought.stdout)["caption"]
    assert "--reasoner is needed" in refused(vantage(*ask, "--model", place)), "nobody is asked whom no one named"


def test_a_run_is_measured_under_its_prompt_unless_another_is_given(vantage, trained):
    ask = ("eval", "trained", "--data", "night-captions?split=test&n=2", "--reasoner", "tiny-one",
           "--constant-captions", "0", "--max-new-tokens", "4")  # fmt: skip
    found = vantage(*ask)
    assert found.exit_code == 0 and "trained/recipe.yaml" in " ".join(found.stderr.split())
    for place in (str(trained.model), "trained"):
        found = vantage(*ask[:1], place, *ask[2:], "--no-labels")
        assert found.exit_code == 0 and "trained/recipe.yaml" not in found.stderr
        assert "not asked as it was trained: --label-sources" in " ".join(found.stderr.split())


def test_an_empty_question_is_refused(vantage):
    assert "--question is empty" in refused(vantage("answer", "--question", " ", "--image", "rgb=a.png"))


EVAL = ("eval", "tiny", "--data", "night-captions?split=test&n=6", "--max-new-tokens", "12")


def test_one_extractor_is_measured_with_several_reasoners(vantage, tmp_path):
    result = vantage(*EVAL, "--reasoner", "tiny-one", "--reasoner", "tiny-two", "--output", "r.json")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "6 questions" in result.stdout and "constant" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines() if "tiny-" in line] == ["tiny-one", "tiny-two"]
    found = load("r.json")
    assert [(run.reasoner, run.n) for run in found] == [("tiny-one", 6), ("tiny-two", 6)]
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [line for line in lines if "id" in line]
    assert len(rows) == 2 * 6 * 3
    for run, answer in zip(found, "12", strict=True):
        own = [row for row in rows if row["reasoner"] == run.reasoner and row["origin"] == "fused"]
        assert run.fused.value == sum(row["truth"] == answer for row in own) / 6
        assert run.constant.right.value == run.fused.value, "who always says the same needs no caption"
    compared = vantage("compare", "r.json#tiny-one", "r.json#tiny-two")
    assert compared.exit_code == 0 and "the same 6 questions" in compared.stdout
    told = found[0].settings["prompts"]
    assert told["extractor"] == "" and told["caption"] == "Describe.", "the shipped models have words of their own"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--parts", "both"), "--parts is about reasoners, and no --reasoner is given"),
        (("--constant-captions", "3"), "--constant-captions is about reasoners"),
        (("--reasoner-temperature", "1"), "--reasoner-temperature is about reasoners"),
        (("--temperature", "0"), "--temperature is about reasoners or drawn answers"),
        (("--reasoner", "tiny-one", "--parts", "none"), "--parts is 'caption' or 'both'"),
        (("--reasoner", "tiny-one", "--reasoner", "tiny-one"), "names the same one twice"),
        (("--reasoner", "http://127.0.0.1:9/v1#m"), "cannot be reached"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_about_reasoners_is_found_before_work(arguments, message, vantage):
    result = vantage(*EVAL, *arguments)
    assert message in refused(result)
    assert result.stdout == ""


def test_drawn_captions_are_read_and_the_same_command_goes_on(vantage, tmp_path, monkeypatch):
    ask = (*EVAL, "--reasoner", "tiny-one", "--k", "2", "--temperature", "2", "--output", "r.json")
    first = vantage(*ask)
    assert first.exit_code == 0, first.output
    (found,) = load("r.json")
    assert (found.k, found.settings["temperature"]) == (2, 2.0) and set(found.drawn) >= {"pass@1", "pass@2"}
    assert found.drawn["pass@1"].value == found.fused.value, "who always says the same needs no caption"
    told = " ".join(first.stdout.split())
    assert f"tiny-one, 2 captions drawn of each question: pass@1 {100 * found.fused.value:.1f}" in told
    before = (tmp_path / "r.jsonl").read_bytes(), (tmp_path / "r.captions.jsonl").read_bytes()

    def never(*_, **__):
        raise AssertionError("nothing is missing")

    monkeypatch.setattr("vantage.pipeline.Pipeline.reason", never)
    monkeypatch.setattr("vantage.evaluation.asking.Local.speak", never)
    again = vantage(*ask)
    assert again.exit_code == 0 and again.stdout == first.stdout, again.output
    assert before == ((tmp_path / "r.jsonl").read_bytes(), (tmp_path / "r.captions.jsonl").read_bytes())
    monkeypatch.setattr("vantage.cli.reasoning.load_pipeline", never)
    other = refused(vantage(*ask, "--reasoner-temperature", "1"))
    assert "r.captions.jsonl holds answers of another command" in other and "temperature: null, now 1.0" in other


def test_the_prompt_of_the_command_line_is_what_captions_are_asked_with(vantage):
    result = vantage(
        *EVAL, "--reasoner", "tiny-one", "--constant-captions", "0", "--system", "dark", "--instruction", "glass",
        "--output", "r.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (found,) = load("r.json")
    assert (found.settings["prompts"]["extractor"], found.settings["prompts"]["caption"]) == ("dark", "glass")
    assert found.constant is None and "constant" not in result.stdout

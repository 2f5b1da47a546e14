import json
import os
import subprocess
import sys

import pytest
from PIL import Image
from typer.testing import CliRunner

from endpoints.server import Server
from vantage import cli, datasets, tiny
from vantage.methods import METHODS
from vantage.rewards import registry

COMMANDS = [(), ("train",), ("quickstart",), ("eval",), ("compare",), ("answer",), ("methods",), ("rewards",),
            ("data",), ("data", "show"), ("data", "list"), ("data", "check"), ("data", "convert"), ("score",),
            ("tiny",), ("tiny", "train")]  # fmt: skip

shipped = pytest.mark.skipif(not (tiny.path() / "config.json").is_file(), reason="the tiny model is not made yet")


@pytest.fixture
def vantage(tmp_path, monkeypatch):
    """Run the command line in an empty folder, on a screen of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VANTAGE_DEBUG", raising=False)
    for console in (cli.out, cli.err):
        monkeypatch.setattr(console, "_width", 80)

    def run(*arguments):
        return CliRunner().invoke(cli.app, list(arguments), terminal_width=80)

    return run


def refused(result):
    """The one message of a command that refuses."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), "no traceback"
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("error:") == 1
    return result.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_within_80_columns(command, vantage):
    result = vantage(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    assert "``" not in result.stdout


def test_rewards_are_listed_with_their_ranges(vantage, tmp_path):
    (tmp_path / "own.py").write_text(
        "from vantage import rewards\n\n\n@rewards.register\nclass Own(rewards.Reward):\n"
        '    """Gives [bold]nothing[/bold]."""\n\n    name = "own-of-this-test"\n    low, high = -1.0, 2.5\n\n'
        "    def score(self, completion, sample):\n        return rewards.Score(0.0)\n"
    )
    result = vantage("rewards", "--plugin", str(tmp_path / "own.py"))
    try:
        assert result.exit_code == 0, result.output
        lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.strip()}
        assert set(registry.names()) <= set(lines)
        assert lines["mars-vqa"][:3] == ["0", "to", "1.5"]
        assert lines["own-of-this-test"] == ["-1", "to", "2.5", "Gives", "[bold]nothing[/bold]."]
        assert max(map(len, result.stdout.splitlines())) <= 80
    finally:
        registry._loaded.pop("own-of-this-test", None)


def test_methods_lists_every_setting(vantage):
    result = vantage("methods")
    assert result.exit_code == 0
    for method in METHODS:
        for key in method.model_fields.keys() - {"name"}:
            assert f" {key} " in result.stdout
    assert "None" not in result.stdout and "False" not in result.stdout, "as a recipe writes it: null, false"
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


def test_data_sets_are_listed_with_what_they_hold(vantage):
    result = vantage("data", "list")
    assert result.exit_code == 0
    for name in datasets.names():
        (line,) = [line for line in result.stdout.splitlines() if line.split(maxsplit=1)[0].partition(":")[0] == name]
        assert len(line.split(maxsplit=1)[1]) > 20
    assert "`" not in result.stdout


def test_a_contact_sheet_is_drawn(vantage, tmp_path):
    result = vantage("data", "show", "night", "--n", "4", "--output", "x.png")
    assert (result.exit_code, result.stdout) == (0, "4 of 1000 samples: x.png\n")
    with Image.open(tmp_path / "x.png") as sheet:
        assert min(sheet.size) > 100
    assert vantage("data", "show", "depth?n=2").stdout == "2 of 2 samples: depth.png\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nope"), "no recipe 'nope': neither a file nor one of"),
        (("train", "tiny/ekpil"), "neither a file nor one of ours; did you mean 'tiny/ekipl'"),
        (("train", "tiny/mars", "--set", "seed"), "--set takes key=value"),
        (("train", "tiny/mars", "--set", "trainer.learning_rat=1"), "did you mean 'learning_rate'?"),
        (("train", "tiny/mars", "--set", "data.train=nigth"), "did you mean 'night'?"),
        (("train", "tiny/mars", "--name", "a/b"), "without slashes"),
        (("train", "tiny/mars", "--resume"), "nothing to resume"),
        (("quickstart", "--seed", "-1"), "seed: must be greater than or equal to 0, got -1"),
        (("data", "show", "nope"), "no data set is called 'nope'"),
        (("data", "show", "jsonl:gone.jsonl"), "gone.jsonl: no such file"),
        (("data", "show", "night?n=0"), "n='0'"),
        (("data", "show", "night", "--output", "gone/x.png"), "the folder gone does not exist"),
        (("data", "show", "night", "--output", "x.doc"), "a picture ends in .png"),
        (("eval", "tiny", "--data", "night", "--mono", "both"), "--mono is 'fill' or 'drop', got 'both'"),
        (("eval", "tiny", "--data", "nope"), "no data set is called 'nope'"),
        (("eval", "tiny", "--data", "night", "--output", "gone/x.json"), "--output gone/x.json: the folder gone"),
        (("eval", "tiny", "--data", "night", "--answers", "gone/x.jsonl"), "--answers gone/x.jsonl: the folder gone"),
        (("eval", "tiny", "--data", "night", "--recipe", "tiny/mars", "--system", "Hi"), "so --system cannot be given"),
        (("eval", "./gone", "--data", "night?n=2"), "gone'"),
        (("eval", "tiny", "--data", "night", "--temperature", "1"), "give --reasoner or --k"),
        (("eval", "tiny", "--data", "night", "--top-p", "0.9", "--seed", "1"), "--top-p, --seed: this is about drawn"),
        (("eval", "tiny", "--data", "night", "--k", "2", "--temperature", "0"), "--temperature is above 0"),
        (("eval", "tiny", "--data", "night", "--k", "2", "--top-p", "1.5"), "got 1.0 and 1.5"),
        (
            ("eval", "tiny", "--data", "night", "--output", "x.jsonl"),
            "the answers go into the file that ends in .jsonl",
        ),
        (("eval", "tiny", "--data", "night", "--reasoner", "x", "--robustness"), "with --reasoner captions are wanted"),
        (("eval", "http://127.0.0.1:1/v1", "--data", "night", "--reasoner", "x"), "a model at a server is asked for"),
        (("eval", "http://u:p@127.0.0.1/v1", "--data", "night?n=2"), "must not hold a user or a password"),
        (("eval", "tiny", "--data", "night?n=1", "--robustness"), "only one scene has rgb, infrared"),
        (("compare", "a.json"), "two files are compared"),
        (("compare", "a.json", "b.json", "c.json"), "two files are compared, or several with one 'vs' between"),
        (("compare", "a.json", "vs", "b.json", "c.json"), "there are 1 before 'vs' and 2 after"),
        (("compare", "a.json", "a.json", "vs", "b.json", "c.json"), "a.json comes twice"),
        (("compare", "a.json", "b.json"), "a.json: cannot read results"),
        (
            ("eval", "tiny", "--data", "night", "--temperature", "0", "--reasoner", "x", "--reasoner-temperature", "1"),
            "--temperature is of the reasoner without --k",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_message_and_leaves_nothing_behind(arguments, message, vantage, tmp_path):
    assert message in refused(vantage(*arguments))
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_could_not_start_leaves_its_name_free(vantage, tmp_path):
    for _ in range(2):
        assert "gone" in refused(vantage("train", "tiny/mars", "--set", "model.path=./gone"))
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_is_not_started_twice(vantage, tmp_path):
    (tmp_path / "runs" / "mars").mkdir(parents=True)
    (tmp_path / "runs" / "mars" / "recipe.yaml").write_text("seed: 0", encoding="utf-8")
    assert "runs/mars exists already" in refused(vantage("train", "tiny/mars")).replace("\n", "")


def test_a_traceback_is_there_for_those_who_ask(vantage, monkeypatch):
    monkeypatch.setenv("VANTAGE_DEBUG", "1")
    result = vantage("data", "show", "nope")
    assert result.exit_code == 1
    assert type(result.exception).__name__ == "ConfigError"


def test_an_unknown_command_is_a_usage_error(vantage):
    result = vantage("trian")
    assert result.exit_code == 2
    assert "No such command 'trian'" in result.stderr


@shipped
def test_the_shipped_model_is_measured_and_compared(vantage, tmp_path):
    ask = ("eval", "tiny", "--data", "night?split=test&n=8", "--max-new-tokens", "16", "--k", "2", "--seed", "5")
    result = vantage(*ask, "--temperature", "0.7", "--output", "f.json")
    assert result.exit_code == 0, result.output
    assert "8 questions" in result.stdout and "rgb alone" in result.stdout and "pass@2" in result.stdout
    assert "Does seeing more mean knowing more?" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    found = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert (found["n"], found["k"], len(found["questions"])) == (8, 2, 8)
    assert {"fused", "alone/rgb", "alone/infrared", "either", "interference", "pass@2"} <= found["figures"].keys()
    assert (found["settings"]["temperature"], found["settings"]["seed"]) == (0.7, 5)
    assert (tmp_path / "f.jsonl").read_text(encoding="utf-8").count('"origin": ') == 8 * 5  # fused, rgb, infrared, 2
    assert "f.jsonl holds answers of another command" in refused(vantage(*ask, "--output", "f.json"))
    again = vantage(*ask, "--temperature", "0.7", "--output", "g.json", "--no-sharing")
    assert again.exit_code == 0, again.output
    compared = vantage("compare", "f.json", "g.json", "--output", "c.json")
    assert compared.exit_code == 0 and "No difference detected" in " ".join(compared.stdout.split())
    assert max(len(line) for line in compared.stdout.splitlines()) <= 80
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["n"] == 8


def test_a_model_at_a_server_is_measured(vantage, tmp_path):
    def once(number, body):
        return ("status", 400, [], "too long [/bold]") if number == 0 else "answer"

    with Server(once) as server:
        ask = ("eval", f"{server.url}#echo", "--data", "night?split=test&n=4", "--k", "2", "--output", "s.json")
        first, again = vantage(*ask), vantage(*ask)
    assert first.exit_code == again.exit_code == 0, first.output + again.output
    told = " ".join(first.stderr.split())
    assert "1 answer did not come; the first: Refusal:" in told and "too long [/bold]" in told
    assert "Answers did not come, in no figure; the same command asks again: 1." in " ".join(first.stdout.split())
    assert "did not come" not in again.output
    assert max(map(len, first.stdout.splitlines())) <= 80
    found = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert found["figures"]["fused"]["n"] == 4 and found["figures"]["fused"]["value"] == 0 and found["k"] == 2
    assert found["model"].endswith("/v1#echo")


@shipped
def test_figures_and_answers_are_kept_before_anything_is_shown(vantage, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("the screen is gone")

    monkeypatch.setattr("vantage.evaluation.outcome_table.outcome_table", broken)
    result = vantage(
        "eval", "tiny", "--data", "night?n=1", "--output", "f.json", "--answers", "a.jsonl", "--max-new-tokens", "2",
    )  # fmt: skip
    assert str(result.exception) == "the screen is gone"
    assert json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["n"] == 1
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8").count('"origin": ') == 3


@shipped
@pytest.mark.parametrize(("flags", "trusted"), [((), False), (("--trust-remote-code",), True)])
def test_code_of_a_model_runs_only_when_asked_for(flags, trusted, vantage, monkeypatch):
    seen = []

    def watched(path, **options):
        seen.append(options)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("vantage.models.load_processor", watched)
    monkeypatch.setattr("vantage.models.load_model", watched)
    vantage("eval", "tiny", "--data", "night?n=1", *flags)
    assert seen == [{"trust_remote_code": trusted}] * 2


@pytest.mark.parametrize("folder", ["[archive]", "a[/x]", "[bold]", ":dog:"])
def test_a_path_is_shown_as_it_is(folder, vantage, tmp_path):
    (tmp_path / folder).mkdir(parents=True)
    result = vantage("data", "show", "night", "--n", "1", "--output", f"{folder}/x.png")
    assert (result.exit_code, result.stdout) == (0, f"1 of 1000 samples: {folder}/x.png\n")
    assert f"{folder}/gone: no such file" in refused(vantage("data", "show", f"jsonl:{folder}/gone"))
    for console in (cli.out, cli.err):  # handed to the engine, which prints names of runs
        assert str(console.render_str(folder)) == folder


@shipped
def test_an_evaluation_takes_the_whole_prompt_of_a_recipe(vantage, tmp_path, monkeypatch):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "model: {path: tiny}\nmethod: {name: grpo}\ndata: {train: night}\n"
        "prompt: {mono: drop, system: Hello, label_sources: true}\n",
        encoding="utf-8",
    )
    seen = {}

    def watched(speaker, samples, plan, **_):
        seen.update(style=plan.style, mono=plan.mono)
        raise KeyboardInterrupt

    monkeypatch.setattr("vantage.evaluation.measuring.measure", watched)
    vantage("eval", "tiny", "--data", "night?n=2", "--max-new-tokens", "16", "--recipe", "mine.yaml")
    assert (seen["mono"], seen["style"].system, seen["style"].label_sources) == ("drop", "Hello", True)


def test_the_command_line_answers_before_torch_is_loaded():
    code = "import sys; import vantage.cli; print(sorted({'torch', 'transformers', 'trl', 'numpy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_it_runs_as_a_module_without_a_stray_word():
    environment = {**os.environ, "COLUMNS": "80"}
    found = subprocess.run(
        [sys.executable, "-m", "vantage", "data", "list"], capture_output=True, text=True, check=True, env=environment
    )
    assert found.stderr == "" and found.stdout.startswith("cameras ")


@shipped
@pytest.mark.slow
def test_a_run_leaves_all_of_itself_and_goes_on(vantage, tmp_path):
    small = (
        "train", "tiny/mars", "--name", "one", "--set", "trainer.max_steps=2", "--set", "trainer.save_steps=2",
        "--set", "trainer.per_device_train_batch_size=28", "--set", "trainer.warmup_steps=0",
        "--set", "data.train=night?n=16", "--set", "data.test=night?split=test&n=4",
    )  # fmt: skip
    result = vantage(*small)
    assert result.exit_code == 0, result.output
    run = tmp_path / "runs" / "one"
    made = {"recipe.yaml", "metrics.jsonl", "rollouts.jsonl", "checkpoints", "model", "summary.json", "curves.png"}
    evaluations = {"before.json", "before.jsonl", "after.json", "after.jsonl", "change.json"}
    assert {path.name for path in run.iterdir()} == made | evaluations
    assert "4 questions" in result.stdout and "2 steps in" in result.stdout
    # Of four questions, none that turned or a few: nothing that a test could tell from chance.
    assert "No difference detected (all pictures together" in result.stdout
    assert "Does seeing more mean knowing more?" in result.stdout
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    gain = summary["after"]["fused"] - summary["before"]["fused"]
    assert summary["change"]["value"] == pytest.approx(gain) and summary["change"]["detected"] is False
    assert "Traceback" not in result.stderr and "Warning" not in result.stderr
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert steps == [1, 2]

    assert "exists already" in refused(vantage(*small))
    assert "seed: 0, now 2" in refused(vantage(*small, "--set", "seed=2", "--resume"))
    again = vantage(*small, "--resume")
    assert again.exit_code == 0 and "is finished; nothing to resume" in again.stderr
    assert "No difference detected" in again.stdout

    (run / "summary.json").unlink()
    own = vantage("train", "runs/one/recipe.yaml", "--resume")
    assert own.exit_code == 0, own.output
    assert "resuming after step 2" in own.stderr
    assert [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [1, 2]

    # A whole run of which files were taken away still tells what it can.
    (run / "summary.json").unlink()
    (run / "before.jsonl").unlink()
    less = vantage("train", "runs/one/recipe.yaml", "--resume")
    assert less.exit_code == 0 and (run / "summary.json").exists()
    assert "not compared: " in less.stderr and "before.jsonl" in less.stderr


@pytest.mark.slow
def test_what_fails_in_the_first_step_is_what_is_reported(vantage, tmp_path):
    picture = tmp_path / "whole.png"
    Image.effect_noise((64, 64), 80).convert("RGB").save(picture)
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:2000])
    rows = [
        {"id": f"r{i}", "question": "How many people are there?", "truth": "1", "reward": "answer",
         "sources": {"rgb": "whole.png", "infrared": "cut.png" if i else "whole.png"}}
        for i in range(4)
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    small = (
        "train", "tiny/mars", "--name", "cut", "--set", "data.train=jsonl:rows.jsonl", "--set", "data.test=null",
        "--set", "trainer.max_steps=1", "--set", "trainer.num_generations=2",
        "--set", "trainer.per_device_train_batch_size=8",
    )  # fmt: skip
    early = vantage(*small).stderr
    assert "row 'r1'" in early and "cut short" in early
    late = vantage(*small, "--set", "data.decode=false").stderr
    assert "source 'infrared'" in late and "cut short" in late and "metrics" not in late


def test_it_says_which_version_it_is(vantage):
    assert vantage("--version").stdout.startswith("vantage-rl ")


def test_an_extra_that_is_not_installed_is_named_before_anything_is_loaded(vantage):
    told = refused(vantage("train", "tiny/grpo", "--set", "trainer.use_vllm=true"))
    assert "vllm is not installed" in told and "vantage-rl[vllm]" in told

"""What the recipes of RACRO promise: captions that beat every constant one, and two stages that follow each other."""

import json
import time

import pytest
from rich.console import Console
from safetensors.torch import load_file
from typer.testing import CliRunner

from vantage import recipes, runs, tiny
from vantage.cli import app
from vantage.engines.trl.launch import train
from vantage.evaluation import comparison

POINTS = 0.08
"""By how much the captions must beat both their own start and the best constant caption."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_trained_captions_beat_their_start_and_every_constant_caption(seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = time.process_time()
    # The runs for which this was claimed repeated their prompts; shared ones draw other random numbers.
    settings = ["--set", f"seed={seed}", "--set", "sharing=off"]
    result = CliRunner().invoke(app, ["train", "tiny/racro", "--name", "racro", *settings])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / "racro"
    found = {
        moment: {run.reasoner: run for run in comparison.load(folder / f"{moment}_reasoners.json")}
        for moment in ("before", "after")
    }
    weak_before, weak, exact = (
        found["before"]["tiny-reasoner-weak"], found["after"]["tiny-reasoner-weak"], found["after"]["tiny-reader"],
    )  # fmt: skip
    constant = max(moment["tiny-reasoner-weak"].constant.right.value for moment in found.values())
    assert weak.fused.value >= max(weak_before.fused.value, constant) + POINTS
    assert exact.fused.value >= weak.fused.value, "a better reader must not lose what the captions say"
    # The gain is not the majority answer: questions of both kinds are answered better.
    assert weak.positive.value > weak_before.positive.value
    assert weak.negative.value > weak_before.negative.value
    for reasoners in found.values():
        for run in reasoners.values():
            assert run.leakage.n == run.positive.n + run.negative.n == 576
            assert run.leakage.value <= 0.05
            assert run.constant is not None
    # Three minutes of one core, and some room; waiting for others on the machine does not count.
    assert time.process_time() - started < 300


@pytest.mark.slow
def test_with_shared_prompts_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readers = []
    for seed in (0, 1, 2):
        started = time.process_time()
        result = CliRunner().invoke(app, ["train", "tiny/racro", "--name", f"racro-{seed}", "--set", f"seed={seed}"])
        assert result.exit_code == 0, result.output
        folder = tmp_path / "runs" / f"racro-{seed}"
        found = {
            moment: {run.reasoner: run for run in comparison.load(folder / f"{moment}_reasoners.json")}
            for moment in ("before", "after")
        }
        weak_before, weak, exact = (
            found["before"]["tiny-reasoner-weak"], found["after"]["tiny-reasoner-weak"], found["after"]["tiny-reader"],
        )  # fmt: skip
        constant = max(moment["tiny-reasoner-weak"].constant.right.value for moment in found.values())
        assert weak.fused.value >= max(weak_before.fused.value, constant) + POINTS
        # The gain is not the majority answer: questions of both kinds are answered better.
        assert weak.positive.value > weak_before.positive.value
        assert weak.negative.value > weak_before.negative.value
        for reasoners in found.values():
            for run in reasoners.values():
                assert run.leakage.n == run.positive.n + run.negative.n == 576
                assert run.leakage.value <= 0.05
                assert run.constant is not None
        readers.append((weak.fused.value, exact.fused.value))
        # Three minutes of one core, and some room; waiting for others on the machine does not count.
        assert time.process_time() - started < 300
    # One seed may fit its captions to what the weak reader misreads.
    means = [sum(values) / len(values) for values in zip(*readers, strict=True)]
    assert means[1] >= means[0], "a better reader must not lose what the captions say"


SHORT = (
    "data.train=night-captions?split=train&n=32",
    "data.test=null",
    "trainer.max_steps=1",
    "trainer.num_generations=4",
    "trainer.per_device_train_batch_size=16",
    "trainer.warmup_steps=0",
)


def test_stage_two_begins_where_stage_one_ended(tmp_path):
    """GRPO on the model's own answer, then its captions: at a rate of 0, stage two leaves the weights of stage one."""
    two = recipes.load("tiny/racro", [*SHORT, "reasoner.endpoint=tiny-reader", "reasoner.others=[]"])
    one = recipes.load("tiny/racro", [*SHORT, "method={name: grpo}", "reasoner=null", "trainer.learning_rate=1e-3"])
    assert one.style() == two.reasoner.prompts.style("tentative", label_sources=True)
    first, second = (runs.start(name, recipe, tmp_path) for name, recipe in (("one", one), ("two", two)))
    train(one, first, console=Console(quiet=True))
    trained = load_file(first.model / "model.safetensors")
    shipped = load_file(tiny.path("tiny-captioner") / "model.safetensors")
    assert any(not trained[name].equal(shipped[name]) for name in shipped)

    model = two.model.model_copy(update={"path": str(first.model)})
    trainer = {**two.trainer, "learning_rate": 0.0}
    train(two.model_copy(update={"model": model, "trainer": trainer}), second, console=Console(quiet=True))
    left = load_file(second.model / "model.safetensors")
    assert left.keys() == trained.keys()
    assert all(left[name].equal(trained[name]) for name in trained)
    (step,) = (json.loads(line) for line in second.metrics.read_text().splitlines())
    assert step["reasoner/called"] == 1.0
    groups = [json.loads(line) for line in second.rollouts.read_text().splitlines()]
    said = [member["text"] for group in groups for member in group["members"]]
    assert said and all(text.startswith("<cap>") for text in said), "stage two asks for captions"

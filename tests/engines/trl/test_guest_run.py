"""A recipe with a guest at a server: its answers join; one that goes down costs answers, one that is down no step."""

import json

import pytest
from rich.console import Console

from endpoints.server import Server
from vantage import recipes, runs, worlds
from vantage.engines.trl import launch as engine
from vantage.engines.trl.launch import train
from vantage.errors import ConfigError, DataError, EndpointError

ANSWER = {"message": {"role": "assistant", "content": "<think> none </think> <answer> 0 </answer>"}}


def launch(url, tmp_path):
    endpoint = {"url": url, "model": "echo", "retries": 0, "backoff": 0.01}
    return start({"endpoint": endpoint, "name": "far", "n": 2}, tmp_path)


def start(guest, tmp_path):
    recipe = recipes.parse(
        {
            "threads": 1,
            "model": {"path": "tiny", "dtype": "float32"},
            "method": {"name": "ekipl", "base": {"name": "grpo"}, "statistics": "all"},
            "guests": {"from": [guest], "wait": 20},
            "data": {"train": "night?split=train&n=8&tasks=count"},
            "trainer": {
                "max_steps": 3,
                "num_generations": 4,
                "per_device_train_batch_size": 8,
                "max_completion_length": 20,
                "bf16": False,
                "use_cpu": True,
                "gradient_checkpointing": False,
                "save_steps": 100,
            },
        }
    )
    run = runs.start("guests", recipe, tmp_path)
    train(recipe, run, console=Console(quiet=True))
    return run


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_server_that_goes_down_in_mid_run_leaves_groups_smaller(tmp_path):
    asked = []

    def behave(number, body):
        if "Hello" in json.dumps(body["messages"]):  # whether it is there at all
            return "answer"
        asked.append(body)
        return ("choice", ANSWER) if len(asked) <= 8 else "drop"  # two answers to each of two questions, two steps

    with Server(behave) as server:
        run = launch(server.url, tmp_path)
    metrics = read(run.metrics)
    assert [row["guests/missing"] for row in metrics] == [0, 0, 1]
    assert metrics[2]["guests/missing/failed"] == 1 and metrics[2]["guests/kept"] == 0
    assert metrics[0]["guests/pool"] == pytest.approx(2 / 6)
    groups = read(run.rollouts)
    far = [member for group in groups for member in group["members"] if member["origin"] == "guest:far"]
    assert all(member["correct"] == (group["truth"] == "0") for group in groups[:4] for member in group["members"][4:])
    assert all(member["text"] == "<think> none </think> <answer> 0 </answer>" for member in far[:8])
    assert all(member["refused"].startswith("failed: ") and not member["trained"] for member in far[8:])
    assert run.guests.is_file() and run.replies.is_file()


def test_a_server_that_is_down_from_the_start_ends_the_run_before_its_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(engine.VantageTrainer, "train", lambda *a, **k: pytest.fail("it trains"))
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9/v1 cannot be reached") as caught:
        launch("http://127.0.0.1:9/v1", tmp_path)
    assert caught.value.__notes__ == ["(while guest 'far' was checked)"]


def test_a_run_does_not_go_on_with_other_recorded_answers(tmp_path):
    rows = worlds.get("night").dataset("train", n=8, tasks=["count"])
    file = tmp_path / "guests.jsonl"
    file.write_text("\n".join(json.dumps({"id": row.id, "model": "far", "text": worlds.gold(row)}) for row in rows))
    run = start({"recorded": str(file)}, tmp_path)
    run.summary.unlink()
    recipe = recipes.load(run.recipe)
    file.write_text(file.read_text().replace("<answer> ", "<answer>  ", 1))
    with pytest.raises(
        ConfigError, match=r"guest 'far': .*guests\.jsonl holds something else than when this run began"
    ):
        train(recipe, run, resume=True, console=Console(quiet=True))


@pytest.mark.parametrize(("recorded", "trains"), [(range(1, 8), True), (range(8, 16), False)], ids=["most", "other"])
def test_a_recording_of_some_of_the_data_is_enough_to_begin(recorded, trains, tmp_path, monkeypatch):
    class Trains(Exception):
        pass

    def train(*_, **__):
        raise Trains

    monkeypatch.setattr(engine.VantageTrainer, "train", train)
    rows = worlds.get("night").dataset("train", n=16, tasks=["count"])
    lines = [json.dumps({"id": rows[i].id, "model": "far", "text": worlds.gold(rows[i])}) for i in recorded]
    (tmp_path / "guests.jsonl").write_text("\n".join(lines))
    refused = pytest.raises(DataError, match="no answer to any of the 8 samples")
    with pytest.raises(Trains) if trains else refused:
        start({"recorded": str(tmp_path / "guests.jsonl")}, tmp_path)

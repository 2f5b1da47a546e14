"""A recipe with a reasoner: its answers are the reward, others are compared, and one that goes down costs a step."""

import importlib.util
import json
from pathlib import Path

import pytest
from rich.console import Console

from vantage import recipes, runs
from vantage.engines.trl import launch as engine
from vantage.engines.trl.checkpoints import last_complete
from vantage.engines.trl.launch import train
from vantage.errors import EndpointError
from vantage.evaluation import comparison

_spec = importlib.util.spec_from_file_location("chat_server", Path(__file__).parents[2] / "endpoints" / "server.py")
chat_server = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chat_server)


def content(url, **reasoner):
    endpoint = {"url": url, "model": "echo", "retries": 1, "backoff": 0.01, "cache": None}
    return {
        "threads": 1,
        "model": {"path": "tiny", "dtype": "float32"},
        "method": {"name": "mars", "base": {"name": "racro"}},
        "data": {
            "train": "night?split=train&n=8&tasks=exists,count",
            "test": "night?split=test&n=6&tasks=exists,count",
        },
        "prompt": {"label_sources": True},
        # The embedded model knows no words of instructions; its short answers are captions enough.
        "reasoner": {
            "endpoint": endpoint,
            "others": [{**endpoint, "max_tokens": 77}],
            "prompts": {"extractor": ""},
            **reasoner,
        },
        "evaluation": {"max_new_tokens": 20},
        "trainer": {
            "max_steps": 3,
            "num_generations": 4,
            "per_device_train_batch_size": 8,
            "max_completion_length": 20,
            "learning_rate": 1e-5,
            "bf16": False,
            "use_cpu": True,
            "gradient_checkpointing": False,
            "save_steps": 100,
            "top_k": 0,
        },
    }


def launch(content, tmp_path, resume=False):
    recipe = recipes.parse(content)
    run = (runs.resume if resume else runs.start)("captions", recipe, tmp_path)
    return train(recipe, run, resume=resume, console=Console(quiet=True)), run


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_is_rewarded_by_its_reasoner_and_compares_others(tmp_path):
    content_ = content("http://127.0.0.1:9/v1")
    with chat_server.Server() as server:
        for endpoint in (content_["reasoner"]["endpoint"], *content_["reasoner"]["others"]):
            endpoint["url"] = server.url
        content_["reasoner"]["others"][0]["model"] = "other"
        content_["reasoner"]["others"][0]["check_model"] = False
        summary, run = launch(content_, tmp_path)
    assert summary["steps"] == 3
    metrics = rows(run.metrics)
    assert all(0 <= row["reasoner/called"] <= 1 and row["reasoner/failed"] == 0 for row in metrics)
    members = [member for group in rows(run.rollouts) for member in group["members"]]
    assert {member["origin"] for member in members} == {"fused", "mono:rgb", "mono:infrared"}
    cut = [member for member in members if member["parts"]["called"] == 0]
    assert all(member["reward"] == 0 for member in cut)
    assert len(cut) < len(members)
    for moment in ("before", "after"):
        assert [found.reasoner for found in comparison.load(run.reasoners(moment))] == ["echo", "other"]
    written = [file for file in run.folder.rglob("*") if file.is_file() and file.suffix != ".pth"]
    assert not [file for file in written if b"sk-very-secret" in file.read_bytes()]
    assert not run.replies.exists(), "the recipe says that nothing is kept"


@pytest.mark.parametrize("who", ["the reasoner of training", "another"])
def test_a_reasoner_out_of_reach_ends_the_run_before_anything_is_loaded_or_written(tmp_path, monkeypatch, who):
    monkeypatch.setattr(engine, "load_model", lambda *a, **k: pytest.fail("the model was loaded"))
    with chat_server.Server() as server:
        content_ = content(server.url)
        gone = content_["reasoner"]["endpoint"] if who != "another" else content_["reasoner"]["others"][0]
        gone["url"] = "http://127.0.0.1:9/v1"
        with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9/v1 cannot be reached"):
            launch(content_, tmp_path)
    assert not list((tmp_path / "captions").rglob("*before*"))


@pytest.mark.slow
def test_unscored_answers_are_counted_and_their_rows_are_not_printed(tmp_path, caplog):
    fails = lambda number, body: ("status", 400) if number % 3 == 0 else "answer"  # noqa: E731
    with chat_server.Server(fails) as server:
        content_ = content(server.url, others=[], max_failed=1)
        content_["evaluation"] |= {"before": False, "after": False}
        _, run = launch(content_, tmp_path)
    assert any(row["reasoner/failed"] for row in rows(run.metrics))
    assert "returned None" not in caplog.text


def test_an_evaluation_whose_calls_failed_is_not_kept_and_is_made_by_a_resumed_run(tmp_path):
    down = {"now": True}

    def behave(number, body):
        fails = down["now"] and "Hello" not in body["messages"][-1]["content"]
        return ("error", 500) if fails and number % 2 else "answer"

    with chat_server.Server(behave) as server:
        content_ = content(server.url, others=[])
        content_["reasoner"]["endpoint"]["retries"] = 0
        with pytest.raises(EndpointError, match=r"echo: \d+ of 18 answers failed, .*evaluation before was not kept"):
            launch(content_, tmp_path)
        run = tmp_path / "captions"
        assert not list(run.rglob("before*.json*"))
        down["now"] = False
        del content_["reasoner"]["endpoint"]["cache"]
        launch(content_, tmp_path, resume=True)
    (before,) = comparison.load(runs.Run(run).reasoners("before"))
    assert before.unscored == 0


@pytest.mark.slow
def test_a_reasoner_that_goes_down_ends_the_run_and_a_resumed_run_goes_on(tmp_path):
    down = {"now": False}
    with chat_server.Server(lambda number, body: "drop" if down["now"] else "answer") as server:
        content_ = content(server.url, others=[])
        content_["evaluation"] |= {"before": False, "after": False}
        from vantage.captions import CaptionReward

        original, calls = CaptionReward.score_many, []

        def counted(self, completions, samples):
            calls.append(len(completions))
            down["now"] = len(calls) == 5  # fused and anchors of two steps, then it is gone
            return original(self, completions, samples)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CaptionReward, "score_many", counted)
            with pytest.raises(EndpointError) as caught:
                launch(content_, tmp_path)
        assert "the state after step 2 is saved" in caught.value.__notes__[0]
        assert last_complete(tmp_path / "captions" / "checkpoints").name == "checkpoint-2"
        down["now"] = False
        summary, _ = launch(content_, tmp_path, resume=True)
    assert summary["steps"] == 3

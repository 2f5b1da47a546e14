"""What trackers get: names as in metrics.jsonl, whole groups with pictures, and texts that are no markup."""

import hashlib
import importlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vantage import worlds
from vantage.engines.trl.logs import MetricsLog
from vantage.engines.trl.trackers import TABLE, RolloutTable, SameNames, as_code, attach, row
from vantage.engines.trl.trainer import VantageTrainer
from vantage.groups import FUSED, Group, Member, mono
from vantage.methods import Mars

STATE = SimpleNamespace(global_step=3, max_steps=20, is_world_process_zero=True)


def group(index=0, text="<answer> 1 </answer>"):
    sample = worlds.get("night").dataset("train", n=8)[index]
    members = [Member(FUSED, text, reward=1.0, advantage=0.5, trained=True), Member(mono("rgb"), "x", advantage=0.0)]
    return Group(sample, members)


def test_trackers_hear_the_names_of_the_file(tmp_path):
    logs = {"completions/mean_length": 9.0, "learning_rate": 1e-3, "reward": 0.5, "step_time": 2.0}
    SameNames().on_log(None, STATE, None, logs)
    assert logs == {"length/mean": 9.0, "lr": 1e-3, "reward": 0.5, "time/optimizer": 2.0}
    MetricsLog(tmp_path / "m.jsonl").on_log(None, STATE, None, logs)
    assert json.loads((tmp_path / "m.jsonl").read_text()) == {"step": 3, **logs}


@pytest.mark.parametrize("text", ["![](http://x)", "```\nb", "a\r\n<img>", "\x00\u2028b", "\ud800", "\n\n# big"])
def test_no_line_of_a_text_is_markup(text):
    lines = as_code(text).split("\n")
    assert all(line.startswith("    ") for line in lines)
    assert as_code(text).encode()


def test_a_group_is_one_line_with_every_answer_and_its_pictures_side_by_side():
    found = row(3, group())
    answers = found["answers"].split("\n")
    assert answers[0].strip() == "fused: reward 1, advantage +0.50: <answer> 1 </answer>"
    assert answers[1].strip() == "mono:rgb: no reward, advantage +0.00, not trained: x"
    assert found["picture"].size == (192 + 4 + 192, 192)
    left = np.asarray(group().sample.picture("rgb"))
    assert (np.asarray(found["picture"])[1::3, 1:192:3] == left).all()  # each pixel three times as large


def test_groups_are_sent_in_the_first_step_and_ten_times():
    sent = []
    backend = SimpleNamespace(Image=lambda i: i, Table=lambda dataframe: dataframe, log=lambda d: sent.append(d[TABLE]))
    table = RolloutTable([SimpleNamespace(_wandb=backend)])
    for step in range(1, 41):
        table.hear(step, [group(i) for i in range(6)])
        table.on_step_end(None, SimpleNamespace(global_step=step, max_steps=40, is_world_process_zero=True), None)
    assert [frame["step"].iloc[0] for frame in sent] == [1, *range(4, 41, 4)]
    assert all(len(frame) == 4 for frame in sent)


@pytest.fixture
def trained(scripted, config, tmp_path, monkeypatch, tiny_folder):
    """Two steps that report to a tracker; the rows of metrics.jsonl."""

    def train(tracker):
        monkeypatch.chdir(tmp_path)
        trainer = scripted(VantageTrainer)(
            str(tiny_folder),
            Mars(),
            config(report_to=[tracker], run_name="run", project="vantage"),
            train_dataset=worlds.get("night").dataset("train", n=16),
            callbacks=[MetricsLog(tmp_path / "metrics.jsonl")],
            parity="skip",
            sharing="off",
        )
        attach(trainer)
        trainer.train()
        return [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]

    return train


def test_tensorboard_has_the_figures_texts_and_pictures(trained, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "tb"))
    rows = trained("tensorboard")
    found = EventAccumulator(str(tmp_path / "tb"), size_guidance={"images": 0, "scalars": 0, "tensors": 0}).Reload()
    tags = found.Tags()
    for name in ("reward", "gain", "gain/infrared", "length/mean", "lr", "groups/silent"):
        values = [event.value for event in found.Scalars(f"train/{name}")]
        assert values == pytest.approx([row[name] for row in rows])
    assert not [tag for tag in tags["scalars"] if "completions/mean_length" in tag]
    assert f"{TABLE}/1" in tags["images"]
    text = found.Tensors(f"{TABLE}/1/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "mono:infrared: reward" in text and "<answer>" in text


def test_trackio_has_the_figures_and_the_table(trained, tmp_path, monkeypatch):
    pytest.importorskip("trackio", reason="trackio is not installed")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    for name in ("trackio.utils", "trackio.sqlite_storage"):
        monkeypatch.setattr(importlib.import_module(name), "TRACKIO_DIR", tmp_path / "trackio", raising=False)
    for name in ("trackio.utils", "trackio.media.media", "trackio.table", "trackio.run"):
        monkeypatch.setattr(importlib.import_module(name), "MEDIA_DIR", tmp_path / "trackio" / "media")
    from trackio.sqlite_storage import SQLiteStorage

    rows = trained("trackio")
    logs = SQLiteStorage.get_logs("vantage", "run")
    values = [log["train/length/mean"] for log in logs if "train/length/mean" in log]
    assert values == pytest.approx([row["length/mean"] for row in rows])
    (first, *_) = [log[TABLE] for log in logs if TABLE in log]
    assert first["_type"] == "trackio.table" and "mono:infrared: reward" in first["_value"][0]["answers"]
    with Image.open(tmp_path / "trackio" / "media" / first["_value"][0]["picture"]["file_path"]) as image:
        assert image.size == (192 + 4 + 192, 192)


def test_wandb_has_the_figures_and_the_table(trained, tmp_path, monkeypatch):
    """Offline: the table and its pictures lie staged, as they would be sent."""
    wandb = pytest.importorskip("wandb", reason="wandb is not installed: pip install 'vantage-rl[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    rows = trained("wandb")
    try:
        assert wandb.run is not None
        summary = dict(wandb.run.summary)
    finally:
        wandb.finish()
    assert summary["train/length/mean"] == pytest.approx(rows[-1]["length/mean"])
    staged = [path for path in (tmp_path / "artifacts" / "staging").iterdir() if path.is_file()]
    tables = [json.loads(path.read_bytes()) for path in staged if path.read_bytes().startswith(b'{"_type": "table"')]
    lines = [dict(zip(table["columns"], line, strict=True)) for table in tables for line in table["data"]]
    assert {line["step"] for line in lines} == {row["step"] for row in rows}
    pictures = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in staged}
    for line in lines:
        assert "mono:infrared: reward" in line["answers"] and line["picture"]["_type"] == "image-file"
        with Image.open(pictures[line["picture"]["sha256"]]) as image:
            assert image.size == (192 + 4 + 192, 192)

"""MARS in the trainer: anchors ride in the rollout, normalise, and never reach the update."""

import json

import numpy as np
import pytest

from vantage import worlds
from vantage.engines.trl import VantageTrainer
from vantage.errors import ConfigError
from vantage.methods import Dapo, Grpo, Mars
from vantage.samples import PromptStyle, Sample

G, P = 4, 4


def groups_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(tiny_folder, samples, config, scripted, tmp_path, method, **kwargs):
    settings = {"per_device_train_batch_size": P * G, "num_generations": G, "max_steps": 2, **kwargs.pop("args", {})}
    trainer = scripted(VantageTrainer)(
        str(tiny_folder),
        method,
        config(**settings),
        train_dataset=samples,
        style=PromptStyle(label_sources=True),
        rollout_log=tmp_path / "rollouts.jsonl",
        parity="skip",
        **kwargs,
    )
    trainer.asked.clear()
    trainer.train()
    return trainer, groups_of(tmp_path / "rollouts.jsonl")


def oracle(group, anchored=True):
    """Advantages of a logged group in NumPy, straight from the paper's formula."""
    fused = np.array([m["reward"] for m in group["members"] if m["origin"] == "fused"])
    anchors = np.array([m["reward"] for m in group["members"] if m["origin"].startswith("mono:")])
    pool = np.concatenate([fused, anchors]) if anchored else fused
    if pool.max() == pool.min():
        return np.zeros_like(fused)
    return (fused - pool.mean()) / (pool.std(ddof=1) + 1e-6)


def test_advantages_in_the_log_are_those_of_the_paper(tiny_folder, night, config, scripted, tmp_path):
    _, groups = run(tiny_folder, night, config, scripted, tmp_path, Mars())
    assert len(groups) == 2 * P
    contrast = 0
    for group in groups:
        origins = [m["origin"] for m in group["members"]]
        assert origins == ["fused"] * G + ["mono:rgb", "mono:infrared"]
        found = [m["advantage"] for m in group["members"]]
        expected = oracle(group)
        contrast += bool(np.any(expected))
        assert found[:G] == pytest.approx(expected, abs=1e-6)
        assert found[G:] == [0, 0]
        assert [m["trained"] for m in group["members"]] == [True] * G + [False] * 2
    assert contrast >= 3, "the script should make groups with contrast"


def test_an_anchor_sees_one_source_in_a_prompt_of_the_same_text(tiny_folder, night, config, scripted, tmp_path):
    trainer, _ = run(tiny_folder, night, config, scripted, tmp_path, Mars(), args={"max_steps": 1}, sharing="off")
    fused, anchors = trainer.asked
    assert fused.times == G
    assert anchors.times == 1
    assert len(anchors.prompt_ids) == 2 * P
    for problem in range(P):
        rgb, infrared = fused.images[problem * G]
        for slot, source in ((0, rgb), (1, infrared)):
            assert anchors.prompt_ids[2 * problem + slot] == fused.prompt_ids[problem * G]
            shown = anchors.images[2 * problem + slot]
            assert [picture.tobytes() for picture in shown] == [source.tobytes()] * 2


def test_drop_leaves_one_picture_slot(tiny_folder, night, config, scripted, tmp_path):
    settings = {"mono": "drop", "args": {"max_steps": 1}, "sharing": "off"}
    trainer, _ = run(tiny_folder, night, config, scripted, tmp_path, Mars(), **settings)
    fused, anchors = trainer.asked
    assert all(len(pictures) == 1 for pictures in anchors.images)
    assert len(anchors.prompt_ids[0]) < len(fused.prompt_ids[0])


@pytest.mark.parametrize("mono", ["fill", "drop"])
def test_behind_shared_prompts_fused_rollouts_and_anchors_are_one_turn(
    mono, tiny_folder, night, config, scripted, tmp_path
):
    both = []
    for sharing in ("off", "auto"):
        settings = {"mono": mono, "args": {"max_steps": 1}, "sharing": sharing}
        trainer, groups = run(tiny_folder, night, config, scripted, tmp_path / sharing, Mars(), **settings)
        rows = [row for turn in trainer.asked for row in turn.prompt_ids]
        pictures = [[p.tobytes() for p in shown] for turn in trainer.asked for shown in turn.images]
        both.append((rows, pictures, groups))
    assert len(trainer.asked) == 1
    assert both[0] == both[1]


def test_the_update_gets_fused_rows_only(tiny_folder, night, config, scripted, tmp_path):
    seen = []

    class Watching(scripted(VantageTrainer)):
        def _compute_loss(self, model, inputs):
            seen.append({k: v.shape[0] for k, v in inputs.items() if getattr(v, "ndim", 0)})
            return super()._compute_loss(model, inputs)

    trainer = Watching(
        str(tiny_folder),
        Mars(),
        config(per_device_train_batch_size=P * G, num_generations=G, max_steps=1),
        train_dataset=night,
        parity="skip",
    )
    trainer.train()
    assert seen[0]["completion_ids"] == seen[0]["advantages"] == P * G
    assert len(trainer._buffered_inputs[0]["prompt"]) == P * G


def test_what_is_logged_agrees_with_the_rollouts(tiny_folder, night, config, scripted, tmp_path):
    trainer, groups = run(tiny_folder, night, config, scripted, tmp_path, Mars(), args={"max_steps": 1})
    log = next(log for log in trainer.state.log_history if "gain" in log)

    def mean(kind, key):
        return np.array([[m[key] for m in g["members"] if m["origin"].startswith(kind)] for g in groups], dtype=float)

    fused, rgb, infrared = mean("fused", "reward"), mean("mono:rgb", "reward"), mean("mono:infrared", "reward")
    anchors = np.concatenate([rgb, infrared], axis=1)
    assert log["reward"] == pytest.approx(fused.mean(), abs=1e-5)
    assert log["accuracy"] == pytest.approx(mean("fused", "correct").mean(), abs=1e-5)
    assert log["format"] == pytest.approx(mean("fused", "formatted").mean(), abs=1e-5)
    assert log["gain"] == pytest.approx((fused.mean(1) - anchors.mean(1)).mean(), abs=1e-5)
    assert log["gain/rgb"] == pytest.approx((fused.mean(1) - rgb[:, 0]).mean(), abs=1e-5)
    assert log["gain/infrared"] == pytest.approx((fused.mean(1) - infrared[:, 0]).mean(), abs=1e-5)
    silent = [not np.any(oracle(g)) for g in groups]
    assert log["groups/silent"] == pytest.approx(np.mean(silent), abs=1e-5)
    wrong, right = (fused == 0).all(1), (fused == 1).all(1)
    assert log["groups/revived_wrong"] == pytest.approx((wrong & (anchors == 1).any(1)).mean(), abs=1e-5)
    assert log["groups/revived_right"] == pytest.approx((right & (anchors == 0).any(1)).mean(), abs=1e-5)
    for phase in ("rollout", "anchors", "vision", "reward", "update", "step"):
        assert log[f"time/{phase}"] >= 0
    assert log["time/step"] >= log["time/update"] > 0
    for name in ("entropy", "clip_ratio/low_mean", "clip_ratio/high_mean", "completions/mean_length"):
        assert name in log


def test_rows_may_differ_in_their_sources(tiny_folder, night, config, scripted, tmp_path):
    """A row that lacks a source has no anchor of it, and the statistics are those of what it has."""
    pictures = [source.load() for source in night[0].sources.values()]
    two = Sample("two", "how many people are there?", dict(zip("ab", pictures, strict=True)), "2", "answer")
    three = Sample("three", two.question, {**two.sources, "c": pictures[0]}, "1", "answer")
    _, groups = run(tiny_folder, [two, three] * 4, config, scripted, tmp_path, Mars(), args={"max_steps": 1})
    assert {len(group["members"]) for group in groups} == {G + 3}
    for group in groups:
        missing = [m for m in group["members"] if m["reward"] is None]
        assert [m["origin"] for m in missing] == (["mono:c"] if group["id"] == "two" else [])
        group["members"] = [m for m in group["members"] if m["reward"] is not None]
        assert [m["advantage"] for m in group["members"][:G]] == pytest.approx(oracle(group), abs=1e-6)


def test_one_source_is_an_error_that_names_the_row_or_plain_grpo(tiny_folder, night, config, scripted, tmp_path):
    alone = [
        Sample(s.id, s.question, {"rgb": s.sources["rgb"]}, s.truth, s.reward, s.metadata) for s in list(night)[:8]
    ]
    with pytest.raises(ConfigError, match=r"row 'night/train/hard/0/0'.*one source.*single_source"):
        run(tiny_folder, alone, config, scripted, tmp_path, Mars())
    method = Mars(single_source="grpo")
    _, groups = run(tiny_folder, alone, config, scripted, tmp_path, method, args={"max_steps": 1})
    for group in groups:
        assert [m["advantage"] for m in group["members"]] == pytest.approx(oracle(group, anchored=False), abs=1e-6)


def test_a_users_reward_function_is_added_and_applies_to_anchors(tiny_folder, night, config, scripted, tmp_path):
    async def brevity(completions, truth, **_):
        return [-0.01 * len(c[0]["content"]) for c in completions]

    _, groups = run(
        tiny_folder, night, config, scripted, tmp_path, Mars(),
        reward_funcs=[brevity], args={"reward_weights": [1.0, 2.0], "max_steps": 1},
    )  # fmt: skip
    for group in groups:
        for member in group["members"]:
            parts = member["parts"]
            assert parts["brevity"] == pytest.approx(-0.01 * len(member["text"]), abs=1e-6)
            assert member["reward"] == pytest.approx(member["score"] + 2 * parts["brevity"], abs=1e-5)
        assert [m["advantage"] for m in group["members"][:G]] == pytest.approx(oracle(group), abs=1e-4)


def test_overlong_answers_are_punished_before_the_statistics(tiny_folder, night, config, scripted, tmp_path):
    method = Mars(base=Dapo(overlong_buffer=6, max_generation_batches=1))
    _, groups = run(tiny_folder, night, config, scripted, tmp_path, method, args={"max_steps": 1})
    punished = 0
    for group in groups:
        for member in group["members"]:
            punished += member["parts"]["overlong"] < 0
            assert member["reward"] == pytest.approx(member["score"] + member["parts"]["overlong"], abs=1e-6)
        assert [m["advantage"] for m in group["members"][:G]] == pytest.approx(oracle(group), abs=1e-5)
    assert punished


@pytest.mark.parametrize("method", [Grpo(), Mars()])
def test_evaluation_inside_training_needs_no_anchors(method, tiny_folder, night, config, scripted, tmp_path):
    held_out = worlds.get("night").dataset("test", n=8)
    trainer, _ = run(
        tiny_folder, night, config, scripted, tmp_path, method, eval_dataset={"held_out": held_out},
        args={"max_steps": 1, "eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 8},
    )  # fmt: skip
    logged = next(log for log in trainer.state.log_history if "eval_held_out_accuracy" in log or "eval_accuracy" in log)
    assert 0 <= logged.get("eval_held_out_accuracy", logged.get("eval_accuracy")) <= 1

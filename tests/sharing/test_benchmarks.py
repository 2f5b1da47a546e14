"""The benchmarks of prompt sharing in small: what they compare, how they measure, what they do short of memory."""

import importlib
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tiny_qwen import byte_tokenizer
from vantage import sharing

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = ("shapes", "measuring", "parts", "update_step", "rollout", "largest_group", "cost", "step_time", "train_step")


@pytest.fixture(scope="module")
def script():
    """Imports one of the scripts as it is when run: beside the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module
    for name in SCRIPTS:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def shapes(script):
    return script("shapes")


@pytest.fixture(scope="module")
def measuring(script):
    return script("measuring")


@pytest.fixture
def update(script, shapes):
    """The update of a small group, fresh weights every time."""
    shape = shapes.Shape(48, 5, 3)
    return script("update_step").Update(script("update_step").open_model(shapes.Setup(shape, "mini")), shape)


@pytest.mark.parametrize(
    ("shape", "stock", "shared", "theory"),
    [((512, 64, 8), 4608, 1024, 4.5), ((1024, 64, 16), 17408, 2048, 8.5), ((2048, 128, 8), 17408, 3072, 5.67)],
)
def test_theory_counts_the_tokens_of_both_sides(shapes, shape, stock, shared, theory):
    found = shapes.Shape(*shape)
    assert found.tokens == {"stock": stock, "shared": shared}
    assert found.theory == pytest.approx(theory, abs=0.005)


@pytest.mark.parametrize("length", [32, 33, 100, 512, 2048])
def test_a_prompt_has_the_tokens_asked_for_most_of_them_of_its_two_pictures(shapes, length):
    shape = shapes.Shape(length, 1, 1)
    model = shapes.build(shapes.Setup(shape, "mini"))
    made = shapes.prompt(shape, model)
    assert made["input_ids"].shape == (1, length) and made["attention_mask"].all()
    pictures = int((made["input_ids"] == shapes.PICTURE).sum())
    # Two by two patches are a token.
    assert (
        pictures == sum(t * h * w // 4 for t, h, w in made["image_grid_thw"].tolist()) == len(made["pixel_values"]) // 4
    )
    assert pictures > 0.7 * length and len(made["image_grid_thw"]) == 2
    assert int(made["mm_token_type_ids"].sum()) == pictures


def test_models_have_the_size_that_they_are_named_for(shapes):
    config = shapes.Setup(shapes.Shape(64, 1, 1), "10m")
    assert sum(p.numel() for p in shapes.build(config).parameters()) == pytest.approx(10e6, rel=0.05)
    with torch.device("meta"):
        large = shapes.build(shapes.Setup(shapes.Shape(64, 1, 1), "3b", device="meta", dtype="bfloat16"))
    # As the checkpoint has it that gave the shape: 3.75 billion with the vision tower, the head tied to the table.
    assert sum(p.numel() for p in large.parameters()) == pytest.approx(3.75e9, rel=0.01)


def test_control_tokens_are_those_of_the_trainers_tokenizer(shapes):
    words = ["<|endoftext|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    assert tuple(byte_tokenizer().convert_tokens_to_ids(words)) == shapes.BANNED


def test_the_stock_side_is_the_plain_model_over_the_repeated_batch(update):
    rows = {name: value for name, value in update.rows.items() if name != "num_images"}
    with torch.no_grad():
        logits = update.model(**rows, use_cache=False).logits[:, -6:-1]
    plain = logits.log_softmax(-1).gather(-1, update.ids[..., None]).squeeze(-1)
    torch.testing.assert_close(update.log_probs("stock").detach(), plain, rtol=0, atol=2e-6)


def test_sides_agree_and_one_that_sees_another_picture_does_not(script, update):
    module = script("update_step")
    found = module.agreement(update, module.SIDES, "float32")
    assert found["agree"] and set(found["differences"]) == {"portable", "fast"}
    update.prompts["pixel_values"] = update.prompts["pixel_values"].flip(0)
    wrong = module.agreement(update, module.SIDES, "float32")
    assert not wrong["agree"] and wrong["differences"]["fast"]["log_probs"] > 10 * wrong["tolerance"]["log_probs"]


def test_a_side_short_of_memory_is_left_out_of_the_comparison(script, update, monkeypatch):
    module = script("update_step")
    whole = update.log_probs

    def short(side):
        if side == "stock":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(side)

    monkeypatch.setattr(update, "log_probs", short)
    found = module.agreement(update, module.SIDES, "float32")
    assert found["with"] == "portable" and set(found["differences"]) == {"fast"} and found["agree"]


def test_rollouts_of_both_sides_are_as_long_as_asked_and_ours_have_the_stock_log_probs(script, shapes):
    module, setup = script("rollout"), shapes.Setup(shapes.Shape(48, 6, 3), "mini")
    rollout = module.Rollout(script("update_step").open_model(setup).eval(), setup.shape)
    for side in module.SIDES:
        rollout.prepare(side)
        said = rollout.speak(side)
        assert said.shape == (3, 6) and not torch.isin(said, torch.tensor(shapes.BANNED)).any()
    assert module.agreement(rollout, setup)["agree"]
    whole = sharing.generate
    # Prompts whose pictures are swapped on the way: the tokens are fine, their log-probs are those of another prompt.
    with pytest.MonkeyPatch.context() as patch:
        flipped = {**rollout.prompts, "pixel_values": rollout.prompts["pixel_values"].flip(0)}
        patch.setattr(sharing, "generate", lambda model, _, *more, **told: whole(model, flipped, *more, **told))
        assert not module.agreement(rollout, setup)["agree"]


def hooks_of(model):
    return sum(len(inner._forward_hooks) + len(inner._forward_pre_hooks) for inner in model.modules())


class Slow(torch.autograd.Function):
    """Takes a while, forwards and backwards."""

    @staticmethod
    def forward(ctx, x):
        time.sleep(0.15)
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        time.sleep(0.15)
        return grad


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("part", "place"), [("vision", "visual.blocks.1.mlp"), ("layers", "language_model.layers.1.mlp")]
)
def test_time_is_counted_where_it_goes_forwards_and_backwards(part, place, checkpointing, script, update):
    if checkpointing:
        update.model.gradient_checkpointing_enable()
    module = update.model.model.get_submodule(place)
    whole = module.forward
    module.forward = lambda hidden, *given, **named: whole(Slow.apply(hidden), *given, **named)
    hooks = hooks_of(update.model)
    start = time.perf_counter()
    found = script("parts").parts_of(lambda between: update.step("fast", between), update.model, "cpu")
    wall = time.perf_counter() - start
    passes = 3 if checkpointing else 2  # once more, computed again
    assert found[part] >= 0.15 * passes
    assert sum(seconds for name, seconds in found.items() if name != part) < found[part]
    assert all(found[name] > 0 for name in script("parts").PARTS) and sum(found.values()) <= wall
    assert hooks_of(update.model) == hooks


def test_peak_memory_is_that_of_the_call_freed_or_not_and_of_no_earlier_one(measuring):
    def take(megabytes):
        return lambda: torch.ones(megabytes * 2**18).sum()

    assert measuring.peak(take(128), "cpu") == pytest.approx(128 * 2**20, rel=0.1)
    assert measuring.peak(take(64), "cpu") == pytest.approx(64 * 2**20, rel=0.1)


def test_rounds_alternate_after_one_unmeasured_and_sides_short_of_memory_are_named(measuring):
    calls = []

    def call(side):
        calls.append(side)
        if side == "large":
            raise torch.OutOfMemoryError("CUDA out of memory")

    taken, failed = measuring.alternate(call, ["a", "large", "b"], 3, "cpu")
    assert calls == ["a", "large", "b", "a", "b", "b", "a", "a", "b"]
    assert {side: len(rounds) for side, rounds in taken.items()} == {"a": 3, "b": 3}
    assert failed == {"large": "out of memory"}


def test_other_errors_are_not_taken_for_a_lack_of_memory(measuring):
    def broken(_):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        measuring.alternate(broken, ["a"], 1, "cpu")


def test_ratios_are_stock_over_ours_of_medians(measuring):
    def rounds(*seconds):
        return [measuring.Taken(each, 2 * each) for each in seconds]

    taken = {"stock": rounds(8.0, 12.0, 10.0), "fast": rounds(2.0, 2.0, 4.0)}
    memory = {"stock": 600, "portable": None, "fast": 200}
    found = measuring.comparison(taken, memory, "fast")
    assert found["time_ratio"] == 5.0 and found["memory_ratio"] == 3.0
    assert (found["ratios"]["fast"]["time_least"], found["ratios"]["fast"]["time_largest"]) == (2.5, 6.0)
    assert found["ratios"]["portable"] == {"time": None, "memory": None}
    assert found["seconds"]["stock"] == {"median": 10.0, "least": 8.0, "largest": 12.0, "all": [8.0, 12.0, 10.0]}


def test_a_process_that_is_killed_is_a_result_and_one_that_fails_an_error(measuring, tmp_path):
    path = tmp_path / "one.py"
    path.write_text("import json; print('first'); print(json.dumps({'peak_bytes': 7}))", encoding="utf-8")
    assert measuring.in_a_process(path, []) == {"peak_bytes": 7}
    path.write_text("import os; os.kill(os.getpid(), 9)", encoding="utf-8")
    assert measuring.in_a_process(path, []) == {"failed": "out of memory"}
    assert measuring.peaks(path, [], ["stock"]) == {"stock": None}
    path.write_text("raise ValueError('no such shape')", encoding="utf-8")
    with pytest.raises(RuntimeError, match="no such shape"):
        measuring.in_a_process(path, ["--group=3"])


def test_reports_are_printed_and_appended_a_line_each(measuring, tmp_path, capsys):
    file = tmp_path / "new" / "reports.jsonl"
    for number in (1, 2):
        measuring.publish({"number": number, "seconds": [math.pi]}, file)
    assert json.loads(capsys.readouterr().out.split("}\n")[0] + "}") == {"number": 1, "seconds": [3.14159]}
    assert [json.loads(line)["number"] for line in file.read_text(encoding="utf-8").splitlines()] == [1, 2]


@pytest.mark.parametrize("limit", [1, 5, 64, 100])
def test_the_search_ends_beside_the_largest_group_that_fits(script, limit):
    for largest in range(130):
        tried = []

        def enough(group, largest=largest, tried=tried):
            tried.append(group)
            return group <= largest

        good, bad = script("largest_group").search(enough, limit)
        assert max(tried) <= limit and len(tried) == len(set(tried)) <= 12
        if largest >= limit:
            assert (good, bad) == (limit, None)
        else:
            assert good <= largest < bad and bad - good <= max(1, good // 8)


def point(prompt, group, stock, fast, memory):
    def seconds(value):
        return {"median": value, "least": 0.9 * value, "largest": 1.1 * value}

    return {
        "prompt": prompt, "group": group, "completion": 64, "parameters": 10_000_000, "device": "cpu", "rounds": 3,
        "machine": {"threads": 1}, "seconds": {"stock": seconds(stock), "fast": seconds(fast)}, "peak_bytes": memory,
    }  # fmt: skip


def test_the_figure_is_drawn_where_memory_was_short_too(script, tmp_path):
    group = [point(512, n, 1.0 * n, 1 + 0.1 * n, {"stock": n * 2**30, "fast": 2**30}) for n in (1, 2, 4)]
    group[-1]["peak_bytes"]["stock"] = None
    prompt = [point(n, 8, n / 100, n / 500, {"stock": None, "fast": n * 2**20}) for n in (256, 512)]
    picture = script("cost").draw({"group": group, "prompt": prompt}, tmp_path / "cost.webp")
    assert picture.stat().st_size > 10_000


def run(*arguments, **more):
    """What a script prints, as JSON."""
    return json.loads(
        subprocess.run(
            [sys.executable, *map(str, arguments)], check=True, capture_output=True, text=True, **more
        ).stdout
    )


SMALL = ("--model=mini", "--rounds=1")


@pytest.mark.slow
def test_update_step_prints_one_report(tmp_path):
    shape = ("--prompt=64", "--completion=8", "--group=4")
    found = run(BENCHMARKS / "update_step.py", *shape, *SMALL, "--output", tmp_path / "a.jsonl", cwd=tmp_path)
    assert found["theory"] == 3.0 and found["agreement"]["agree"] and found["time_ratio"] > 0
    assert set(found["ratios"]) == {"portable", "fast"} and set(found["seconds"]) == {"stock", "portable", "fast"}
    assert found["time_ratio"] == pytest.approx(found["ratios"]["fast"]["time"])
    assert all(found["peak_bytes"].values()) and found["memory_ratio"] > 1
    assert json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8")) == found


@pytest.mark.slow
def test_rollout_prints_one_report(tmp_path):
    found = run(BENCHMARKS / "rollout.py", "--prompt=64", "--completion=8", "--group=4", *SMALL, cwd=tmp_path)
    assert set(found["seconds"]) == set(found["first_token_seconds"]) == {"stock", "shared"}
    assert found["agreement"]["agree"] and found["time_ratio"] > 0 and not found["failed"]


@pytest.mark.slow
@pytest.mark.parametrize("model", [("--model=tiny",), ("--model=mini", "--picture-tokens=4")], ids=str)
def test_train_step_compares_trainers_that_read_the_same_prompts(model, tmp_path):
    plan = ("--answers=4", "--groups=1", "--steps=1", "--rounds=1", "--completion=6")
    found = run(BENCHMARKS / "train_step.py", *model, *plan, cwd=tmp_path)
    assert set(found["seconds"]) == {"stock", "grpo", "mars"} and not found["failed"] and not found["not_shared"]
    assert found["time_ratio"] > 0 and found["mars_over_grpo"]["time"] > 0
    prompts = [tokens["prompt"] for tokens in found["tokens"].values()]
    assert prompts == pytest.approx([prompts[0]] * 3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"LIMIT": "0"}, "not run: no time left"), ({"PYTHON": "/bin/false"}, "exit status 1")],
    ids=["no time", "broken"],
)
def test_what_the_gpu_script_cannot_run_is_recorded_and_the_rest_goes_on(settings, said, tmp_path):
    command = ["bash", str(BENCHMARKS / "gpu.sh"), str(tmp_path / "out")]
    subprocess.run(command, check=True, env={**os.environ, "SMALL": "1", **settings}, capture_output=True)
    lines = (tmp_path / "out" / "failed.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 12 and all(json.loads(line)["failed"].startswith(said) for line in lines)

"""What a step of the whole trainer costs: stock TRL, and Vantage with shared prompts, on the same drawn questions.

    python benchmarks/train_step.py --rounds 5
    python benchmarks/train_step.py --model 10m --picture-tokens 196 --answers 8 --groups 2 --completion 64

Every block of steps runs in a process of its own; blocks of the arms alternate. The learning rate is zero, so that all
blocks of an arm do the same work. Prints one JSON object: steps and peak memory of each arm, stock over ours (larger is
better), and MARS over GRPO at equally many answers a question (smaller is better).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import step_time
import torch
from measuring import (
    STOCK,
    Taken,
    comparison,
    in_a_process,
    machine,
    output_option,
    peak,
    publish,
    say,
    synchronize,
)
from shapes import BANNED, SHORTEST, Setup, Shape, build, chosen, model_options, training_options
from transformers import PrinterCallback, TrainerCallback
from transformers.utils import logging
from trl import GRPOConfig, GRPOTrainer

from datasets import Dataset
from vantage import rewards, tiny, worlds
from vantage.engines.trl import VantageTrainer
from vantage.models import load_model, load_processor
from vantage.samples import Sample

SHIPPED = "tiny"
"""The model that ships with Vantage, trained, beside those with weights at random."""


class Stamps(TrainerCallback):
    """When steps ended."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.at: list[Taken] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """A step is over, its optimizer's too."""
        synchronize(self.device)
        self.at.append(Taken(time.perf_counter(), time.process_time()))

    def steps(self) -> list[Taken]:
        """What each step but the first took."""
        pairs = zip(self.at, self.at[1:], strict=False)
        return [Taken(b.wall - a.wall, b.processor - a.processor) for a, b in pairs]


def model_and_processor(setup: Setup, picture_tokens: int, folder: Path) -> tuple[Any, Any]:
    """What a trainer starts from; pictures of the random models are resized to so many tokens."""
    if setup.model == SHIPPED:
        return load_model(tiny.path(), dtype=setup.dtype).to(setup.device), load_processor(tiny.path())
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from tiny_qwen import build_tiny_qwen

    pixels = picture_tokens * 28 * 28
    processor = load_processor(build_tiny_qwen(folder), size={"shortest_edge": pixels, "longest_edge": pixels})
    return build(setup), processor


def stock(model: Any, processor: Any, args: GRPOConfig, samples: Sequence[Sample]) -> GRPOTrainer:
    """TRL's own trainer, with the questions as its rows and their rewards as its function."""
    rows = [
        {
            "prompt": [{"role": "user", "content": sample.question}],
            "images": [source.load() for source in sample.sources.values()],
            "index": index,
        }
        for index, sample in enumerate(samples)
    ]

    def reward(completions: list[Any], index: list[int], **_: Any) -> list[float]:
        said = [completion[0]["content"] for completion in completions]
        asked = [samples[i] for i in index]
        return [rewards.call(s.reward, text, s).reward for text, s in zip(said, asked, strict=True)]

    return GRPOTrainer(model, reward, args, train_dataset=Dataset.from_list(rows), processing_class=processor)


def block(arm: str, setup: Setup, plan: step_time.Setup, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train one block: seconds of each step but the first, and how long its answers were."""
    name, _, way = arm.partition(":")
    size = plan.answers
    if name != STOCK:
        size = step_time.ARMS[name].rollouts(plan.answers, worlds.get("night").sources)
    args = GRPOConfig(
        **{
            **step_time.config(plan, size, given.seed, folder / "out"),
            "use_cpu": setup.device == "cpu",
            "bf16": setup.dtype == "bfloat16",
            "gradient_checkpointing": setup.checkpointing,
            "generation_kwargs": {} if setup.model == SHIPPED else {"suppress_tokens": list(BANNED)},
        }
    )
    model, processor = model_and_processor(setup, given.picture_tokens, folder / "model")
    samples = step_time.questions(plan)
    trainer: GRPOTrainer
    if name == STOCK:
        trainer = stock(model, processor, args, samples)
    else:
        trainer = VantageTrainer(
            model, step_time.ARMS[name].method, args, train_dataset=samples, processing_class=processor,
            parity="skip", sharing=way or given.sharing,
        )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    stamps = Stamps(setup.device)
    trainer.add_callback(stamps)
    grown = peak(trainer.train, setup.device)
    logged = [line for line in trainer.state.log_history if "completions/mean_length" in line]
    length = fmean(line["completions/mean_length"] for line in logged)
    rows = plan.groups * size * (plan.steps + 1)
    return {
        "wall": median(step.wall for step in stamps.steps()),
        "processor": median(step.processor for step in stamps.steps()),
        "peak_bytes": grown,
        "completion": length,
        "prompt": trainer.state.num_input_tokens_seen / rows - length,
        "not_shared": getattr(trainer, "not_shared", []),
    }


def measure(
    arms: Sequence[str], setup: Setup, plan: step_time.Setup, rounds: int, options: Sequence[str]
) -> dict[str, Any]:
    """The report: blocks of all arms, in processes of their own.

    Args:
        arms: the first ones are compared with the stock trainer.
        setup: of the model.
        plan: of the blocks.
        rounds: blocks of each arm.
        options: of the command line, handed on to the blocks.
    """
    blocks: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
    failed: dict[str, str] = {}
    for turn in range(rounds):
        for arm in arms if turn % 2 == 0 else arms[::-1]:
            if arm in failed:
                continue
            found = in_a_process(Path(__file__), [*options, "--block", arm, "--seed", str(turn)])
            if "failed" in found:
                failed[arm] = found["failed"]
            else:
                blocks[arm].append(found)
    blocks = {arm: found for arm, found in blocks.items() if arm not in failed}
    taken = {arm: [Taken(one["wall"], one["processor"]) for one in found] for arm, found in blocks.items()}
    memory = {arm: max(one["peak_bytes"] for one in blocks[arm]) if arm in blocks else None for arm in arms}
    tokens = {
        arm: {part: fmean(one[part] for one in found) for part in ("prompt", "completion")}
        for arm, found in blocks.items()
    }
    prompts = [found["prompt"] for found in tokens.values()]
    assert max(prompts, default=0) - min(prompts, default=0) < 1e-3, f"arms read other prompts: {tokens}"
    ours = [arm for arm in arms if arm != STOCK]
    report = {
        "benchmark": "train_step",
        "model": setup.model, "device": setup.device, "dtype": setup.dtype, "checkpointing": setup.checkpointing,
        "answers": plan.answers, "groups": plan.groups, "steps": plan.steps, "rounds": rounds,
        **comparison(taken, memory, ours[0]),
        "tokens": tokens,
        "not_shared": {arm: found[0]["not_shared"] for arm, found in blocks.items() if found[0]["not_shared"]},
        "failed": failed,
        "machine": machine(setup.device),
    }  # fmt: skip
    if {"mars", "grpo"} <= set(taken):
        report["mars_over_grpo"] = comparison(taken, memory, "grpo", over="mars")["ratios"]["grpo"]
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model_options(parser, SHIPPED)
    training_options(parser)
    parser.add_argument(
        "--arms", default=f"{STOCK},grpo,mars",
        help=f"{STOCK}, {', '.join(step_time.ARMS)}, separated by commas; grpo:off is Vantage's without sharing",
    )  # fmt: skip
    parser.add_argument("--sharing", default="auto", help="of Vantage's arms: auto, portable, fast or off")
    parser.add_argument("--answers", type=int, default=16, help="answers a question, anchors included")
    parser.add_argument("--groups", type=int, default=4, help="questions a step")
    parser.add_argument("--completion", type=int, default=24, help="most tokens of an answer")
    parser.add_argument("--picture-tokens", type=int, default=64, help="of a picture, for random models only")
    parser.add_argument("--steps", type=int, default=4, help="measured steps a block")
    parser.add_argument("--rounds", type=int, default=3, help="blocks of each arm")
    output_option(parser)
    parser.add_argument("--block", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    arms = given.arms.split(",")
    if unknown := {arm.partition(":")[0] for arm in arms} - {STOCK, *step_time.ARMS}:
        parser.error(f"--arms are of {STOCK}, {', '.join(step_time.ARMS)}, not {', '.join(sorted(unknown))}")
    if set(arms) == {STOCK}:
        parser.error("--arms names nothing to compare with the stock trainer")
    setup = chosen(given, Shape(SHORTEST, given.completion, given.answers))
    plan = step_time.Setup(Path(given.model), given.answers, given.groups, given.steps, given.completion)
    torch.set_num_threads(setup.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if given.block:
        with tempfile.TemporaryDirectory() as folder:
            say(lambda: block(given.block, setup, plan, given, Path(folder)))
        return
    publish(measure(arms, setup, plan, given.rounds, sys.argv[1:]), given.output)


if __name__ == "__main__":
    main()

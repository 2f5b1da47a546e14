"""Step time of one method over another, side by side in one process, at equal answers per question.

    python benchmarks/step_time.py --arms mars grpo --rounds 5

Blocks of steps alternate (A B, B A, A B, ...), so that a machine that slows down or speeds up does so for both. Every
block starts from the same weights, with the same questions and the same seed, and the learning rate is zero: all blocks
of an arm do the same work, although the optimizer runs as it always does.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import PrinterCallback
from transformers.utils import logging
from trl import GRPOConfig

from vantage import tiny, worlds
from vantage.engines.trl import VantageTrainer
from vantage.methods import Dapo, Grpo, Mars, Method
from vantage.models import load_model, load_processor
from vantage.samples import PromptStyle, Sample

PARTS = ("rollout", "anchors", "vision", "reward", "update")
"""What a step's time is made of; encoding pictures is counted in ``vision`` alone, wherever it falls."""


@dataclass(frozen=True)
class Arm:
    """What is timed: a method, and what its trainer is given besides."""

    method: Method
    config: Mapping[str, Any] = field(default_factory=dict)
    trainer: Mapping[str, Any] = field(default_factory=dict)

    def rollouts(self, answers: int, sources: Sequence[str]) -> int:
        """Fused rollouts a question: what the anchors leave of the answers."""
        return answers - len(self.method.speakers(sources))


# DAPO without its length punishment, which would only shift rewards here.
_DAPO = Dapo(overlong_buffer=None)
ARMS = {
    "grpo": Arm(Grpo()),
    "mars": Arm(Mars()),
    "dapo": Arm(_DAPO),
    "mars-dapo": Arm(Mars(base=_DAPO)),
}


@dataclass(frozen=True)
class Setup:
    """What both arms share."""

    model: Path
    answers: int = 16
    groups: int = 8
    steps: int = 6
    completion: int = 24
    sharing: str = "auto"


def config(setup: Setup, size: int, seed: int, folder: Path) -> dict[str, Any]:
    """What ``GRPOConfig`` takes for a block, of ``size`` answers a question."""
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": setup.groups * size,
        "gradient_accumulation_steps": 1,
        "num_generations": size,
        "max_completion_length": setup.completion,
        "max_steps": setup.steps + 1,
        "learning_rate": 0.0,
        "loss_type": "dapo",
        "beta": 0.0,
        "temperature": 1.0,
        "top_k": 0,
        "seed": seed,
        "data_seed": seed,
        "bf16": False,
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
    }


def questions(setup: Setup) -> list[Sample]:
    """Drawn before a clock starts, and never twice in a block unless groups are refilled."""
    return list(worlds.get("night").dataset("train", n=4 * setup.groups * (setup.steps + 1)))


def block(arm: Arm, setup: Setup, seed: int, folder: Path) -> list[dict[str, float]]:
    """Seconds by part of each step of one block; the first step, which warms up, is left out."""
    size = arm.rollouts(setup.answers, worlds.get("night").sources)
    trainer = VantageTrainer(
        load_model(setup.model, dtype="float32"),
        arm.method,
        GRPOConfig(**{**config(setup, size, seed, folder), **arm.config}),
        train_dataset=questions(setup),
        processing_class=load_processor(setup.model),
        style=PromptStyle(label_sources=True),
        parity="skip",
        sharing=setup.sharing,
        **arm.trainer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    lines = [line for line in trainer.state.log_history if "time/step" in line][1:]
    return [{name: line[f"time/{name}"] for name in (*PARTS, "step")} for line in lines]


def measure(arms: tuple[str, str], setup: Setup, rounds: int, console: Console) -> dict[str, Any]:
    """Alternate blocks of the two arms and sum up.

    Returns:
        ``seconds``: for each arm the median of each part over all steps. ``ratios``: for each round, the median step of
        the first arm's block over that of the second's. ``ratio``: their median.
    """
    steps: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arms:  # once unmeasured: allocators and caches fill
            block(ARMS[name], replace(setup, steps=1), 0, Path(folder))
        for turn in range(rounds):
            medians: dict[str, float] = {}
            for name in arms if turn % 2 == 0 else arms[::-1]:
                taken = block(ARMS[name], setup, turn, Path(folder))
                steps[name] += taken
                medians[name] = statistics.median(step["step"] for step in taken)
            ratios.append(medians[arms[0]] / medians[arms[1]])
            said = ", ".join(f"{name} {1e3 * medians[name]:.0f} ms" for name in arms)
            console.print(f"round {turn + 1} of {rounds}: {said}, ratio {ratios[-1]:.3f}", highlight=False)
    parts = (*PARTS, "step")
    seconds = {name: {part: statistics.median(s[part] for s in steps[name]) for part in parts} for name in arms}
    return {
        "arms": list(arms),
        "answers": setup.answers,
        "groups": setup.groups,
        "steps": setup.steps,
        "rounds": rounds,
        "sharing": setup.sharing,
        "seconds": seconds,
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "machine": {"threads": torch.get_num_threads(), "torch": torch.__version__, "platform": platform.platform()},
    }


def table(result: Mapping[str, Any]) -> Table:
    """Medians of both arms, part by part, and the ratio."""
    first, second = result["arms"]
    ratios = sorted(result["ratios"])
    grid = Table(
        title=f"seconds a step: {result['groups']} questions, {result['answers']} answers each",
        title_justify="left",
        caption=f"ratio {first} / {second}: median {result['ratio']:.3f}, "
        f"{ratios[0]:.3f} to {ratios[-1]:.3f} over {len(ratios)} rounds of {result['steps']} steps. "
        "Encoding pictures is counted in vision alone.",
        caption_justify="left",
    )
    grid.add_column("median of")
    for name in (first, second):
        grid.add_column(name, justify="right")
    grid.add_column("ratio", justify="right")
    for part in (*PARTS, "step"):
        a, b = (result["seconds"][name][part] for name in (first, second))
        if part == "step":
            grid.add_section()
        grid.add_row(part, f"{a:.4f}", f"{b:.4f}", f"{a / b:.2f}" if b > 0 else "–")
    return grid


def main() -> None:
    parser = argparse.ArgumentParser(description="Step time of one method over another, side by side.")
    parser.add_argument("--arms", nargs=2, choices=sorted(ARMS), default=["mars", "grpo"], help="first over second")
    parser.add_argument("--model", type=Path, help="folder of a model; the one that ships with Vantage by default")
    parser.add_argument("--answers", type=int, default=16, help="answers a question, anchors included")
    parser.add_argument("--groups", type=int, default=8, help="questions a step")
    parser.add_argument("--steps", type=int, default=6, help="measured steps a block")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of blocks")
    parser.add_argument("--sharing", default="auto", help="of prompts: auto, portable, fast or off")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--output", type=Path, help="write the figures here as JSON")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    console = Console()
    setup = Setup(given.model or tiny.path(), given.answers, given.groups, given.steps, sharing=given.sharing)
    result = measure(tuple(given.arms), setup, given.rounds, console)
    console.print(table(result))
    if given.output is not None:
        given.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

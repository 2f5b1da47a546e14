"""One run of a study in a process of its own: train, measure, write down. Started by ``run.py``."""

from __future__ import annotations

import argparse
import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import figures
import plan as plans
from rich.console import Console

import vantage
from vantage import datasets, runs, tiny
from vantage.errors import ConfigError, VantageError
from vantage.files import write_json
from vantage.recipes import Recipe
from vantage.samples import Sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", required=True, help="name of the run")
    options = parser.parse_args()
    study = plans.load(options.plan)
    task = next((task for task in study.tasks() if task.name == options.run), None)
    if task is None:
        sys.exit(f"{options.plan} has no run {options.run!r}")
    folder = options.out / "runs" / task.name
    folder.mkdir(parents=True, exist_ok=True)
    with (options.out / "runs" / f"{task.name}.lock").open("w") as lock:
        # A run whose starter was killed may still be at work; it is waited for, not repeated beside it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / plans.RESULT).exists():
            try:
                write_json(folder / plans.RESULT, result(study, task, options.out / "runs"))
            except VantageError as error:
                sys.exit(f"{type(error).__name__}: {error}")
        clean(folder)


def result(study: plans.Plan, task: plans.Task, root: Path) -> dict[str, Any]:
    """Train unless it is trained, measure."""
    from vantage.cli.common import quiet

    quiet()
    recipe, run = study.recipe(task), runs.Run(root / task.name)
    found: dict[str, Any] = {
        "study": study.name,
        **task.model_dump(),
        "digest": study.digest(task),
        "commit": commit(),
        "curve": {},
    }
    measured: dict[str, float] = {}
    where = str(tiny.path(recipe.model.path)) if recipe.model.path in tiny.MODELS else recipe.model.path
    if task.seed is not None:
        measured |= train(recipe, task, run, root)
        steps = sorted(int(folder.name.split("-")[-1]) for folder in run.checkpoints.glob("checkpoint-*"))
        found["curve"] = {
            str(step): accuracy(recipe, run.checkpoints / f"checkpoint-{step}", where, study.curve) for step in steps
        }
        measured |= figures.of_metrics(run.metrics)
    measured |= measure(recipe, where if task.seed is None else str(run.model), where, run)
    return {**found, "figures": measured}


def train(recipe: Recipe, task: plans.Task, run: runs.Run, root: Path) -> dict[str, float]:
    """Train from the start, or on from the last checkpoint; processor time only where it is that of the whole run."""
    from vantage.engines.trl.launch import train as launch

    resumed = run.recipe.exists()
    run = runs.resume(task.name, recipe, root) if resumed else runs.start(task.name, recipe, root)
    begun = time.process_time()
    launch(recipe, run, resume=resumed, console=Console(stderr=True, force_terminal=False))
    return {} if resumed else {"cpu_seconds": time.process_time() - begun}


def measure(recipe: Recipe, model: str, processor: str, run: runs.Run) -> dict[str, float]:
    """Greedy answers from all sources and from each alone, and drawn answers from all; the rows are kept."""
    from vantage.evaluation import evaluate, write_rows
    from vantage.evaluation.sampling import sample_many

    samples = tested(recipe)
    settings, network = recipe.evaluation, opened(recipe, model, processor)
    shared: dict[str, Any] = {
        "style": recipe.style(),
        "max_new_tokens": recipe.trainer["max_completion_length"],
        "batch_size": settings.batch_size,
    }
    _, rows = evaluate(*network, samples, mono=recipe.prompt.mono, **shared)
    write_rows(run.answers("after"), rows)
    found = figures.of_answers(rows, {sample.id: sample for sample in samples})
    if settings.k:
        asked = samples[: settings.questions]
        drawn, _ = sample_many(*network, asked, settings.k, seed=settings.seed, **shared)
        drawn.save(run.passk("after"))
        found |= figures.of_draws(drawn)
    return found


def accuracy(recipe: Recipe, model: Path, processor: str, questions: int) -> float:
    """Share right of the first test questions, greedily from all sources."""
    from vantage.evaluation.sampling import sample_many

    drawn, _ = sample_many(
        *opened(recipe, str(model), processor),
        tested(recipe)[:questions],
        1,
        style=recipe.style(),
        top_k=1,  # the likeliest token alone: greedy
        max_new_tokens=recipe.trainer["max_completion_length"],
        batch_size=recipe.evaluation.batch_size,
    )
    return drawn.pass_at[0].value


def tested(recipe: Recipe) -> Sequence[Sample]:
    if recipe.data.test is None:
        raise ConfigError("data.test is null, so there is nothing to measure on; name test questions in the plan")
    return datasets.load(recipe.data.test)


def opened(recipe: Recipe, model: str, processor: str) -> tuple[Any, Any]:
    import torch

    from vantage.models import load_model, load_processor

    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    return load_model(model, dtype=recipe.model.dtype), load_processor(processor, **recipe.model.processor)


def clean(folder: Path) -> None:
    """Remove what takes room and is in no table: weights and rollouts."""
    run = runs.Run(folder)
    for weights in (run.checkpoints, run.model):
        shutil.rmtree(weights, ignore_errors=True)
    run.rollouts.unlink(missing_ok=True)


def commit() -> str:
    """Of the source that runs, with a + where it was changed since; empty where it is not under Git."""
    place = ["git", "-C", str(Path(vantage.__file__).parent)]
    said = [subprocess.run([*place, *ask], capture_output=True, text=True) for ask in (
        ["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no", "."]
    )]  # fmt: skip
    if any(answer.returncode for answer in said):
        return ""
    return said[0].stdout.strip() + ("+" if said[1].stdout.strip() else "")


if __name__ == "__main__":
    main()

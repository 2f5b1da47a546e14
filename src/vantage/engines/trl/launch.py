"""Run a recipe: check everything, measure, train, measure again, and leave a folder that tells all of it."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from rich.console import Console
from transformers import PrinterCallback, TrainerState
from trl import GRPOConfig

from vantage import datasets, plugins, tiny
from vantage.engines.trl.checkpoints import TRAINER_STATE, last_complete, require_space
from vantage.engines.trl.config import grpo_config, require_installed
from vantage.engines.trl.logs import MetricsLog, trim
from vantage.engines.trl.measure import Measure
from vantage.engines.trl.progress import RichProgress
from vantage.engines.trl.settings import anchor_columns, check_guests, reconcile
from vantage.engines.trl.trackers import attach
from vantage.engines.trl.trainer import VantageTrainer
from vantage.errors import ConfigError, DataError, EngineError
from vantage.evaluation import Evaluation, kept, paired
from vantage.files import write_json
from vantage.guests import Guests
from vantage.guests.recorded import RecordedGuest
from vantage.models import context_window, load_model, load_processor, with_resized_size
from vantage.progress import progress
from vantage.recipes import Recipe
from vantage.report import curves, passk
from vantage.report import guests as guest_curves
from vantage.runs import Run
from vantage.samples import Sample

RECORDINGS = "recordings.json"
"""In a run's folder: SHA-256 of the files of recorded guests."""
DECODED = 1000
"""Rows up to which every picture is decoded before training, unless the recipe says otherwise."""


def train(recipe: Recipe, run: Run, *, resume: bool = False, console: Console | None = None) -> dict[str, Any]:
    """Run a recipe in a run's folder.

    Args:
        recipe: what to do.
        run: where to write; see ``vantage.runs``.
        resume: go on from the last checkpoint that was written to its end, exactly as if nothing had happened.
        console: where to show progress.

    Returns:
        What ``summary.json`` holds.

    Raises:
        VantageError: anything that cannot work, as far as possible before the first step.
    """
    console = console or Console(stderr=True)
    begun = time.perf_counter()
    plugins.load(recipe.plugins)
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    args = grpo_config(recipe.trainer, run.checkpoints, recipe.seed)
    args.trust_remote_code = recipe.model.trust_remote_code
    require_installed(args)
    reconcile(recipe.method, args, {})
    lora = None if recipe.model.lora is None else _lora(recipe.model.lora)
    main = args.process_index == 0
    if not main:
        console = Console(quiet=True)
    if resume and run.summary.exists():
        console.print(f"{run.folder} is finished; nothing to resume")
        summary: dict[str, Any] = json.loads(run.summary.read_text(encoding="utf-8"))
        return summary

    # First what may be out of reach, as loading a model takes a while, and checking all rows a longer one.
    check_guests(recipe.method, recipe.guests)
    guests = None if recipe.guests is None else recipe.guests.open(run.replies)
    recordings = {} if guests is None or not main else _recordings(guests, run.folder / RECORDINGS, resume)
    reward = None if recipe.reasoner is None else recipe.reasoner.open(run.replies)
    others = [] if recipe.reasoner is None or not main else recipe.reasoner.open_others(run.replies)
    for reasoner in ([] if reward is None else [reward.endpoint]) + others:
        reasoner.check()
    path = str(tiny.path(recipe.model.path)) if recipe.model.path in tiny.MODELS else recipe.model.path
    processor = load_processor(path, trust_remote_code=recipe.model.trust_remote_code, **recipe.model.processor)
    model = load_model(
        path,
        dtype=recipe.model.dtype,
        attn_implementation=recipe.model.attention,
        trust_remote_code=recipe.model.trust_remote_code,
    )
    window = _window(model.config, args)
    training = _samples(recipe, "train", processor, window, args.max_completion_length, console)
    longest = recipe.evaluation.max_new_tokens or args.max_completion_length
    testing = _samples(recipe, "test", processor, window, longest, console) if recipe.data.test else None
    _enough(training, args)
    run.checkpoints.mkdir(parents=True, exist_ok=True)

    checkpoint = last_complete(run.checkpoints, args.world_size) if resume else None
    reached = TrainerState() if checkpoint is None else TrainerState.load_from_json(str(checkpoint / TRAINER_STATE))
    if resume:
        if main:
            for file in (run.metrics, run.rollouts):
                trim(file, reached.global_step)
        going_on = f"resuming after step {reached.global_step}"
        console.print(going_on if checkpoint else "no checkpoint was finished; starting over")

    if guests is not None and main:
        guests.check(training)  # one that is not there from the start is found now
    watching = RichProgress(console)
    trainer = VantageTrainer(
        model,
        recipe.method,
        args,
        train_dataset=training,
        processing_class=processor,
        style=recipe.style(),
        mono=recipe.prompt.mono,
        reward=reward,
        guests=guests,
        sharing=recipe.sharing,
        rollout_log=run.rollouts,
        callbacks=[MetricsLog(run.metrics), watching],
        peft_config=lora,
    )
    attach(trainer)
    for line in trainer.not_shared:
        console.print(line, style="yellow")
    # A checkpoint holds what is trained, all weights or an adapter, and two moments of it.
    trained = sum(p.numel() * p.element_size() for p in trainer.model.parameters() if p.requires_grad)
    require_space(run.checkpoints, trained, trained)
    trainer.remove_callback(PrinterCallback)  # it prints every figure of every step; RichProgress says what matters

    measure = Measure(recipe, run, trainer, testing, console, others)
    before = measure("before") if recipe.evaluation.before else None
    if recordings:
        write_json(run.folder / RECORDINGS, recordings)
    try:
        if checkpoint is not None and reached.global_step >= reached.max_steps:
            # It was stopped between its last step and its summary; the stock trainer would take one step more.
            if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
                raise EngineError(
                    f"{run.folder} has taken its last step already; its weights are those of {checkpoint}, which "
                    "'vantage eval' measures"
                )
            trainer._load_from_checkpoint(str(checkpoint))
            trainer.state = reached
        else:
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    finally:
        watching.close()
        if guests is not None:
            guests.close()
        # Of a run that failed too; with nothing logged yet there is nothing to draw, and what failed is the news.
        if main and run.metrics.exists():
            curves.plot(run.metrics, run.curves, title=run.folder.name)
            guest_curves.plot(run.metrics, run.guests, title=run.folder.name)
    trainer.save_model(str(run.model))
    if main:
        processor.save_pretrained(run.model)
    after = measure("after") if recipe.evaluation.after else None
    drawn = passk.load(run.passk("before"), run.passk("after")) if main else {}
    if drawn:
        passk.draw(drawn, run.passk_curves, title=run.folder.name)

    compared = _compared(run, console) if main and before is not None and after is not None else None

    summary = {
        "name": run.folder.name,
        "method": recipe.method.model_dump(mode="json"),
        "seed": recipe.seed,
        "before": _brief(before),
        "after": _brief(after),
        **({} if compared is None else {"change": _change(compared)}),
        **({"passk": {moment: passk.brief(run) for moment, run in drawn.items()}} if drawn else {}),
        "steps": trainer.state.global_step,
        "seconds": round(time.perf_counter() - begun, 2),
        "peak_memory_mb": _peak_memory(),
    }
    if main:
        write_json(run.summary, summary)
        if drawn:
            console.print(passk.told(drawn), highlight=False, soft_wrap=True)
        if pictures := [str(file) for file in (run.passk_curves, run.guests) if file.exists()]:
            console.print(f"Pictures beside {run.curves.name}: {', '.join(pictures)}", highlight=False, soft_wrap=True)
    trainer.accelerator.wait_for_everyone()
    return summary


def _recordings(guests: Guests, file: Path, resume: bool) -> dict[str, str]:
    """The hashes of recorded answers, which a run keeps; one that goes on wants the same ones.

    Raises:
        ConfigError: a file holds something else now.
    """
    now = {one.name: one.digest for one in guests if isinstance(one, RecordedGuest)}
    then = json.loads(file.read_text(encoding="utf-8")) if resume and file.exists() else now
    for one in guests:
        if isinstance(one, RecordedGuest) and then.get(one.name, one.digest) != one.digest:
            raise ConfigError(
                f"guest {one.name!r}: {one.path} holds something else than when this run began (SHA-256 "
                f"{then[one.name][:12]}..., now {one.digest[:12]}...), so it cannot go on exactly"
            )
    return now


def _samples(
    recipe: Recipe, part: str, processor: Any, window: int | None, completion: int, console: Console
) -> Sequence[Sample]:
    """The samples of one part of the data, every row checked."""
    spec = getattr(recipe.data, part)
    samples = with_resized_size(datasets.load(spec), processor)
    with progress(console, f"check {part} data") as report:
        datasets.check(
            samples,
            processor=processor,
            window=window,
            completion=completion,
            style=recipe.style(),
            mono=recipe.prompt.mono if part == "test" or anchor_columns(recipe.method, samples) else None,
            decode=len(samples) <= DECODED if recipe.data.decode is None else recipe.data.decode,
            progress=report,
        )
    return samples


def _enough(training: Sequence[Sample], args: GRPOConfig) -> None:
    """Refuse a run that would take no step: a generation that is not full is left out by the trainer."""
    asked = args.generation_batch_size // args.num_generations
    if len(training) < asked:
        raise ConfigError(
            f"data.train has {len(training)} rows, but one generation asks {asked} different questions "
            f"({args.generation_batch_size} completions / num_generations {args.num_generations}), so no step could be "
            "taken; give more rows, or lower trainer.per_device_train_batch_size or trainer.steps_per_generation"
        )


def _window(config: Any, args: GRPOConfig) -> int | None:
    """The most tokens of prompt and completion: the model's, or the rollout engine's where that is less."""
    limits = [context_window(config), args.vllm_max_model_length if args.use_vllm else None]
    return min((limit for limit in limits if limit is not None), default=None)


def _lora(settings: dict[str, Any]) -> LoraConfig:
    try:
        return LoraConfig(**settings)
    except TypeError as error:
        raise ConfigError(f"model.lora: {error}") from error


def _brief(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """What a summary keeps of an evaluation; shares in 0..1."""
    if evaluation is None:
        return None
    return {
        "fused": evaluation.fused.value,
        "sources": {name: share.value for name, share in evaluation.sources.items()},
        "either": evaluation.either.value,
        "format": evaluation.format.value,
        "reward": evaluation.reward,
        "miou": evaluation.miou,
        "n": evaluation.n,
        "fused_interval": [evaluation.fused.low, evaluation.fused.high],
    }


def _compared(run: Run, console: Console) -> paired.Comparison | None:
    """What training changed, question by question; ``None`` where answers were taken away, which is told."""
    try:
        found = paired.compare(*([kept.load(run.evaluation(moment))] for moment in ("before", "after")))
    except DataError as error:
        console.print(f"before and after are not compared: {error}", style="yellow", markup=False, soft_wrap=True)
        return None
    found.save(run.change)
    return found


def _change(found: paired.Comparison) -> dict[str, Any]:
    """What a summary keeps of a comparison: the figure that is tested, as a difference of shares."""
    one = found.differences[found.test.figure].difference
    return {
        "value": one.value,
        "interval": [one.low, one.high],
        "p": found.test.p,
        "detected": found.test.detected,
    }


def _peak_memory() -> float:
    """Most memory held at once, in MiB: of the accelerator where there is one, else of the process."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)

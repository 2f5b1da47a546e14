"""Checkpoints that are whole or not there."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import gather_object

from vantage.errors import CheckpointError

if TYPE_CHECKING:
    from accelerate import Accelerator

TRAINER_STATE = "trainer_state.json"
"""The file of a checkpoint that the trainer writes last."""


def complete(folder: Path, processes: int = 1) -> bool:
    """Whether a checkpoint was written to its end.

    The first process writes the trainer's state last; every other one writes its random state on its own time.
    """
    if processes > 1 and not all((folder / f"rng_state_{rank}.pth").exists() for rank in range(processes)):
        return False
    try:
        state = json.loads((folder / TRAINER_STATE).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and isinstance(state.get("global_step"), int)


def last_complete(folder: Path, processes: int = 1) -> Path | None:
    """The latest checkpoint under ``folder`` that was written to its end; one cut short is passed over."""
    found = [p for p in folder.glob("checkpoint-*") if p.name.split("-")[-1].isdigit() and complete(p, processes)]
    return max(found, key=lambda p: int(p.name.split("-")[-1]), default=None)


@contextmanager
def save_whole(folder: Path, step: int, accelerator: Accelerator) -> Iterator[None]:
    """Save a checkpoint inside; if that fails, remove what was begun and say what is left.

    Raises:
        CheckpointError: the checkpoint could not be written, for example because the disk is full.
    """
    target = folder / f"checkpoint-{step}"
    existed = complete(target)
    try:
        yield
    # Writers name a full disk in their own ways: OSError, RuntimeError (torch), SafetensorError.
    except Exception as error:
        if accelerator.is_main_process and not existed:
            shutil.rmtree(target, ignore_errors=True)
        earlier = last_complete(folder)
        left = f"the last whole one is {earlier}" if earlier else "there is no earlier one"
        free = shutil.disk_usage(folder).free / 2**20 if folder.exists() else 0.0
        raise CheckpointError(
            f"could not write {target} ({free:.0f} MiB free): {error}; what was begun is removed, {left}"
        ) from error


@contextmanager
def kept_on_failure(trainer: Any) -> Iterator[None]:
    """Roll out inside; if that fails, save the state from before, so that a resumed run begins this step anew.

    A reward whose endpoint is gone then costs the step, not the hours before it. Of a distributed run only where every
    process fails (see ``together``): others would wait for one that fails alone.
    """
    before = _random_states()
    trainer.together.stopped = False
    try:
        yield
    except Exception as error:
        step, folder = trainer.state.global_step, Path(trainer.args.output_dir)
        accelerator = trainer.accelerator
        together = accelerator.num_processes == 1 or trainer.together.stopped
        if together and step > 0 and trainer.args.save_strategy != "no":
            there = complete(folder / f"checkpoint-{step}", accelerator.num_processes)
            # All look before any writes, and none ends, which would end the others, before all have written.
            if not all(gather_object([there])):
                _set_random_states(before)
                trainer._save_checkpoint(trainer.model, trial=None)
                accelerator.wait_for_everyone()
            error.add_note(
                f"the state after step {step} is saved in {folder / f'checkpoint-{step}'}; resume from there"
            )
        raise


def _random_states() -> tuple[Any, ...]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    # The library's own checkpoints hold the same four.
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda  # noqa: NPY002


def _set_random_states(states: tuple[Any, ...]) -> None:
    python, numpy, cpu, cuda = states
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(cpu)
    if cuda:
        torch.cuda.set_rng_state_all(cuda)


def require_space(folder: Path, parameter_bytes: int, trainable_bytes: int) -> None:
    """Refuse to start where not even one checkpoint would fit: weights, and two moments of what is trained.

    Raises:
        CheckpointError: states the space needed and the space free.
    """
    need = parameter_bytes + 2 * trainable_bytes
    free = shutil.disk_usage(folder).free
    if free < need:
        raise CheckpointError(
            f"a checkpoint takes about {need / 2**20:.0f} MiB and {folder} has {free / 2**20:.0f} MiB free; make room "
            "or choose another folder before training starts"
        )

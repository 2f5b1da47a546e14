"""Checkpoints that are whole or not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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

"""The tiny guest: the tiny model, taught on without deceptions, so that it knows which source to trust.

It answers as the tiny model does, in the same words and from the same prompt, and is right far more often: a model that
can speak in another one's group.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vantage.tiny.training import Curriculum, Progress, make, shipped

CURRICULUM = Curriculum(steps=300, sight_steps=0, credulous=0.0, learning_rate=1e-3)
"""What the shipped guest is taught, after all that the tiny model was."""


def train_guest(
    output: str | Path,
    curriculum: Curriculum | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = print,
) -> Path:
    """Teach the shipped tiny model on, by honest lessons only, and save it with its processor.

    Args:
        output: folder to write; created if missing.
        curriculum: how much is taught; the shipped guest's settings unless given.
        seed: of the scenes and the order of lessons.
        progress: called about every 50 steps; ``None`` for silence.

    Returns:
        The folder, which ``AutoProcessor`` and ``AutoModelForImageTextToText`` load.
    """
    return make(output, shipped, curriculum or CURRICULUM, seed, progress)

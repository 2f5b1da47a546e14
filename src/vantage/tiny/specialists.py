"""Specialists: the tiny model, taught on in one of the further worlds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vantage.errors import ConfigError
from vantage.tiny.drills import Stage
from vantage.tiny.training import Curriculum, Progress, make, shipped

_LOOK = (Stage(120, 1.0, alone=1.0, find=0.0), Stage(350, 1.0, alone=0.5, find=0.75), Stage(500, 0.6, 0.2, 0.75))
"""First what a cell holds, then where a thing is, then more and more answers."""

CURRICULA = {
    # Easy scenes of the twin teach its words and looks, as a model from the hub knows them; nothing else of it is seen.
    "tiny-counting": Curriculum(
        steps=1_000, sight_steps=200, fresh=24, scenes=(*["counting/balanced"] * 3, "counting-ood/easy"), credulous=0.4,
        places=0.5, drills=_LOOK, muon=0.01,
    ),
    "tiny-transform": Curriculum(
        steps=1_000, sight_steps=150, fresh=24, scenes=("transform/easy", "transform/balanced"), credulous=0.0,
        single=0.0, blind=0.02, places=0.5, recall=1.0, drills=_LOOK, muon=0.01,
    ),
    "tiny-cameras": Curriculum(
        steps=1_000, sight_steps=100, batch=32, fresh=12, pool=5_000, scenes=("cameras/easy", "cameras/balanced"),
        credulous=0.5, single=0.15, places=0.5, drills=_LOOK, muon=0.01,
    ),
    "tiny-pages": Curriculum(
        steps=1_000, sight_steps=150, fresh=16, pool=4_000, scenes=("pages/balanced",), credulous=0.4, single=0.1,
        places=0.5, drills=_LOOK, muon=0.01,
    ),
}  # fmt: skip
"""What each is taught, after all that the tiny model was. All but ``tiny-transform`` ship with Vantage."""


def train_specialist(
    name: str,
    output: str | Path,
    curriculum: Curriculum | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = print,
) -> Path:
    """Teach the shipped tiny model a world, and save it with its processor.

    Args:
        name: one of ``CURRICULA``.
        output: folder to write; created if missing.
        curriculum: how much is taught; the settings of the shipped one of that name unless given.
        seed: of the scenes and the order of lessons.
        progress: called about every 50 steps; ``None`` for silence.

    Returns:
        The folder, which ``AutoProcessor`` and ``AutoModelForImageTextToText`` load.

    Raises:
        ConfigError: there is no such model.
    """
    if name not in CURRICULA:
        raise ConfigError(f"no specialist {name!r}; there are {', '.join(CURRICULA)}")
    return make(output, shipped, curriculum or CURRICULA[name], seed, progress)

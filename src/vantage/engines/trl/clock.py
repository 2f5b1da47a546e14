"""Where the seconds of a step go."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

PHASES = ("rollout", "anchors", "guests", "vision", "reward", "update")
"""What a step consists of; ``vision`` is the vision tower's forward passes, in rollout and update alike; ``guests`` is
waiting for other models once the policy has spoken."""


class Clock:
    """Seconds by phase since they were last taken. Phases are disjoint: what an inner one takes, the outer one loses.

    On an accelerator kernels run behind the program, so every boundary waits for the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []

    def now(self) -> float:
        """Seconds of a steady clock once the device has caught up."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what runs inside towards ``name``."""
        start = self.now()
        self._open.append(name)
        try:
            yield
        finally:
            self._open.pop()
            self.add(name, self.now() - start)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds towards ``name`` and no longer towards the phase around it."""
        self._seconds[name] += seconds
        if self._open:
            self._seconds[self._open[-1]] -= seconds

    def take(self) -> dict[str, float]:
        """The seconds so far, and start again from zero."""
        taken, self._seconds = dict(self._seconds), defaultdict(float)
        return taken


def vision_tower(model: PreTrainedModel) -> nn.Module | None:
    """The module that encodes pictures, or ``None`` where the model has none of a known name."""
    for path in ("visual", "vision_tower", "vision_model", "model.visual", "model.vision_tower", "model.vision_model"):
        module: object = model
        for name in path.split("."):
            module = getattr(module, name, None)
        if isinstance(module, nn.Module):
            return module
    return None


def time_vision(model: PreTrainedModel, clock: Clock) -> None:
    """Count the forward passes of the vision tower towards ``vision``."""
    tower = vision_tower(model)
    if tower is None:
        return
    started: list[float] = []

    def before(*_: object) -> None:
        started.append(clock.now())

    def after(*_: object) -> None:
        if started:
            clock.add("vision", clock.now() - started.pop())

    tower.register_forward_pre_hook(before)
    tower.register_forward_hook(after)

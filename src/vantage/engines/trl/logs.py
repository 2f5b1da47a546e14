"""What a run writes while it works: a line a step, and a line a group."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer import grpo_trainer

from vantage.files import write_lines

RENAMED = {
    "completions/mean_length": "length/mean",
    "completions/min_length": "length/min",
    "completions/max_length": "length/max",
    "completions/clipped_ratio": "length/truncated",
    "clip_ratio/low_mean": "clip/low",
    "clip_ratio/high_mean": "clip/high",
    "clip_ratio/region_mean": "clip/region",
    "learning_rate": "lr",
    "step_time": "time/optimizer",
}
"""TRL's names of the figures that have one of their own in ``metrics.jsonl``."""


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append a JSON line in one write, so that a killed process leaves whole lines and at most one torn one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """JSON has no NaN; a figure that is not one is ``null``. A lone surrogate, which no file can hold, is escaped."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    # Numbers and arrays of NumPy and torch.
    return plain(value.tolist()) if hasattr(value, "tolist") else plain(str(value))


class RolloutLog:
    """Appends groups to ``rollouts.jsonl``."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def write(self, step: int, groups: Sequence[Mapping[str, object]]) -> None:
        """One line a group, in the order of processes and problems."""
        for group in groups:
            append_line(self.path, {"step": step, **plain(group)})


class MetricsLog(TrainerCallback):
    """Appends what the trainer logs at each step to ``metrics.jsonl``."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write one line; the summary that closes a training has no step of its own and is left out."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        named = {RENAMED.get(key, key): value for key, value in logs.items()}
        append_line(self.path, {"step": state.global_step, **plain(named)})


@contextmanager
def unscored_rows_untold() -> Iterator[None]:
    """Keep TRL from printing a whole row, truth and all, for each answer that no reward scored.

    Figures count these answers, and ``rollouts.jsonl`` says of each why.
    """

    def other(record: logging.LogRecord) -> bool:
        return "All reward functions returned None" not in record.getMessage()

    told = logging.getLogger(grpo_trainer.__name__)
    told.addFilter(other)
    try:
        yield
    finally:
        told.removeFilter(other)


def trim(path: Path, step: int) -> int:
    """Drop lines after ``step`` and a torn last line, as a resumed run will write those steps again.

    The file is replaced in one move: at every moment it is the old one or the new one.

    Returns:
        Lines dropped.
    """
    if not path.exists():
        return 0
    kept, dropped = [], 0
    # As bytes: a character may be torn too, and a completion may hold what text takes for the end of a line (U+2028).
    for line in path.read_bytes().split(b"\n"):
        if not line:
            continue
        try:
            record = json.loads(line)
            stands = isinstance(record, dict) and record.get("step", 0) <= step
        except (ValueError, TypeError):
            stands = False
        if stands:
            kept.append(line)
        else:
            dropped += 1
    write_lines(path, kept)
    return dropped

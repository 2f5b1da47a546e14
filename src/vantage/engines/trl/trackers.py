"""What TensorBoard, W&B and Trackio get of a run: the figures of ``metrics.jsonl`` by the same names, and some groups.

TRL's own table (``trainer.log_completions``) holds the rows that train, and goes to two of the three; this one holds
whole groups with their origins and pictures, and goes to all. What a model wrote is code to each of them, never markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback

from vantage.engines.trl.logs import RENAMED
from vantage.errors import PictureError
from vantage.groups import Group
from vantage.printing import printable

TABLE = "rollouts"
GROUPS = 4
"""Groups that are shown at a time."""
TIMES = 10
"""How often in a run, besides its first step."""
HEIGHT = 192
"""Of a picture, in pixels."""
LONGEST = 2000
"""Characters of an answer."""


class SameNames(TrainerCallback):
    """Calls TRL's figures as ``metrics.jsonl`` does before any tracker hears of them."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Rename in place, as trackers are handed the same mapping."""
        for old in [key for key in logs or () if key in RENAMED]:
            assert logs is not None  # noqa: S101  it has the key
            logs[RENAMED[old]] = logs.pop(old)


class RolloutTable(TrainerCallback):
    """Some groups of some steps, with their pictures side by side and every answer with origin and advantage."""

    def __init__(self, trackers: Sequence[Any]) -> None:
        self._trackers = trackers
        self._heard: list[Group] = []

    def hear(self, step: int, groups: Sequence[Group]) -> None:
        """Keep the first groups of a generation."""
        self._heard = list(groups[:GROUPS])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Send them in the first step, and so many times later."""
        step, heard = state.global_step, self._heard
        due = step == 1 or step % max(1, state.max_steps // TIMES) == 0
        if not state.is_world_process_zero or not heard or not due:
            return
        rows = [row(step, group) for group in heard]
        for tracker in self._trackers:
            if isinstance(tracker, TensorBoardCallback):
                _to_tensorboard(tracker.tb_writer, step, rows)
            else:
                _to_table(tracker._trackio if isinstance(tracker, TrackioCallback) else tracker._wandb, rows)


def attach(trainer: Trainer) -> None:
    """Give the trackers that a trainer reports to the figures by our names, and groups."""
    handler = trainer.callback_handler
    kinds = (TensorBoardCallback, TrackioCallback, WandbCallback)
    trackers = [each for each in handler.callbacks if isinstance(each, kinds)]
    handler.callbacks.insert(0, SameNames())
    if trackers:
        table = RolloutTable(trackers)
        trainer.add_callback(table)
        trainer.group_watchers.append(table.hear)  # type: ignore[attr-defined]  # of VantageTrainer


def row(step: int, group: Group) -> dict[str, Any]:
    """A group as a line of a table; ``picture`` is an image, or ``None`` where a source cannot be read."""
    return {
        "step": step,
        "id": printable(group.sample.id),
        "question": as_code(group.sample.question),
        "truth": as_code(str(group.sample.truth)),
        "answers": as_code("\n".join(_line(member) for member in group.members)),
        "picture": _side_by_side(group),
    }


def as_code(text: str) -> str:
    """A text that Markdown shows as it is, whatever it holds: every line is indented."""
    return "\n".join(f"    {line}" for line in printable(text, keep="\n").split("\n"))


def _line(member: Any) -> str:
    reward = "no reward" if member.reward is None else f"reward {member.reward:g}"
    advantage = "" if member.advantage is None else f", advantage {member.advantage:+.2f}"
    text = member.text if len(member.text) <= LONGEST else f"{member.text[:LONGEST]} [{len(member.text):,} characters]"
    return f"{member.origin}: {reward}{advantage}{'' if member.trained else ', not trained'}: {text}"


def _side_by_side(group: Group) -> Image.Image | None:
    try:
        pictures = [group.sample.picture(name) for name in group.sample.sources]
    except PictureError:
        return None  # training has read it, so that it has gone since; the next step says so
    scaled = []
    for picture in pictures:
        way = Image.Resampling.NEAREST if picture.height < HEIGHT else Image.Resampling.LANCZOS
        width = min(4 * HEIGHT, max(1, round(picture.width * HEIGHT / picture.height)))
        scaled.append(picture.resize((width, HEIGHT), way))
    page = Image.new("RGB", (sum(each.width + 4 for each in scaled) - 4, HEIGHT), "white")
    left = 0
    for each in scaled:
        page.paste(each, (left, 0))
        left += each.width + 4
    return page


def _to_tensorboard(writer: Any, step: int, rows: Sequence[dict[str, Any]]) -> None:
    if writer is None:
        return
    for place, each in enumerate(rows, start=1):
        text = "\n\n".join([f"`{each['id']}`".replace("\n", " "), each["question"], each["truth"], each["answers"]])
        writer.add_text(f"{TABLE}/{place}", text, step)
        if each["picture"] is not None:
            writer.add_image(f"{TABLE}/{place}", np.asarray(each["picture"]), step, dataformats="HWC")


def _to_table(backend: Any, rows: Sequence[dict[str, Any]]) -> None:
    """W&B's and Trackio's tables are made alike."""
    if backend is None:
        return
    # One picture a cell, no list of them: W&B then knows the column as one of pictures.
    made = [{**each, "picture": None if each["picture"] is None else backend.Image(each["picture"])} for each in rows]
    backend.log({TABLE: backend.Table(dataframe=pd.DataFrame(made))})

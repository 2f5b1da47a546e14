"""What a person sees while a run works."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import Progress
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from vantage.progress import bar


class RichProgress(TrainerCallback):
    """A bar over the steps and, beside it, the figures of the last one; a line every tenth of the way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Show the bar."""
        if not state.is_world_process_zero:
            return
        self._bar = bar(self._console)
        self._task = self._bar.add_task("train", total=state.max_steps, completed=state.global_step, note="")
        self._bar.start()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say how the step went."""
        if self._bar is None or not logs or "reward" not in logs:
            return
        self._bar.update(self._task, completed=state.global_step, note=f"reward {logs['reward']:.2f}")
        tenth = max(1, state.max_steps // 10)
        if state.global_step % tenth == 0 or state.global_step == 1:
            self._bar.print(f"step {state.global_step:>4}  {describe(logs)}", highlight=False, soft_wrap=True)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the bar as it stands."""
        self.close()

    def close(self) -> None:
        """Give the terminal back, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def describe(logs: dict[str, Any]) -> str:
    """The figures of a step in words: reward, accuracy, what the second source and guests brought, silent groups."""
    parts = [f"reward {logs['reward']:.2f}"]
    if logs.get("accuracy") is not None:
        parts.append(f"right {100 * logs['accuracy']:3.0f} %")
    if logs.get("gain") is not None:
        parts.append(f"gain of fusion {round(logs['gain'], 2) + 0.0:+.2f}")
    if logs.get("groups/silent") is not None:
        parts.append(f"silent groups {100 * logs['groups/silent']:3.0f} %")
    if logs.get("guests/kept") is not None:
        missing = logs.get("guests/missing") or 0.0
        # A few of very many are some all the same.
        told = f", {max(1, round(100 * missing))} % missing" if missing else ""
        parts.append(f"guests {100 * logs['guests/kept']:.0f} % of kept{told}")
    return "  ".join(parts)

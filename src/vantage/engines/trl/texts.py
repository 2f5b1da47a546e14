"""Texts that the policy did not sample, in its tokens."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from vantage.guests import Refusal, end_of_turn, represent
from vantage.models import placeholder_ids

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer


class Texts:
    """Makes answers of the policy of what others wrote.

    Args:
        trainer: whose policy; it may still be under construction.
    """

    def __init__(self, trainer: VantageTrainer) -> None:
        self._trainer = trainer

    def ids(self, text: str) -> list[int] | Refusal:
        """The tokens of a text, with the one that ends the policy's answers, or why it has none."""
        trainer = self._trainer
        return represent(text, trainer._tokenizer, self._banned, trainer.max_completion_length, self._end)

    @cached_property
    def _banned(self) -> frozenset[int]:
        return frozenset(placeholder_ids(self._trainer.model.config, self._trainer._tokenizer))

    @cached_property
    def _end(self) -> int:
        return end_of_turn(self._trainer.processing_class, self._trainer._end_tokens())

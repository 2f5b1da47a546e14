"""Rest: a guest that gives nothing, generation after generation, is left alone for a while."""

from __future__ import annotations

from collections.abc import Sequence

from vantage.guests.base import Refusal, Utterance

FAILURES = ("late", "failed")
"""Kinds of refusals after which a guest rests; answers that came and cannot be used are no reason to."""
PATIENCE = 2
"""Generations in a row without any answer, after which it rests."""
EVERY = 10
"""Of a guest that rests, one generation in so many is asked all the same."""


class Rest:
    """Whether one guest is asked; a circuit breaker, so that a dead server costs no step its whole wait.

    Attributes:
        instead: what stands in its places while it is not asked; ``None`` while it does not rest.
    """

    def __init__(self) -> None:
        self.instead: Refusal | None = None
        self._empty = self._skipped = 0

    def skips(self) -> bool:
        """Whether the generation that begins now goes by without it."""
        if self.instead is None:
            return False
        self._skipped = (self._skipped + 1) % EVERY
        return self._skipped != 0

    def heard(self, answers: Sequence[Utterance | Refusal], whole: bool) -> str | None:
        """Take note of a generation that it was asked in.

        Args:
            answers: to all questions.
            whole: whether it had all the time that it may have; if not, being late is not held against it.

        Returns:
            What is to be told: that it rests from now on, or that it is back.
        """
        said = [one.kind if isinstance(one, Refusal) else "" for one in answers]
        if not answers or (not whole and "late" in said and set(said) <= set(FAILURES)):
            return None
        if not set(said) <= set(FAILURES):
            back, self.instead, self._empty = self.instead is not None, None, 0
            return "it answers again and is asked in every generation" if back else None
        self._empty += 1
        if self._empty < PATIENCE or self.instead is not None:
            return None
        kind = "late" if "late" in said else "failed"
        last = next(one for one in answers if isinstance(one, Refusal) and one.kind == kind)
        why = last.reason.partition(": ")[2]
        self.instead = Refusal(f"{kind}: it rests" + (f" ({why})" if why else ""))
        return (
            f"no answer in {PATIENCE} generations in a row, so it rests: only every {EVERY}th generation asks it from "
            f"now on, and its places in the others are counted as {kind}" + (f"; the last: {why}" if why else "")
        )

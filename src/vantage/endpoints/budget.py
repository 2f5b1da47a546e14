"""What was spent, and whether one more request may be sent.

The most that a request can cost is set aside before it is sent and given back when its real cost is known, so that
requests under way at once cannot exceed a limit together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from vantage.endpoints.settings import Budget
from vantage.errors import BudgetError


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Ledger:
    """The books of one endpoint; used on one event loop.

    Attributes:
        calls: requests sent.
        prompt_tokens, completion_tokens: as servers counted them, or the most that it can have been where they did not.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.calls = self.prompt_tokens = self.completion_tokens = 0
        self.move()

    def move(self) -> None:
        """Start on another event loop, where nothing is under way."""
        self._set_aside: list[Usage] = []
        self._settled = asyncio.Event()

    @property
    def cost(self) -> float:
        """Money spent."""
        return self.budget.price(self.prompt_tokens, self.completion_tokens)

    async def reserve(self, most: Usage) -> Usage:
        """Set the most that a request can use aside; waits while others that are under way may give some back.

        Raises:
            BudgetError: even if they cost nothing, this request could exceed a limit; says what was spent.
        """
        while True:
            if (fault := self._exceeded([most])) is not None:
                raise BudgetError(self._spent(fault, most))
            if self._exceeded([*self._set_aside, most]) is None:
                break
            await self._settled.wait()
        self.calls += 1
        self._set_aside.append(most)
        return most

    def settle(self, reserved: Usage, used: Usage) -> None:
        """Write down what a request used and free what was set aside for it."""
        self._set_aside.remove(reserved)
        self.prompt_tokens += used.prompt_tokens
        self.completion_tokens += used.completion_tokens
        self._settled.set()
        self._settled = asyncio.Event()

    def _exceeded(self, more: list[Usage]) -> str | None:
        """The limit that would be exceeded, in words."""
        budget = self.budget
        if budget.calls is not None and self.calls >= budget.calls:
            return f"{budget.calls} calls"
        if not budget.counts_tokens:
            return None
        prompt = self.prompt_tokens + sum(usage.prompt_tokens for usage in more)
        completion = self.completion_tokens + sum(usage.completion_tokens for usage in more)
        if budget.tokens is not None and prompt + completion > budget.tokens:
            return f"{budget.tokens} tokens"
        if budget.cost is not None and budget.price(prompt, completion) > budget.cost:
            return f"a cost of {budget.cost:g}"
        return None

    def _spent(self, fault: str, most: Usage) -> str:
        tokens = f"{self.prompt_tokens} + {self.completion_tokens} tokens"
        text = f"the budget of {fault} is spent: {self.calls} calls, {tokens}"
        if self.budget.price_in is not None or self.budget.price_out is not None:
            text += f", a cost of {self.cost:.6g}"
        if self.budget.counts_tokens:
            text += f"; one more call could take up to {most.prompt_tokens} + {most.completion_tokens} tokens"
        return text

"""Many questions at once, in order, where a failure is a value and a spent budget loses nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from vantage.endpoints.replies import Conversation, Reply
from vantage.errors import BudgetError, EndpointError


async def ask_all(
    ask: Callable[[Conversation, int], Awaitable[Reply]],
    width: int,
    conversations: Sequence[Conversation],
    samples: Sequence[int] | None,
    progress: Callable[[int, int], None] | None,
) -> list[Reply | EndpointError]:
    """Ask many questions; as ``Endpoint.ask_many``.

    Args:
        ask: asks one, of a conversation and the number of its sample.
        width: questions under way at once, at most.
        conversations: the questions.
        samples: a number for each, or ``None``.
        progress: told how many of how many are done.

    Raises:
        BudgetError: with what came in ``replies``.
    """
    replies: list[Reply | EndpointError | None] = [None] * len(conversations)
    numbers = _numbered(conversations) if samples is None else samples
    todo = enumerate(zip(conversations, numbers, strict=True))
    fault: list[Exception] = []
    done = 0

    async def work() -> None:
        nonlocal done
        for place, (messages, sample) in todo:
            try:
                try:
                    replies[place] = await ask(messages, sample)
                except EndpointError as error:
                    replies[place] = error
                done += 1
                if progress is not None:
                    progress(done, len(replies))
            except Exception as error:  # noqa: BLE001 - raised below, when the others have ended what they are at
                fault.append(error)
            if fault:
                return

    await asyncio.gather(*(work() for _ in range(min(width, len(replies)))))
    if fault:
        if isinstance(fault[0], BudgetError):
            fault[0].replies = tuple(replies)
        raise fault[0]
    return [reply for reply in replies if reply is not None]


def _numbered(conversations: Sequence[Conversation]) -> list[int]:
    """For each conversation, how many equal ones stand before it."""
    seen: Counter[str] = Counter()
    numbers = []
    for messages in conversations:
        text = repr(messages)
        numbers.append(seen[text])
        seen[text] += 1
    return numbers

"""How long to wait before asking again."""

from __future__ import annotations

import email.utils
import random
import time

LONGEST = 30.0
"""Seconds of our own waiting, at most."""
LONGEST_ASKED = 120.0
"""Seconds that a server may make us wait, at most."""


def wait(attempt: int, first: float, key: str, asked: float | None = None) -> float:
    """Seconds before the next try: ``first``, doubled with each, less up to a half at random; or what the server asked.

    Args:
        attempt: tries that failed before this one.
        first: seconds before the first retry.
        key: draws the random part, so that it depends on the request alone; spreads those that failed together.
        asked: seconds that the server asked for.
    """
    own = min(LONGEST, first * 2.0 ** min(attempt, 30))
    part = random.Random(f"{key}:{attempt}").random()
    if asked is None:
        return own * (0.5 + 0.5 * part)
    return min(asked, LONGEST_ASKED) + first * 0.5 * part


def retry_after(header: str | None, now: float | None = None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: a number or an HTTP date; ``None`` where it says neither."""
    if header is None or len(header) > 100:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            then = email.utils.parsedate_to_datetime(header).timestamp()
        except (ValueError, TypeError, IndexError, OverflowError, OSError):
            return None
        seconds = then - (time.time() if now is None else now)
    # Not a number compares false with everything.
    return max(0.0, seconds) if seconds < float("inf") else None

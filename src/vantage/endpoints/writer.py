"""Replies that come in the same instant are written down together: a transaction costs about as much as a reply."""

from __future__ import annotations

import asyncio
from typing import Any

from vantage.endpoints.cache import Cache


class Writer:
    """Writes to a cache; used on one event loop.

    Args:
        cache: where to.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._waiting: list[tuple[tuple[str, dict[str, Any], str], asyncio.Future[dict[str, Any]]]] = []

    async def put(self, key: str, reply: dict[str, Any], model: str) -> dict[str, Any]:
        """As ``Cache.put``; when it returns, a reply is kept. It is kept too where nobody waits any more.

        Raises:
            CacheError: it, and all that came with it, cannot be kept.
        """
        here = asyncio.get_running_loop()
        if not self._waiting:
            here.call_soon(self._write)
        written = here.create_future()
        self._waiting.append(((key, reply, model), written))
        return await written

    def _write(self) -> None:
        replies, waiting = zip(*self._waiting, strict=True)
        self._waiting.clear()
        try:
            kept = list(zip(waiting, self._cache.put_many(replies), strict=True))
        except Exception as fault:  # noqa: BLE001 - raised where it is waited for
            for written in waiting:
                if not written.done():
                    written.set_exception(fault)
            return
        for written, reply in kept:
            if not written.done():
                written.set_result(reply)

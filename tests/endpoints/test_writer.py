"""Replies that come together are written together; whoever waits knows that his is on disk, or why not."""

import asyncio

import pytest

from vantage.endpoints import CacheError
from vantage.endpoints.cache import Cache
from vantage.endpoints.writer import Writer


class Counted(Cache):
    transactions = 0

    def put_many(self, replies):
        self.transactions += 1
        return super().put_many(replies)


def test_what_comes_in_one_instant_is_one_transaction_and_is_there_when_put_returns(tmp_path):
    cache = Counted(tmp_path / "c")
    writer = Writer(cache)

    async def put(i):
        await writer.put(f"key {i}", {"text": str(i)}, "m")
        assert Cache(tmp_path / "c").get(f"key {i}") == {"text": str(i)}, "another reader sees it"

    async def run():
        await asyncio.gather(*(put(i) for i in range(20)))
        assert cache.transactions == 1
        await put(20)
        assert cache.transactions == 2

    asyncio.run(run())
    assert len(cache) == 21


def test_a_reply_that_nobody_waits_for_any_more_is_kept_with_the_others(tmp_path):
    cache = Cache(tmp_path / "c")
    writer = Writer(cache)

    async def run():
        left, other = (asyncio.create_task(writer.put(key, {"text": key}, "m")) for key in "ab")
        await asyncio.sleep(0)
        left.cancel()
        await other

    asyncio.run(run())
    assert cache.get("a") == {"text": "a"} and cache.get("b") == {"text": "b"}


def test_every_one_who_waits_learns_that_nothing_could_be_written(tmp_path):
    (tmp_path / "c").write_text("no database" * 1000)
    writer = Writer(Cache(tmp_path / "c"))

    async def run():
        return await asyncio.gather(*(writer.put(key, {}, "m") for key in "abc"), return_exceptions=True)

    faults = asyncio.run(run())
    assert len(faults) == 3 and all(isinstance(fault, CacheError) for fault in faults)


def test_a_transaction_keeps_all_or_nothing(tmp_path):
    cache = Cache(tmp_path / "c")
    with pytest.raises(ValueError, match="JSON"):
        cache.put_many([("a", {"text": "a"}, "m"), ("b", {"cost": float("nan")}, "m")])
    assert len(cache) == 0

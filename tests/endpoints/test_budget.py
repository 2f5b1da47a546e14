"""What may be spent is never exceeded, and what was paid for is kept."""

import pytest

from endpoints.server import Server, at, says
from vantage.errors import BudgetError


def test_calls_never_exceed_their_budget_and_what_came_is_kept(tmp_path):
    with Server(lambda n, b: ("slow", 0.01 * (n % 3))) as server:
        settings = {"budget": {"calls": 25}, "concurrency": 16, "cache": tmp_path / "c"}
        with at(server, **settings) as endpoint:
            with pytest.raises(BudgetError, match="25 calls") as caught:
                endpoint.ask_many_sync([says(f"{i}") for i in range(100)])
            assert len(server.requests) == len(server.paid) == endpoint.stats.calls == 25
            assert sum(reply is not None for reply in caught.value.replies) == 25
        # The next run pays for nothing that the first has paid for.
        with at(server, **settings | {"budget": {"calls": 75}}) as endpoint:
            replies = endpoint.ask_many_sync([says(f"{i}") for i in range(100)])
            assert [reply.text for reply in replies] == [f"{i}" for i in range(100)]
        assert len(server.paid) == len(set(server.paid)) == 100
        with at(server, **settings | {"budget": {"calls": 0}}) as endpoint:
            assert all(reply.cached for reply in endpoint.ask_many_sync([says(f"{i}") for i in range(100)]))


def test_retries_count_against_the_budget():
    with Server(lambda n, b: ("status", 500)) as server, at(server, budget={"calls": 2}, retries=5) as endpoint:
        with pytest.raises(BudgetError, match=r"2 calls is spent.*the last try: status 500"):
            endpoint.ask_sync(says("a"))
        assert len(server.requests) == 2


@pytest.mark.parametrize("limit", [{"tokens": 3000}, {"cost": 0.006, "price_in": 1.0, "price_out": 4.0}])
def test_tokens_and_money_never_exceed_their_budget(limit):
    """The server uses as many tokens as it may; the bound is added up by hand."""
    usage = {"prompt_tokens": 20, "completion_tokens": 100}
    with (
        Server(latency=0.005, usage=usage) as server,
        at(server, budget=limit, max_tokens=100, concurrency=16) as endpoint,
    ):
        with pytest.raises(BudgetError, match=r"is spent.*one more call could take up to"):
            endpoint.ask_many_sync([says(f"{i}") for i in range(200)])
        calls = len(server.paid)
        assert calls == endpoint.stats.calls
        if "tokens" in limit:
            assert 2700 <= 120 * calls <= 3000
        else:
            cost = calls * (20 * 1.0 + 100 * 4.0) / 1e6
            assert 0.005 <= cost <= 0.006 and endpoint.stats.cost == pytest.approx(cost)

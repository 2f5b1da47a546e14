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


def test_the_other_name_of_the_longest_reply_is_reckoned_with():
    """Each reply may take 10,000 tokens, so that of 25,000 only two may be under way together."""
    usage = {"prompt_tokens": 10, "completion_tokens": 9000}
    with (
        Server(usage=usage, latency=0.01) as server,
        at(server, max_tokens=50, extra={"max_completion_tokens": 10_000}, budget={"tokens": 25_000}) as endpoint,
    ):
        with pytest.raises(BudgetError, match=r"could take up to \d+ \+ 10000 tokens"):
            endpoint.ask_many_sync([says(f"{i}") for i in range(8)])
        assert endpoint.stats.completion_tokens == 9000 * len(server.paid) == 18_000


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 7}, (7, 100)),
        ({"prompt_tokens": 7, "completion_tokens": -3}, (7, 100)),
        ({"prompt_tokens": "7", "completion_tokens": 4}, (37, 4)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (37, 100)),
        ({"prompt_tokens": 7, "completion_tokens": 4}, (7, 4)),
    ],
    ids=str,
)
def test_a_count_that_is_not_told_is_the_most_that_it_can_be(usage, counted):
    """A prompt of 37: a byte of role and of content each, and 16 for the markup of a message and of the whole."""
    with Server(usage=usage) as server, at(server, max_tokens=100, budget={"tokens": 10_000}) as endpoint:
        endpoint.ask_sync(says("a"))
        assert (endpoint.stats.prompt_tokens, endpoint.stats.completion_tokens) == counted


def test_a_check_that_greets_is_paid_for():
    with Server() as server:
        with at(server, model="hidden", budget={"calls": 1}) as endpoint:
            endpoint.check()
            assert (endpoint.stats.calls, endpoint.stats.prompt_tokens) == (1, 10)
            with pytest.raises(BudgetError, match="1 calls is spent"):
                endpoint.check()
        with at(server, budget={"calls": 0}) as listed:
            listed.check()
        assert len(server.requests) == 1

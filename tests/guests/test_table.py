"""Guests are asked together, waited for only so long, and never stop a step."""

import asyncio
import contextlib
import logging
import threading
import time

import pytest

from scripted import sample
from vantage.errors import BudgetError, ConfigError, EndpointError
from vantage.groups import guest as origin
from vantage.guests import Guest, Guests, Refusal, Utterance
from vantage.samples import PromptStyle

STYLE = PromptStyle()
SAMPLES = [sample("a", "rgb"), sample("b", "rgb")]


class Scripted(Guest):
    """Does what a function tells it; remembers what it was asked."""

    def __init__(self, name, what, n=1):
        super().__init__(name, n)
        self.what, self.asked, self.ended = what, [], []

    async def ask(self, sample, style, turn):
        self.asked.append((sample.id, turn))
        try:
            found = self.what(sample, turn)
            return await found if asyncio.iscoroutine(found) else found
        finally:
            self.ended.append(sample.id)


def says(name, n=1):
    return Scripted(name, lambda s, turn: [Utterance(f"{name} {s.id} {turn} {i}", name) for i in range(n)], n)


def fails(error, name="g"):
    def what(sample, turn):
        raise error

    return Scripted(name, what)


def asked(guests, turns=(0, 0), wait=5.0):
    return Guests(guests, wait).start(SAMPLES, STYLE, turns).collect()


def texts(rows):
    return [[said.text if isinstance(said, Utterance) else said.kind for said in row] for row in rows]


def test_answers_stand_by_sample_and_column():
    table = Guests([says("one"), says("two", 2)])
    assert table.columns == (origin("one"), origin("two"), origin("two"))
    found = table.start(SAMPLES, STYLE, [0, 7]).collect()
    assert texts(found) == [
        ["one a 0 0", "two a 0 0", "two a 0 1"],
        ["one b 7 0", "two b 7 0", "two b 7 1"],
    ]


def test_nobody_is_waited_for_at_the_start():
    gate = threading.Event()

    async def when_open(sample, turn):
        await asyncio.to_thread(gate.wait, 5)
        return [Utterance("open", "g")]

    start = time.perf_counter()
    under_way = Guests([Scripted("g", when_open)], 5).start(SAMPLES, STYLE, [0, 0])
    assert time.perf_counter() - start < 1
    gate.set()
    assert texts(under_way.collect()) == [["open"], ["open"]]


def test_who_is_late_leaves_its_places_empty_and_the_others_in_peace():
    async def later(sample, turn):
        await asyncio.sleep(30 if sample.id == "b" else 0)
        return [Utterance("slow", "slow")] * 2

    slow = Scripted("slow", later, 2)
    start = time.perf_counter()
    found = asked([says("one"), slow], wait=0.3)
    assert 0.3 <= time.perf_counter() - start < 3
    assert texts(found) == [["one a 0 0", "slow", "slow"], ["one b 0 0", "late", "late"]]
    for _ in range(100):
        if len(slow.ended) == 2:
            break
        time.sleep(0.02)
    assert sorted(slow.ended) == ["a", "b"]  # what was late was stopped


def test_the_clock_of_the_wait_starts_when_the_policy_has_spoken():
    async def soon(sample, turn):
        await asyncio.sleep(0.4)
        return [Utterance("there", "g")]

    under_way = Guests([Scripted("g", soon)], 0.2).start(SAMPLES, STYLE, [0, 0])
    time.sleep(0.6)  # the policy speaks
    assert texts(under_way.collect()) == [["there"], ["there"]]


def test_an_answer_that_comes_after_the_wait_is_not_counted_any_more():
    gate = asyncio.Event()
    stubborn_said = threading.Event()

    async def stubborn(sample, turn):
        with contextlib.suppress(asyncio.CancelledError):  # goes on all the same
            await gate.wait()
        stubborn_said.set()
        return [Utterance("at last", "g")]

    under_way = Guests([Scripted("g", stubborn)], 0.1).start(SAMPLES[:1], STYLE, [0])
    first = under_way.collect()
    assert texts(first) == [["late"]]
    assert stubborn_said.wait(5)
    time.sleep(0.05)
    assert under_way.collect() == first  # asked twice, the same


def test_a_guest_that_holds_up_the_loop_holds_up_no_step():
    def blocks(sample, turn):
        time.sleep(0.4)
        return [Utterance("x", "g")]

    start = time.perf_counter()
    assert texts(asked([Scripted("g", blocks)], wait=0.1)) == [["late"], ["late"]]
    assert time.perf_counter() - start < 0.35
    time.sleep(0.8)  # the loop is the endpoints' of all tests


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EndpointError("down"), "failed: down"),
        (BudgetError("10 calls are spent"), "budget: 10 calls are spent"),
        (KeyError("x"), "failed: KeyError: 'x'"),
        (RecursionError("deep"), "failed: RecursionError: deep"),
    ],
)
def test_a_failure_is_a_reason(error, reason):
    assert asked([fails(error), says("two")])[0] == [Refusal(reason), Utterance("two a 0 0", "two")]


def test_a_failure_in_one_place_leaves_the_others():
    def what(sample, turn):
        return [Utterance("x", "g"), EndpointError("no")]

    assert asked([Scripted("g", what, 2)])[0] == [Utterance("x", "g"), Refusal("failed: no")]


@pytest.mark.parametrize(
    ("came", "shown"),
    [
        ([None], "NoneType"),
        (["a text"], "str came"),
        ([Utterance(None, "g")], "NoneType"),
        ([Utterance(b"x", "g")], "bytes"),
        ([Utterance("a\ud83d", "g")], "surrogates"),
        (None, "NoneType"),
        ([], "0 answers"),
        ([Utterance("x", "g")] * 3, "3 answers"),
    ],
)
def test_what_is_no_answer_is_refused(came, shown):
    (said,) = asked([Scripted("g", lambda s, turn: came)])[0]
    assert said.kind == "failed" and shown in said.reason


def test_an_answer_that_was_cut_is_no_answer():
    cut = Scripted("g", lambda s, turn: [Utterance("<think> A1", "g", finished=False)])
    assert texts(asked([cut])) == [["cut"], ["cut"]]


def test_a_long_error_is_shortened():
    (said,) = asked([fails(EndpointError("x" * 10**6))])[0]
    assert len(said.reason) < 300


def test_a_reason_commands_no_terminal(caplog):
    (said,) = asked([fails(EndpointError("gone \x1b[2J\x1b]0;title\x07 now"))])[0]
    assert said.reason == r"failed: gone \x1b[2J\x1b]0;title\x07 now"
    assert "\x1b" not in caplog.text and "gone" in caplog.text


def test_each_kind_of_failure_is_told_once_a_guest(caplog):
    table = Guests([fails(EndpointError("down"), "one"), fails(EndpointError("down"), "two")], 5)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            table.start(SAMPLES, STYLE, [0, 0]).collect()
    told = [record.getMessage() for record in caplog.records if "leaves a place empty" in record.getMessage()]
    assert [text.partition(" leaves")[0] for text in told] == ["guest 'one'", "guest 'two'"]
    assert all(text.endswith("(guests/missing/failed): down") for text in told)


def test_no_guests_is_no_wait():
    start = time.perf_counter()
    assert asked([], wait=60) == [[], []]
    assert time.perf_counter() - start < 1


def test_turns_belong_to_samples():
    with pytest.raises(ValueError, match="shorter"):
        Guests([says("one")]).start(SAMPLES, STYLE, [0])


@pytest.mark.parametrize(
    ("guests", "wait", "message"),
    [
        ([says("one"), says("one")], 1, "two guests are called 'one'"),
        ([], float("inf"), "guests.wait"),
        ([], float("nan"), "guests.wait"),
        ([], -1, "guests.wait"),
    ],
)
def test_a_table_that_cannot_be_is_refused(guests, wait, message):
    with pytest.raises(ConfigError, match=message):
        Guests(guests, wait)


def test_a_guest_that_must_hear_the_policy_first_cannot_be_asked():
    late = says("one")
    late.needs_group = True
    with pytest.raises(ConfigError, match="hear the policy first"):
        Guests([late])


@pytest.mark.parametrize(("name", "n"), [("", 1), (" ", 1), ("g", 0)])
def test_a_guest_without_a_name_or_answers_is_refused(name, n):
    with pytest.raises(ConfigError):
        says(name, n)


def test_a_check_that_fails_names_the_guest():
    class Broken(Scripted):
        def check(self, samples):
            raise EndpointError("no such model")

    with pytest.raises(EndpointError, match="no such model") as caught:
        Guests([says("one"), Broken("two", None)]).check(SAMPLES)
    assert any("'two'" in note for note in caught.value.__notes__)


def test_who_is_late_says_what_is_known_of_it(caplog):
    """The server says 500 and 429 to every try; the retries are what takes so long."""

    async def later(sample, turn):
        await asyncio.sleep(30)

    slow = Scripted("slow", later)
    slow.trouble = lambda: "status 500: CUDA out of memory"
    (said,) = asked([slow], wait=0.1)[0]
    assert said.kind == "late" and "0.1 seconds" in said.reason and "CUDA out of memory" in said.reason
    assert "CUDA out of memory" in caplog.text


def test_what_an_end_cuts_short_is_not_told(caplog):
    gate = threading.Event()

    async def cut(sample, turn):
        await asyncio.to_thread(gate.wait, 5)
        return [Utterance("<think>", "g", finished=False)]

    guest = Scripted("g", cut)
    table = Guests([guest], 5)
    table.start(SAMPLES, STYLE, [0, 0])
    while len(guest.asked) < 2:
        time.sleep(0.01)
    table.close()
    gate.set()
    while len(guest.ended) < 2:  # nothing is left under way
        time.sleep(0.01)
    time.sleep(0.05)
    assert not caplog.records and not table._tasks

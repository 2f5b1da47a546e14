"""A guest that gives nothing is left alone for a while, and comes back by itself."""

import asyncio
import logging

import pytest

from scripted import sample
from vantage.errors import BudgetError, EndpointError
from vantage.guests import Guest, Guests, Refusal, Utterance
from vantage.guests.recorded import Line, RecordedGuest
from vantage.guests.rest import Rest
from vantage.samples import PromptStyle

SAMPLES = [sample("a", "rgb"), sample("b", "rgb")]
WELL = Utterance("x", "g")
DOWN = EndpointError("down")


class Server(Guest):
    """Is up or not; counts its questions."""

    def __init__(self, name="g"):
        super().__init__(name)
        self.found, self.asked = DOWN, 0

    async def ask(self, sample, style, turn):
        self.asked += 1
        if isinstance(self.found, float):
            await asyncio.sleep(self.found)
        return [self.found]


def go(guests, times, seconds=None):
    """So many generations; the words in the first guest's places, one a generation."""
    rows = [guests.start(SAMPLES, PromptStyle(), [0, 0]).collect(seconds) for _ in range(times)]
    return [[said.kind if isinstance(said, Refusal) else "well" for (said, *_) in row] for row in rows]


def test_a_dead_guest_is_asked_in_two_generations_and_then_in_every_tenth(caplog):
    dead = Server()
    guests = Guests([dead], 5)
    with caplog.at_level(logging.WARNING):
        assert go(guests, 22) == [["failed", "failed"]] * 22
    assert dead.asked == 2 * (2 + 2)  # generations 1, 2, 12 and 22, of two questions each
    told = [record.getMessage() for record in caplog.records if "rests" in record.getMessage()]
    assert len(told) == 1 and "counted as failed" in told[0] and "down" in told[0]
    guests.close()


def test_one_that_answers_again_is_back_in_every_generation(caplog):
    server = Server()
    guests = Guests([server], 5)
    go(guests, 2)
    caplog.clear()
    server.found = WELL
    with caplog.at_level(logging.WARNING):
        assert go(guests, 12) == [["failed"] * 2] * 9 + [["well"] * 2] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "guest 'g': it answers again and is asked in every generation"
    ]
    guests.close()


def test_the_others_do_not_rest():
    dead, alive = Server("dead"), Server("alive")
    alive.found = WELL
    guests = Guests([dead, alive], 5)
    go(guests, 8)
    assert (dead.asked, alive.asked) == (4, 16)
    guests.close()


def test_who_is_late_rests_as_late_and_costs_no_further_wait():
    slow = Server()
    slow.found = 30.0
    guests = Guests([slow], 0.1)
    assert go(guests, 6) == [["late", "late"]] * 6
    assert slow.asked == 4
    guests.close()


def test_late_without_the_whole_wait_is_held_against_nobody():
    """The second generation of a step has what the first one left of the wait."""
    slow = Server()
    slow.found = 30.0
    guests = Guests([slow], 0.1)
    go(guests, 4, seconds=0.05)
    assert slow.asked == 8
    guests.close()


FAILED, LATE = Refusal("failed: down"), Refusal("late")


@pytest.mark.parametrize(
    "generations",
    [
        [[FAILED], [WELL], [FAILED]],  # not in a row
        [[FAILED, WELL]] * 3,  # one answer came
        [[Refusal("cut")]] * 3,  # it is there
        [[Refusal("budget: spent")]] * 3,  # which costs no time
        [[]] * 3,
    ],
)
def test_what_is_no_reason_to_rest(generations):
    rest = Rest()
    assert [rest.heard(answers, True) for answers in generations] == [None] * len(generations)
    assert not rest.skips()


def test_late_and_failed_together_are_reason_enough():
    rest = Rest()
    assert rest.heard([FAILED, LATE], True) is None
    assert "counted as late" in rest.heard([LATE, FAILED], True)


def test_a_budget_that_is_spent_is_told_as_it_is():
    spent = Server()
    spent.found = BudgetError("10 calls")
    guests = Guests([spent], 5)
    assert go(guests, 4) == [["budget", "budget"]] * 4
    guests.close()


def test_a_file_is_always_asked(tmp_path):
    """It costs nothing, and a run that goes on has to repeat what it gave."""
    file = tmp_path / "g.jsonl"
    file.write_text(Line(id="else", model="g", text="x").model_dump_json() + "\n")
    guests = Guests([RecordedGuest(file)], 5)
    go(guests, 3)
    file_guest = guests[0]
    file_guest._lines = {row.id: [Line(id=row.id, model="g", number=0, text="x")] for row in SAMPLES}
    assert go(guests, 1) == [["well", "well"]]
    guests.close()

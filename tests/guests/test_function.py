"""Functions as guests."""

import gc
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scripted import sample
from vantage.guests import Guests, Utterance
from vantage.guests.function import FunctionGuest
from vantage.samples import PromptStyle

TESTS = Path(__file__).parents[1]
ROWS = [sample("a", "rgb"), sample("b", "rgb")]


def answers(function, n=1, wait=5.0):
    guests = Guests([FunctionGuest("f", function, n)], wait)
    try:
        return guests.start(ROWS, PromptStyle(), [0, 0]).collect()
    finally:
        guests.close()


def texts(rows):
    return [[said.text if isinstance(said, Utterance) else said.kind for said in row] for row in rows]


def test_a_text_is_an_answer():
    assert texts(answers(lambda row: f"{row.id} {row.truth}")) == [["a yes"], ["b yes"]]


def test_a_list_is_several():
    assert texts(answers(lambda row: [row.id, row.truth], n=2)) == [["a", "yes"], ["b", "yes"]]


@pytest.mark.parametrize("came", ["one", ["one"], ["one"] * 3, 7, None, {"a": 1}, ["one", 2]])
def test_another_number_or_kind_is_refused(came):
    rows = answers(lambda row: came, n=2)
    assert all("failed" in row for row in texts(rows))


def test_fewer_answers_than_wanted_leave_places_empty():
    assert texts(answers(lambda row: "one", n=3)) == [["one", "failed", "failed"]] * 2
    (_, missing), _ = answers(lambda row: ["one"], n=2)
    assert "gave 1 of the n=2 texts" in missing.reason


def test_what_is_not_awaited_is_refused_without_a_warning(recwarn):
    async def f(row):
        return "later"

    assert texts(answers(lambda row: f(row))) == [["failed"], ["failed"]]
    gc.collect()
    assert not recwarn.list


def test_an_error_is_the_guests_own():
    def f(row):
        return {"b": "there"}[row.id]

    assert texts(answers(f)) == [["failed"], ["there"]]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration()])
def test_what_would_end_a_program_ends_one_call(error):
    """It would end the loop on which every guest is waited for."""

    def f(row):
        if row.id == "a":
            raise error
        return "there"

    assert texts(answers(f)) == [["failed"], ["there"]]
    assert texts(answers(lambda row: "later")) == [["later"], ["later"]]


def test_one_that_never_returns_does_not_keep_the_process_alive():
    code = """
import time
from scripted import sample
from vantage.guests import Guests
from vantage.guests.function import FunctionGuest
from vantage.samples import PromptStyle
guests = Guests([FunctionGuest("f", lambda row: time.sleep(600))], 0.1)
print(guests.start([sample("a", "rgb")], PromptStyle(), [0]).collect(), flush=True)
guests.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TESTS, capture_output=True, text=True, timeout=120, check=True
    )
    assert "late" in done.stdout


def test_a_closed_one_calls_nothing_more():
    called, gate = [], threading.Event()

    def f(row):
        called.append(row.id)
        return gate.wait(20) and row.id

    one = FunctionGuest("f", f)
    under_way = Guests([one], 0.3).start(ROWS, PromptStyle(), [0, 0])
    while not called:
        time.sleep(0.01)
    one.close()
    gate.set()
    assert texts(under_way.collect())[0] == ["a"] and called == ["a"]
    assert texts(Guests([one]).start(ROWS, PromptStyle(), [0, 0]).collect()) == [["failed"], ["failed"]]


def test_it_is_called_for_one_sample_after_the_other_beside_the_caller():
    threads, under_way, most = set(), 0, 0

    def f(row):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        threads.add(threading.current_thread())
        time.sleep(0.02)
        under_way -= 1
        return row.id

    assert texts(answers(f)) == [["a"], ["b"]]
    assert most == 1 and threading.main_thread() not in threads


def test_one_that_does_not_return_is_not_waited_for():
    gate = threading.Event()
    start = time.perf_counter()
    assert texts(answers(lambda row: gate.wait(20) and row.id, wait=0.2)) == [["late"], ["late"]]
    assert time.perf_counter() - start < 3
    gate.set()

"""Functions as guests."""

import threading
import time

import pytest

from scripted import sample
from vantage.guests import Guests, Utterance
from vantage.guests.function import FunctionGuest
from vantage.samples import PromptStyle

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


def test_an_error_is_the_guests_own():
    def f(row):
        return {"b": "there"}[row.id]

    assert texts(answers(f)) == [["failed"], ["there"]]


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

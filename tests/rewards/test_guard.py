import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from vantage.errors import ConfigError, EngineError
from vantage.rewards import guard
from vantage.rewards.guard import Guard

TASKS = "guarded:{}".format
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _findable(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture(scope="module")
def pool():
    with Guard(workers=2, seconds=0.4) as pool:
        yield pool


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def gone(pids: set[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(map(psutil.pid_exists, pids)):
        time.sleep(0.02)
    return not any(map(psutil.pid_exists, pids))


def test_values_come_in_the_order_of_the_items(pool):
    found = pool.map(TASKS("add"), [(i, i) for i in range(500)])
    assert [outcome.value for outcome in found] == [2 * i for i in range(500)]
    assert not any(outcome.error or outcome.timed_out for outcome in found)
    assert pool.map(TASKS("add"), []) == []


@pytest.mark.parametrize("text", ["\ud800", "\0", "\u202eabc", "\r\n", "x" * 3_000_000])
def test_any_text_passes(pool, text):
    assert pool.run(TASKS("add"), text, "y").value == text + "y"


def test_items_that_end_badly_end_alone(pool):
    names = ["add", "tower", "nap", "die", "fail", "a_set", "eat", "add"]
    items = [(1, 2), (9,), (60,), (signal.SIGSEGV,), (), (), (64,), (3, 4)]
    # One function a call; the bad ones between two good ones of the same pool.
    found = [pool.run(TASKS(name), *item) for name, item in zip(names, items, strict=True)]
    assert [outcome.value for outcome in found] == [3, *[None] * 6, 7]
    assert [outcome.timed_out for outcome in found] == [False, True, True, *[False] * 5]
    for outcome, words in zip(
        found, ["", "0.4 s", "0.4 s", "SIGSEGV", "KeyError", "JSON", "MemoryError", ""], strict=True
    ):
        assert words in outcome.error and bool(outcome.error) == bool(words)
    assert all(0.4 <= outcome.seconds < 3 for outcome in found[1:3])


def test_a_stopped_item_leaves_the_rest_of_its_batch_alone(pool):
    found = pool.map(TASKS("nap"), [(0,), (60,), (0,), (60,), *[(0,)] * 20])
    assert [index for index, outcome in enumerate(found) if outcome.timed_out] == [1, 3]
    assert all(outcome.value == 0 for index, outcome in enumerate(found) if index not in (1, 3))


def test_the_parent_stops_what_the_kernel_cannot(pool):
    # A stopped process gets no SIGALRM.
    start = time.monotonic()
    outcome = pool.run(TASKS("die"), signal.SIGSTOP)
    assert outcome.timed_out and time.monotonic() - start < 10
    assert pool.run(TASKS("add"), 1, 1).value == 2


def test_what_a_task_prints_does_not_reach_the_protocol(pool, capfd):
    assert pool.run(TASKS("shout"), "x" * 100_000).value == 100_000
    assert pool.run(TASKS("add"), 1, 1).value == 2
    assert capfd.readouterr().out == ""


def test_what_is_no_json_is_an_error_of_its_item(pool):
    found = pool.map(TASKS("add"), [(1, 2), (object(), 1), (10**5000, 1), (3, 4)])
    assert [outcome.value for outcome in found] == [3, None, None, 7]
    assert "JSON" in found[1].error and "4300" in found[2].error


@pytest.mark.parametrize("task", ["guarded:nothing", "no_such_module:f", "guarded"])
def test_a_task_that_is_not_there(pool, task):
    with pytest.raises(ConfigError, match=f"{task}.*cannot be imported"):
        pool.map(task, [()])
    assert pool.run(TASKS("add"), 1, 1).value == 2


def test_several_threads_share_a_pool(pool):
    found = {}

    def work(name):
        found[name] = pool.map(TASKS("add"), [(name, i) for i in range(200)])

    threads = [threading.Thread(target=work, args=(name,)) for name in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {name: [outcome.value for outcome in batch] for name, batch in found.items()} == {
        name: [name + i for i in range(200)] for name in range(5)
    }


def test_a_long_batch_lets_another_thread_in(pool):
    long = threading.Thread(target=pool.map, args=(TASKS("nap"), [(0.05,)] * 60))
    long.start()
    time.sleep(0.2)
    assert pool.run(TASKS("add"), 1, 1).value == 2
    assert long.is_alive()
    long.join()


def test_closing_ends_the_batch_of_another_thread():
    own, raised = Guard(workers=1, seconds=60), []

    def work():
        with pytest.raises(EngineError, match="closed"):
            own.map(TASKS("nap"), [(50,), (50,)])
        raised.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.6)
    own.close()
    thread.join(5)
    assert raised


def test_within_a_running_event_loop(pool):
    async def main():
        return pool.run(TASKS("add"), 1, 1).value

    assert asyncio.run(main()) == 2


def test_nothing_is_left_after_close():
    processes, files = children(), descriptors()
    with Guard(workers=2, seconds=0.2) as own:
        own.map(TASKS("nap"), [(0,), (60,), (0,)])
        own.map(TASKS("nap"), [(0.1,), (0.1,)])
        workers = children() - processes
        assert len(workers) == 2
    assert children() == processes  # no zombie either: psutil lists those
    assert descriptors() == files
    with pytest.raises(EngineError, match="closed"):
        own.run(TASKS("add"), 1, 1)


def test_an_interrupt_leaves_no_worker_at_its_item(monkeypatch):
    processes, files = children(), descriptors()
    with Guard(workers=2, seconds=60) as own:
        own.run(TASKS("add"), 1, 1)
        timer = threading.Timer(0.6, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            own.map(TASKS("nap"), [(50,), (50,)])
        timer.join()
        start = time.monotonic()
        assert [outcome.value for outcome in own.map(TASKS("add"), [(1, 1), (2, 2)])] == [2, 4]
        assert time.monotonic() - start < 10
    assert children() == processes
    assert descriptors() == files


def test_an_interrupt_while_waiting_for_a_worker_costs_no_worker():
    with Guard(workers=1, seconds=60) as own:
        own.run(TASKS("add"), 1, 1)
        other = threading.Thread(target=own.run, args=(TASKS("nap"), 1.5))
        other.start()
        timer = threading.Timer(0.6, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            own.run(TASKS("add"), 1, 1)  # the one worker is taken
        timer.join()
        other.join()
        assert own._waiting == 0
        own.workers = 2
        start = time.monotonic()
        own.map(TASKS("nap"), [(1,), (1,)])
        assert time.monotonic() - start < 1.9 or os.cpu_count() == 1  # both at once


def test_a_worker_that_dies_while_it_starts_is_replaced(monkeypatch):
    started = []
    original = guard._Worker.__init__

    def dying(self, *arguments):
        original(self, *arguments)
        started.append(self)
        if len(started) == 1:
            self.process.kill()

    monkeypatch.setattr(guard._Worker, "__init__", dying)
    with Guard(workers=1) as own:
        assert own.run(TASKS("add"), 1, 2).value == 3
    assert len(started) == 2
    monkeypatch.setattr(guard._Worker, "__init__", lambda self, *a: (original(self, *a), self.process.kill())[0])
    with Guard(workers=1) as own, pytest.raises(EngineError, match="ended with SIGKILL before it was ready"):
        own.run(TASKS("add"), 1, 2)


@pytest.mark.parametrize("end", ["finish", "kill"])
def test_workers_end_with_their_parent(end):
    code = (
        "import json, sys, time, threading; from vantage.rewards.guard import shared; pool = shared()\n"
        "pool.workers, pool.seconds = 2, 1.5; pool.run('guarded:add', 1, 1); import psutil\n"
        "threading.Thread(target=pool.map, args=('guarded:nap', [(50,)]), daemon=True).start(); time.sleep(0.3)\n"
        "pool.run('guarded:add', 1, 1)\n"
        "print(json.dumps([child.pid for child in psutil.Process().children()]), flush=True)\n"
        "sys.stdin.read()"
    )
    path = os.pathsep.join([str(HERE), *sys.path])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, **pipes) as parent:
        pids = set(json.loads(parent.stdout.readline()))
        assert len(pids) == 2
        if end == "kill":
            parent.kill()
    assert gone(pids, 5)  # at the latest at the item's limit


def test_a_forked_child_has_workers_of_its_own(pool):
    mine = pool.run(TASKS("me")).value
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b"failed"
        try:
            outcomes = [pool.run(TASKS("me")), guard.shared().run(TASKS("add"), 1, 1)]
            pool.close()
            answer = json.dumps([outcome.value for outcome in outcomes]).encode()
        finally:
            os.write(writing, answer)
            os._exit(0)
    os.close(writing)
    theirs, two = json.loads(os.read(reading, 1000))
    os.close(reading)
    os.waitpid(child, 0)
    assert two == 2 and theirs != mine
    assert pool.run(TASKS("add"), 1, 1).value == 2


def test_settings_that_cannot_work():
    for wrong in ({"workers": 0}, {"seconds": 0.0}, {"memory_mb": -1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Guard(**wrong)

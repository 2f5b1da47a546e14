import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vantage.endpoints import CacheError
from vantage.endpoints.cache import Cache, digest

KEYS = [digest(i) for i in range(2000)]

WRITER = """
import sys
from vantage.endpoints.cache import Cache, digest
cache = Cache(sys.argv[1])
for i in range(int(sys.argv[2]), int(sys.argv[3])):
    cache.put(digest(i), {"text": str(i) * 500})
    print(i, flush=True)
"""


def write(path, first, last):
    arguments = [sys.executable, "-c", WRITER, str(path), str(first), str(last)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_a_key_is_the_hash_of_canonical_json():
    import hashlib

    text = '{"a":[1,"\\u00e4"],"b":null}'
    assert digest({"b": None, "a": [1, "ä"]}) == hashlib.sha256(text.encode()).hexdigest()
    assert digest({"a": "\ud800"}) != digest({"a": "\ud801"})


def test_what_is_kept_is_found_again_and_stays_as_it_was(tmp_path):
    path = tmp_path / "deep" / "replies.sqlite"
    cache = Cache(path)
    reply = {"text": "ä \ud800 \x00 \u202e", "finished": True}
    assert cache.get(KEYS[0]) is None and len(cache) == 0
    assert cache.put(KEYS[0], reply, "model") is reply
    assert cache.put(KEYS[0], {"text": "another"}) == reply
    assert cache.put_many([(KEYS[0], {"text": "another"}, "m")] * 2) == [reply] * 2
    cache.close()
    assert cache.get(KEYS[0]) == reply == Cache(path).get(KEYS[0])
    assert len(cache) == 1


def test_a_killed_writer_leaves_whole_replies(tmp_path):
    """Whatever was said to be written before the kill is there, whole, and the file can be written on."""
    path = tmp_path / "c"
    for _ in range(3):
        process = write(path, len(Cache(path)), 2000)
        said = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        whole = [int(line) for line in said if line.endswith("\n")]
        cache = Cache(path)
        for i in range(max(whole) + 1):
            assert cache.get(KEYS[i]) == {"text": str(i) * 500}
        cache.close()


def test_processes_and_threads_write_at_once(tmp_path):
    path = tmp_path / "c"
    processes = [write(path, first, first + 40) for first in (0, 20, 40)]
    cache = Cache(path)

    def own(first):
        for i in range(first, first + 40):
            cache.put(KEYS[i], {"text": str(i) * 500})

    threads = [threading.Thread(target=own, args=(first,)) for first in (10, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    assert len(cache) == 90
    assert all(cache.get(KEYS[i]) == {"text": str(i) * 500} for i in range(90))


def filled(path: Path) -> bytes:
    cache = Cache(path)
    for i in range(200):
        cache.put(KEYS[i], {"text": str(i) * 500})
    cache.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"no database at all" * 100,
        lambda content: content[: len(content) // 2],
        lambda content: content[:100] + b"\xff" * 4000 + content[4100:],
        lambda content: b"\x00" * 512 + content[512:],
    ],
    ids=["another file", "cut in half", "overwritten", "header lost"],
)
def test_a_damaged_file_is_an_error_that_names_it_and_stays_as_it_is(damage, tmp_path):
    path = tmp_path / "c"
    broken = damage(filled(path))
    path.write_bytes(broken)
    with pytest.raises(CacheError, match=r"/c: no sound file of replies .*; restore it"):
        Cache(path).get(KEYS[0])
    assert path.read_bytes() == broken


def test_a_changed_reply_is_found_out(tmp_path):
    path = tmp_path / "c"
    filled(path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE replies SET reply = replace(reply, '7', '8') WHERE key = ?", (KEYS[7],))
    database.close()
    assert Cache(path).get(KEYS[8]) is not None
    with pytest.raises(CacheError, match="is damaged"):
        Cache(path).get(KEYS[7])


def test_a_database_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "c"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    with pytest.raises(CacheError, match="a database of something else"):
        Cache(path).put(KEYS[0], {})
    with pytest.raises(CacheError, match="a folder; a cache is a file"):
        Cache(tmp_path).get(KEYS[0])
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="its folder cannot be made"):
        Cache(tmp_path / "file" / "c").get(KEYS[0])


def test_an_empty_file_is_a_cache_without_replies(tmp_path):
    """As a process leaves it that is killed between making the file and writing to it."""
    (tmp_path / "c").touch()
    assert len(Cache(tmp_path / "c")) == 0


def test_a_file_that_stays_locked_is_an_error_that_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr("vantage.endpoints.cache._BUSY_SECONDS", 0.1)
    path = tmp_path / "c"
    filled(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CacheError, match=r"/c: .*locked"):
        Cache(path).put(KEYS[500], {})
    other.close()


def child(work):
    """The exit status of a forked process that does some work; one that waits for ever is ended."""
    process = os.fork()
    if process == 0:
        signal.alarm(10)
        try:
            work()
        except BaseException:  # noqa: BLE001 - a child must never go on as a second test run
            os._exit(1)
        os._exit(0)
    return os.waitpid(process, 0)[1]


def test_a_process_forked_while_a_thread_writes_reads_and_writes_too(tmp_path):
    cache = Cache(tmp_path / "c")
    stop = threading.Event()
    written = []

    def write_on():
        while not stop.is_set() and len(written) < 1900:
            i = 100 + len(written)
            cache.put(KEYS[i], {"text": str(i) * 500})
            written.append(i)

    thread = threading.Thread(target=write_on)
    thread.start()
    statuses = [child(lambda i=i: cache.put(KEYS[i], {"text": f"child {i}"})) for i in range(10)]
    stop.set()
    thread.join()
    assert statuses == [0] * 10
    assert all(cache.get(KEYS[i]) == {"text": f"child {i}"} for i in range(10))
    assert all(cache.get(KEYS[i]) == {"text": str(i) * 500} for i in written)


def test_a_fork_waits_for_a_stuck_thread_no_longer_than_said(tmp_path, monkeypatch):
    monkeypatch.setattr("vantage.endpoints.cache._FORK_SECONDS", 0.1)
    cache = Cache(tmp_path / "c")
    cache.put(KEYS[0], {"text": "a"})
    held, go = threading.Event(), threading.Event()

    def hold():
        with cache._database():
            held.set()
            go.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    status = child(lambda: cache.put(KEYS[1], {"text": "child"}))
    go.set()
    thread.join()
    assert status == 0
    assert cache.get(KEYS[1]) == {"text": "child"}


def test_a_fork_carries_no_open_file_into_the_child(tmp_path):
    """SQLite would take the parent's locks for the child's own."""
    cache = Cache(tmp_path / "c")
    cache.put(KEYS[0], {})

    def files():
        return [file for file in Path("/proc/self/fd").iterdir() if file.resolve().is_relative_to(tmp_path.resolve())]

    def none_open():
        assert not files()

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files are listed on Linux only")
    assert files()
    assert child(none_open) == 0

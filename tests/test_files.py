import json
import os
import threading

import pytest

from vantage import files

WRITERS = [
    lambda path: files.write_text(path, "half a character \ud800"),
    lambda path: files.write_json(path, {"fused": float("nan")}),
    lambda path: files.write_lines(path, (line for line in [b"first", None])),
]


@pytest.mark.parametrize("write", WRITERS)
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(write, tmp_path):
    file = tmp_path / "a.json"
    files.write_text(file, "old\n")
    with pytest.raises((ValueError, TypeError)):
        write(file)
    assert file.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_written_is_what_is_read(tmp_path):
    files.write_json(tmp_path / "new" / "deep" / "a.json", {"name": "Ünïcode", "fused": None})
    text = (tmp_path / "new" / "deep" / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "Ünïcode", "fused": None} and "Ü" in text
    files.write_lines(tmp_path / "a.jsonl", iter([b"1", "\u2028".encode(), b""]))
    assert (tmp_path / "a.jsonl").read_bytes() == b"1\n\xe2\x80\xa8\n\n"
    files.write_lines(tmp_path / "a.jsonl", [])
    assert (tmp_path / "a.jsonl").read_bytes() == b""


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    files.write_lines(pipe, [b"1", b"2"])
    reader.join(10)
    assert read == [b"1\n2\n"]
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


def test_a_folder_is_not_written_over(tmp_path):
    with pytest.raises(IsADirectoryError):
        files.write_text(tmp_path, "text")


def test_the_content_is_on_the_disk_before_the_name_is_the_new_ones(tmp_path, monkeypatch):
    file, seen = tmp_path / "a", []
    files.write_text(file, "old")
    monkeypatch.setattr(os, "fsync", lambda number: seen.append((os.fstat(number).st_size, file.read_text())))
    files.write_text(file, "newer")
    assert seen == [(5, "old")]
    assert file.read_text() == "newer"

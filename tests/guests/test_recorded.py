"""Recorded answers as guests."""

import json

import pytest

from scripted import sample
from vantage.errors import ConfigError, DataError
from vantage.guests import Guests, Utterance
from vantage.guests.recorded import RecordedGuest, read
from vantage.samples import PromptStyle

ROWS = [sample("a", "rgb"), sample("b", "rgb")]


@pytest.fixture
def write(tmp_path):
    def write(*rows):
        lines = [row if isinstance(row, str) else json.dumps({"model": "m", **row}) for row in rows]
        (tmp_path / "guests.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return tmp_path / "guests.jsonl"

    return write


def answers(guest, turn=0):
    rows = Guests([guest], 5).start(ROWS, PromptStyle(), [turn] * len(ROWS)).collect()
    return [[said.text if isinstance(said, Utterance) else said.kind for said in row] for row in rows]


def test_a_question_gets_its_own_answers_by_number(write):
    file = write(
        {"id": "b", "text": "b1", "number": 1},
        {"id": "a", "text": "a0"},
        {"id": "b", "text": "b0", "number": 0},
        {"id": "a", "text": "a1"},
    )
    assert answers(RecordedGuest(file, n=2)) == [["a0", "a1"], ["b0", "b1"]]


def test_turns_go_through_the_answers_and_begin_anew(write):
    guest = RecordedGuest(write(*({"id": "a", "text": f"a{i}"} for i in range(3))), n=2)
    assert [answers(guest, turn)[0] for turn in range(4)] == [["a0", "a1"], ["a2", "a0"], ["a1", "a2"], ["a0", "a1"]]


def test_fewer_answers_than_places_are_never_given_twice(write):
    file = write({"id": "a", "text": "a0"})
    for turn in range(3):
        assert answers(RecordedGuest(file, n=3), turn) == [["a0", "failed", "failed"], ["failed"] * 3]


def test_everything_about_an_answer_comes_back(write):
    told = {"finished": False, "tokens": 2, "cost": 0.5, "seconds": 1.5, "logprobs": [["x", -1], ["<eos>", -0.5]]}
    (line,) = read(write({"id": "a", "text": "x", **told}))
    assert line.said() == Utterance("x", "m", (("x", -1.0), ("<eos>", -0.5)), 2, 0.5, 1.5, False)


def test_one_of_several_models_is_named(write):
    file = write({"id": "a", "text": "m"}, {"id": "a", "text": "n", "model": "n"})
    assert answers(RecordedGuest(file, "n"))[0] == ["n"]
    with pytest.raises(ConfigError, match="holds 'm', 'n'; set 'name'"):
        RecordedGuest(file)
    with pytest.raises(ConfigError, match="none of 'o'"):
        RecordedGuest(file, "o")
    with pytest.raises(ConfigError, match="no answers"):
        RecordedGuest(write())


def test_answers_to_another_question_are_refused(write):
    file = write(
        {"id": "a", "text": "x", "question": "how many ?"}, {"id": "b", "text": "y", "question": ROWS[1].question}
    )
    assert answers(RecordedGuest(file)) == [["failed"], ["y"]]


def test_a_file_of_other_data_is_found_before_training(write):
    guest = RecordedGuest(write({"id": "night/0", "text": "x"}))
    with pytest.raises(DataError, match="no answer to any of the 2 samples; its first id is 'night/0'"):
        guest.check(ROWS)
    RecordedGuest(write({"id": "b", "text": "x"})).check(ROWS)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no JSON", "JSON"),
        ("[1]", "the line"),
        ('{"id": "a", "text": "x"}', "model"),
        ({"text": "x"}, "id"),
        ({"id": "a"}, "text"),
        ({"id": 1, "text": "x"}, "id"),
        ({"id": "a", "text": None}, "text"),
        ({"id": "a", "text": "x", "number": -1}, "number"),
        ({"id": "a", "text": "x", "number": 0.5}, "number"),
        ({"id": "a", "text": "x", "finished": "no"}, "finished"),
        ({"id": "a", "text": "x", "cost": -1}, "cost"),
        ('{"id": "a", "model": "m", "text": "x", "cost": NaN}', "cost"),
        ({"id": "a", "text": "x", "logprobs": [["x"]]}, "logprobs"),
        ('{"id": "a", "model": "m", "text": "\\ud800"}', "line"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_a_line_that_is_none_is_named(write, line, message):
    file = write({"id": "b", "text": "y"}, line)
    with pytest.raises(DataError, match=rf"guests\.jsonl:2: no recorded answer .*{message}"):
        list(read(file))


def test_the_place_within_a_broken_line_is_not_taken_for_one_in_the_file(write):
    with pytest.raises(DataError) as caught:
        list(read(write({"id": "b", "text": "y"}, '{"id": "a",')))
    assert ":2: no recorded answer" in str(caught.value) and "column" not in str(caught.value)


def test_a_number_comes_once(write):
    file = write({"id": "a", "text": "x"}, {"id": "a", "text": "y", "number": 0})
    with pytest.raises(DataError, match=r"guests\.jsonl:2: a second answer number 0 of 'm' to 'a'"):
        list(read(file))


def test_a_file_that_cannot_be_read_says_so(tmp_path, monkeypatch):
    from vantage.guests import recorded

    with pytest.raises(DataError, match="cannot be read"):
        list(read(tmp_path / "missing.jsonl"))
    (tmp_path / "bytes.jsonl").write_bytes(b'\n{"id": "\xff"}\n')
    with pytest.raises(DataError, match=r"bytes\.jsonl:2: not UTF-8"):
        list(read(tmp_path / "bytes.jsonl"))
    monkeypatch.setattr(recorded, "LONGEST", 100)
    (tmp_path / "long.jsonl").write_text("x" * 200)
    with pytest.raises(DataError, match="at most 100 bytes"):
        list(read(tmp_path / "long.jsonl"))


def test_where_no_question_has_as_many_answers_as_wanted_it_is_told(write, caplog):
    file = write({"id": "a", "text": "a0"}, {"id": "a", "text": "a1"}, {"id": "b", "text": "b0"})
    RecordedGuest(file, n=2).check(ROWS)
    assert not caplog.records
    RecordedGuest(file, n=20).check(ROWS)
    assert "guest 'm': n is 20" in caplog.text and "holds 2 answers to a question at most" in caplog.text

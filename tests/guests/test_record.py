"""Recording: everything that came is in the file, nothing is asked twice, and the file says what it is worth."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from scripted import sample, say
from vantage import cli, worlds
from vantage.errors import BudgetError, DataError, EndpointError
from vantage.guests import Guest, Guests, Refusal, Utterance
from vantage.guests.record import record, survey
from vantage.guests.recorded import RecordedGuest, read
from vantage.samples import PromptStyle
from vantage.worlds.captions import caption

STYLE = PromptStyle()
ROWS = [sample("a", "rgb"), sample("b", "rgb"), sample("c", "rgb", truth="no")]


class Counted(Guest):
    """Says its number; fails where it is told."""

    def __init__(self, name="g", n=1, fails=lambda sample, turn: None):
        super().__init__(name, n)
        self.fails, self.asked = fails, []

    async def ask(self, sample, style, turn):
        self.asked.append((sample.id, turn))
        if error := self.fails(sample, turn):
            raise error
        return [Utterance(f"{self.name} {number}", self.name, cost=0.5) for number in self.numbers(turn)]


def lines(path):
    return {(line.id, line.model, line.number): line.text for line in read(path)}


def test_every_answer_stands_in_the_file(tmp_path):
    file = tmp_path / "new" / "guests.jsonl"
    told = []
    done = record(
        Guests([Counted("g", 2), Counted("h")]), ROWS, STYLE, file, turns=2, progress=lambda *p: told.append(p)
    )
    assert lines(file) == {
        (row.id, name, i): f"{name} {i}" for row in ROWS for name, n in (("g", 4), ("h", 2)) for i in range(n)
    }
    assert (done.written, done.there, done.cost) == (18, 0, 9.0)
    assert told[-1] == (12, 12)


def test_what_stands_there_is_not_asked_again(tmp_path):
    file = tmp_path / "guests.jsonl"
    record(Guests([Counted()]), ROWS[:2], STYLE, file)
    guest = Counted()
    done = record(Guests([guest]), ROWS, STYLE, file, turns=2)
    assert sorted(guest.asked) == [("a", 1), ("b", 1), ("c", 0), ("c", 1)]
    assert (done.written, done.there) == (4, 2)


def test_a_line_that_was_never_written_to_its_end_is_asked_for_again(tmp_path):
    file = tmp_path / "guests.jsonl"
    record(Guests([Counted()]), ROWS, STYLE, file)
    whole = file.read_bytes()
    for cut in (1, 5, len(whole.splitlines()[-1])):
        file.write_bytes(whole[:-cut])
        done = record(Guests([Counted()]), ROWS, STYLE, file)
        # Without its line end alone, the last line is whole.
        assert (done.written, done.cut) == ((0, False) if cut == 1 else (1, True))
        assert len(lines(file)) == 3


OURS = '{"id":"a","question":"is there a red ball ?","model":"g","number":0,"text":"g 0"}'


@pytest.mark.parametrize(
    "content",
    [
        "my notes\nof today\n",
        "my notes\nof today",
        '{"precious": "one line without an end"}',
        '{"precious": "one line that was cu',
        '{"id": "a", "precious": 1}',
        f'{{"precious": 1}}\n{OURS[:-9]}',
        f"{OURS}\nmy notes",
        f'{OURS}\n{{"precious": 1}}',
    ],
)
def test_a_file_of_something_else_is_left_alone(content, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text(content)
    guest = Counted()
    with pytest.raises(DataError, match=r"notes\.txt"):
        record(Guests([guest]), ROWS, STYLE, file)
    assert file.read_text() == content and not guest.asked


@pytest.mark.parametrize("kept", [1, 5, 30, len(OURS) - 1])
def test_a_recording_that_was_interrupted_in_its_first_line_begins_anew(kept, tmp_path):
    file = tmp_path / "guests.jsonl"
    file.write_text(OURS[:kept])
    done = record(Guests([Counted()]), ROWS, STYLE, file)
    assert (done.written, done.cut) == (3, True) and len(lines(file)) == 3


def test_two_recordings_do_not_write_to_one_file(tmp_path):
    file = tmp_path / "guests.jsonl"
    refused = []

    class Nosy(Counted):
        async def ask(self, sample, style, turn):
            def other():
                with pytest.raises(DataError, match="another recording writes to it"):
                    record(Guests([Counted()]), ROWS, STYLE, file)
                refused.append(sample.id)

            await asyncio.to_thread(other)
            return await super().ask(sample, style, turn)

    assert record(Guests([Nosy()]), ROWS, STYLE, file).written == 3
    assert sorted(refused) == ["a", "b", "c"] and len(lines(file)) == 3
    assert record(Guests([Counted()]), ROWS, STYLE, file).there == 3


def test_an_answer_that_nothing_could_read_again_is_not_written(tmp_path, monkeypatch):
    from vantage.guests import record as recording
    from vantage.guests import recorded

    for module in (recording, recorded):
        monkeypatch.setattr(module, "LONGEST", 200)

    class Long(Counted):
        async def ask(self, sample, style, turn):
            return [Utterance("\u00e9" * (100 if sample.id == "b" else 20), self.name)]

    file = tmp_path / "guests.jsonl"
    done = record(Guests([Long()]), ROWS, STYLE, file)
    assert done.refused == {("g", "long: a line of more than 200 bytes"): 1}
    assert {row for row, *_ in lines(file)} == {"a", "c"}


def test_a_row_that_comes_twice_is_asked_once(tmp_path):
    guest = Counted()
    done = record(Guests([guest]), [*ROWS, ROWS[0]], STYLE, tmp_path / "guests.jsonl")
    assert len(guest.asked) == 3 and (done.written, done.there) == (3, 1)
    assert len(lines(tmp_path / "guests.jsonl")) == 3


def test_failures_are_counted_and_asked_for_again(tmp_path):
    file = tmp_path / "guests.jsonl"
    down = Counted(fails=lambda sample, turn: EndpointError("down") if sample.id == "b" else None)
    done = record(Guests([down, Counted("h")]), ROWS, STYLE, file)
    assert done.refused == {("g", "failed: down"): 1} and done.written == 5
    again = Counted()
    done = record(Guests([again, Counted("h")]), ROWS, STYLE, file)
    assert again.asked == [("b", 0)] and done.written == 1 and not done.refused


def test_a_spent_budget_ends_the_asking_of_that_guest_only(tmp_path):
    many = [sample(f"{i}", "rgb") for i in range(300)]
    poor = Counted(fails=lambda sample, turn: BudgetError("spent"))
    told = []
    done = record(
        Guests([poor, Counted("h")]), many, STYLE, tmp_path / "guests.jsonl", progress=lambda *p: told.append(p)
    )
    assert len(poor.asked) <= 64 and done.written == 300
    # Who was not asked any more is missing too.
    assert done.refused == {
        ("g", "budget: spent"): len(poor.asked),
        ("g", "budget: not asked any more"): 300 - len(poor.asked),
    }
    assert told[-1] == (600, 600)


def test_a_cut_answer_is_kept_so_that_it_is_not_paid_for_again(tmp_path):
    class Cut(Counted):
        async def ask(self, sample, style, turn):
            return [Utterance("<think> A1", self.name, finished=False)]

    file = tmp_path / "guests.jsonl"
    assert record(Guests([Cut()]), ROWS, STYLE, file).written == 3
    assert record(Guests([Cut()]), ROWS, STYLE, file).written == 0
    (row, *_) = Guests([RecordedGuest(file)], 5).start(ROWS, STYLE, [0] * 3).collect()
    assert row[0].kind == "cut"


def test_what_was_recorded_is_said_again(tmp_path):
    file = tmp_path / "guests.jsonl"
    record(Guests([Counted(n=2)]), ROWS, STYLE, file, turns=2)
    guests = Guests([RecordedGuest(file, n=2)], 5)
    for turn, said in ((0, ["g 0", "g 1"]), (1, ["g 2", "g 3"]), (2, ["g 0", "g 1"])):
        found = guests.start(ROWS, STYLE, [turn] * 3).collect()
        assert [[one.text for one in row] for row in found] == [said] * 3


def write(path, *rows):
    path.write_text("".join(json.dumps({"model": "g", **row}) + "\n" for row in rows))
    return path


def test_a_survey_counts_by_hand(tmp_path):
    file = write(
        tmp_path / "guests.jsonl",
        {"id": "a", "text": say("yes"), "cost": 0.5, "tokens": 7},
        {"id": "a", "text": say("no"), "cost": 0.25, "tokens": 8},
        {"id": "a", "text": say("yes")},
        {"id": "b", "text": "<image>"},
        {"id": "b", "text": say("yes"), "finished": False},
        {"id": "z", "text": say("yes")},
        {"id": "c", "text": say("no"), "question": "another ?"},
        {"id": "c", "text": say("no"), "model": "h", "question": ROWS[2].question},
    )
    found = survey(file, ROWS, lambda text: Refusal("control: <image>") if "<image>" in text else [1])
    g, h = found["g"], found["h"]
    assert (g.answers, g.questions, g.fewest, g.most, g.duplicates, g.strange) == (7, 2, 2, 3, 1, 2)
    assert g.refused == {"control": 1, "cut": 1} and (g.cost, g.tokens) == (0.75, [7, 8])
    assert (g.tally.scored, g.tally.correct) == (3, 2) and g.tally.mean == pytest.approx(2 / 3)
    assert (h.answers, h.tally.correct, h.cost) == (1, 1, None)


def test_a_survey_without_data_scores_nothing(tmp_path):
    found = survey(write(tmp_path / "guests.jsonl", {"id": "a", "text": say("yes")}))
    assert (found["g"].answers, found["g"].strange, found["g"].tally.scored) == (1, 0, 0)


RECIPE = """
model: {path: tiny}
method: {name: grpo}
data: {train: "night?n=12"}
guests: {from: [{oracle: 0.8, n: 2}]}
trainer: {max_completion_length: 24}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for console in (cli.out, cli.err):
        monkeypatch.setattr(console, "_width", 200)
    (tmp_path / "r.yaml").write_text(RECIPE)
    return lambda *arguments: CliRunner().invoke(cli.app, ["guests", *arguments])


def test_the_commands_record_and_check(run, tmp_path):
    done = run("record", "r.yaml", "--out", "g.jsonl", "--limit", "8")
    assert done.exit_code == 0, done.output
    assert "16 answers recorded, 0 there already: g.jsonl" in done.stdout
    done = run("record", "r.yaml", "--out", "g.jsonl")
    assert "8 answers recorded, 16 there already: g.jsonl" in done.stdout

    right = sum(line.text == worlds.gold(worlds.find(line.id)) for line in read(tmp_path / "g.jsonl"))
    done = run("check", "g.jsonl", "--recipe", "r.yaml")
    assert done.exit_code == 0, done.output
    assert "12 of 12 (100%)" in done.stdout and f"{right / 24:.3f}" in done.stdout
    (found,) = json.loads(run("check", "g.jsonl", "--recipe", "r.yaml", "--json").stdout).values()
    assert (found["answers"], found["correct"], found["refused"], found["most"]) == (24, right, {}, 2)
    assert found["reward"] == pytest.approx(right / 24)


def test_captions_are_worth_what_the_reasoner_makes_of_them(run, tmp_path):
    """The samples' own reward reads answers, of which a caption has none."""
    (tmp_path / "r.yaml").write_text("""
model: {path: tiny-captioner}
method: {name: racro}
data: {train: "night-captions?n=12"}
guests: {from: [{oracle: 1.0}]}
reasoner: {endpoint: {model: tiny-reader}, prompts: {extractor: "", caption: Describe., tentative: ""}}
trainer: {max_completion_length: 24}
""")
    rows = list(worlds.get("night-captions").dataset(n=12))
    whole = [{"id": row.id, "text": caption(row.metadata["objects"])} for row in rows]
    blank = [{"id": row.id, "text": "none", "model": "h"} for row in rows]
    write(tmp_path / "g.jsonl", *whole, *blank)
    done = run("check", "g.jsonl", "--recipe", "r.yaml", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["g"]["scored"], found["g"]["correct"]) == (12, 12) and found["h"]["correct"] < 12


def test_a_name_in_a_file_commands_no_terminal(run, tmp_path):
    write(tmp_path / "g.jsonl", {"id": "a", "text": "x", "model": "m \x1b[2J[bold]"})
    done = run("check", "g.jsonl")
    assert "\x1b" not in done.output and r"m \x1b[2J[bold]" in done.stdout


def test_a_function_that_fails_commands_no_terminal(run, tmp_path):
    (tmp_path / "mine.py").write_text("def f(sample):\n    raise ValueError('\\x1b[31mno [bold]idea')\n")
    done = run("record", "r.yaml", "--out", "g.jsonl", "--set", "guests={from: [{python: 'mine.py:f'}]}")
    assert "\x1b" not in done.output and r"ValueError: \x1b[31mno [bold]idea" in done.stderr


def test_answers_to_other_data_fail_the_check(run):
    run("record", "r.yaml", "--out", "g.jsonl")
    done = run("check", "g.jsonl", "--recipe", "r.yaml", "--set", "data.train=night?n=6")
    assert done.exit_code == 1 and "12 answers to rows that the data does not have" in done.stderr


def test_missing_answers_fail_the_recording(run, tmp_path):
    (tmp_path / "mine.py").write_text("def f(sample):\n    raise ValueError('no idea')\n")
    done = run("record", "r.yaml", "--out", "g.jsonl", "--set", "guests={from: [{python: 'mine.py:f'}]}")
    assert done.exit_code == 1
    assert "f: 12 x failed: ValueError: no idea" in done.stderr and "12 answers are missing" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("record", "tiny/grpo", "--out", "g.jsonl"), "names no guests"),
        (("record", "r.yaml", "--out", "no/such/g.jsonl"), "the folder no/such does not exist"),
        (("check", "missing.jsonl"), "cannot be read"),
    ],
)
def test_a_mistake_is_one_message(run, arguments, message):
    done = run(*arguments)
    assert done.exit_code == 1 and message in done.stderr and "Traceback" not in done.output


def test_a_failure_is_told_once_though_it_names_its_question(run, tmp_path):
    (tmp_path / "mine.py").write_text("def f(sample):\n    raise KeyError(sample.id)\n")
    done = run("record", "r.yaml", "--out", "g.jsonl", "--set", "guests={from: [{python: 'mine.py:f'}]}")
    told = [line for line in done.stderr.splitlines() if line.startswith("f: ")]
    assert len(told) == 1 and told[0].startswith("f: 12 x failed: KeyError: 'night/")
    assert told[0].endswith("(11 other reasons beside it)")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "holds no answers"),
        (({"id": "gone", "text": "x", "model": "m"},), "holds no answer that can be used"),
        (({"id": "gone", "text": "x", "model": "m", "finished": False},), "holds no answer that can be used"),
    ],
    ids=["empty", "strange", "cut"],
)
def test_a_file_of_no_use_fails_the_check(rows, message, run, tmp_path):
    write(tmp_path / "g.jsonl", *rows)
    done = run("check", "g.jsonl", "--recipe", "r.yaml")
    assert done.exit_code == 1 and message in done.stderr


def test_an_interrupted_recording_says_how_to_go_on(run, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vantage.guests.record.record", stop)
    done = run("record", "r.yaml", "--out", "g.jsonl")
    assert done.exit_code != 0 and "the same command goes on from there" in done.stderr

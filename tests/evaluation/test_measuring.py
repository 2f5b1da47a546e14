"""One pass over everything, which may be cut anywhere and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from scripted import sample, say
from vantage import worlds
from vantage.errors import ConfigError, DataError, EndpointError
from vantage.evaluation.asking import Local
from vantage.evaluation.measuring import Plan, measure
from vantage.generation import Said
from vantage.samples import PromptStyle

STYLE = PromptStyle()
SAMPLES = [sample(name, "rgb", "infrared", task="ask") for name in "abcd"] + [sample("e", "page")]


class Speaker:
    """Says what a function says; breaks after so many answers."""

    decodes = True

    def __init__(self, answer=lambda asked: say("yes"), breaks_after: float = float("inf")):
        self.answer, self.left, self.asked = answer, breaks_after, []

    def speak(self, batch):
        said = []
        for asked in batch:
            if self.left <= 0:
                raise KeyboardInterrupt
            self.left -= 1
            self.asked.append(asked.key)
            answer = self.answer(asked)
            said.append(answer if isinstance(answer, Exception) else Said(answer, 3, True))
        return said


def measured(speaker, plan=None, **more):
    return measure(speaker, SAMPLES, plan or Plan(STYLE, k=2), model="m", data="d", **{"batch_size": 3, **more})


def test_everything_is_asked_once_and_in_order():
    speaker = Speaker(lambda asked: say("no" if str(asked.prompt.origin) == "mono:rgb" or asked.draw == 1 else "yes"))
    seen = []
    found, rows = measured(speaker, progress=lambda done, total: seen.append((done, total)))
    of_one = [("a", "fused", "", None), ("a", "fused", "", 0), ("a", "fused", "", 1), ("a", "mono:rgb", "", None),
              ("a", "mono:infrared", "", None)]  # fmt: skip
    assert speaker.asked[:5] == of_one and speaker.asked[-3:] == [("e", "fused", "", draw) for draw in (None, 0, 1)]
    assert len(rows) == len(speaker.asked) == 4 * 5 + 3
    assert seen[0] == (0, 23) and seen[-1] == (23, 23)
    known = {name: figure.value for name, figure in found.figures.items()}
    assert (known["fused"], known["alone/infrared"], known["pass@1"], known["pass@2"]) == (1, 1, 0.5, 1)
    assert known["alone/rgb"] == 0 and found.figures["alone/page"].n == 1, "one picture is its own single source"
    assert found.settings["k"] == 2 and found.versions["torch"]


def test_three_sources_have_every_pair():
    speaker = Speaker()
    found, _ = measure(speaker, [sample("a", "x", "y", "z")], Plan(STYLE))
    assert {name for name in found.figures if name.startswith("subset/")} == {"subset/x+y", "subset/x+z", "subset/y+z"}


def test_five_sources_have_no_subsets():
    measure(speaker := Speaker(), [sample("a", *"vwxyz")], Plan(STYLE))
    assert len(speaker.asked) == 6


def test_damaged_pictures_are_shown_and_scored_by_the_truth_as_it_was():
    shown = {}

    def answer(asked):
        picture = asked.prompt.messages[0][-1]["content"][0]["image"]
        if str(asked.prompt.origin) == "fused":
            shown[asked.key[0], asked.damage] = picture.getpixel((3, 3))
        assert asked.sample in samples
        return say("no" if asked.damage == "swap:rgb" else "yes")

    samples = [*SAMPLES, sample("f", "page")]
    found, _ = measure(Speaker(answer), samples, Plan(STYLE, robustness=True), batch_size=50)
    assert found.figures["damaged/swap:rgb"].value == 0 and found.figures["change/swap:rgb"].value == -1
    assert found.figures["damaged/blank:infrared"].value == 1
    assert len(set(shown["a", "blank:rgb"])) == 1 and shown["a", "noise:infrared"] == shown["a", ""]
    assert found.figures["damaged/shift:page"].n == 2


def test_a_source_of_one_scene_cannot_be_swapped_which_is_found_before_anything_is_asked():
    with pytest.raises(DataError, match="only one scene has page"):
        measured(speaker := Speaker(), Plan(STYLE, robustness=True))
    assert not speaker.asked


@pytest.mark.parametrize("cut", [0, 1, 4, 9, 22])
def test_a_cut_evaluation_goes_on_and_ends_the_same(tmp_path, cut):
    expected, rows = measured(Speaker(), keep=tmp_path / "whole.jsonl")
    keep = tmp_path / "cut.jsonl"
    with pytest.raises(KeyboardInterrupt):
        measured(Speaker(breaks_after=cut), keep=keep)
    kept = len(keep.read_text().splitlines())
    again = Speaker()
    found, same = measured(again, keep=keep)
    assert same == rows and found.model_copy(update={"seconds": 0}) == expected.model_copy(update={"seconds": 0})
    assert len(again.asked) == 23 - cut // 3 * 3 and kept == 1 + cut // 3 * 4
    assert measured(Speaker(breaks_after=0), keep=keep)[1] == rows, "nothing is asked twice"


@pytest.mark.parametrize("torn", ['{"id": "a", "origin": "fus', '{"id": "a"', "{"])
def test_a_line_that_was_never_ended_is_taken_out(tmp_path, torn):
    keep = tmp_path / "a.jsonl"
    _, rows = measured(Speaker(), keep=keep)
    whole = keep.read_text()
    lines = whole.splitlines(keepends=True)
    keep.write_text("".join(lines[:6]) + torn)
    assert measured(Speaker(), keep=keep)[1] == rows
    keep.write_text(whole[:40])  # torn in its head
    assert measured(Speaker(), keep=keep)[1] == rows


def test_failures_are_told_and_asked_again(tmp_path):
    keep = tmp_path / "a.jsonl"
    broken = {("b", "fused", "", None), ("c", "mono:rgb", "", None), ("d", "fused", "", 1)}
    found, rows = measured(
        Speaker(lambda asked: EndpointError("busy") if asked.key in broken else say("yes")), keep=keep
    )
    assert found.unanswered == 3 and found.figures["fused"].n == 4 and found.figures["alone/rgb"].n == 3
    assert found.figures["pass@1"].n == 5 and found.figures["pass@2"].n == 4
    assert sum("failed" in row for row in rows) == 3 and "busy" not in keep.read_text()
    again = Speaker()
    assert measured(again, keep=keep)[0].unanswered == 0
    assert set(again.asked) == broken


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"plan": Plan(STYLE, k=3)}, "k: 2, now 3"),
        ({"plan": Plan(STYLE, k=2, mono="drop")}, 'mono: "fill", now "drop"'),
        ({"plan": Plan(replace(STYLE, system="Hi"), k=2)}, 'system: "", now "Hi"'),
        ({"settings": {"seed": 1}}, "seed: null, now 1"),
    ],
)
def test_another_command_is_refused_with_what_differs(tmp_path, more, told):
    keep = tmp_path / "a.jsonl"
    measured(Speaker(), keep=keep)
    before = keep.read_bytes()
    with pytest.raises(ConfigError, match="answers of another command") as caught:
        measured(Speaker(), keep=keep, **more)
    assert told in str(caught.value) and keep.read_bytes() == before


def test_other_questions_under_the_same_name_are_refused(tmp_path):
    measured(Speaker(), keep=tmp_path / "a.jsonl")
    with pytest.raises(ConfigError, match="questions"):
        measure(
            Speaker(), [replace(SAMPLES[0], truth="no"), *SAMPLES[1:]], Plan(STYLE, k=2), model="m", data="d",
            keep=tmp_path / "a.jsonl",
        )  # fmt: skip


@pytest.mark.parametrize("content", ["hello\n", "[1]\n", '{"id": "a"}\n', "hello", "\n\n", '{"vantage_answers": 9}\n'])
def test_a_file_of_something_else_stays_as_it_is(tmp_path, content):
    keep = tmp_path / "mine.jsonl"
    keep.write_text(content)
    with pytest.raises(DataError, match=r"mine\.jsonl"):
        measured(Speaker(), keep=keep)
    assert keep.read_text() == content


def test_two_cannot_write_at_once(tmp_path):
    class Second(Speaker):
        def speak(self, batch):
            with pytest.raises(DataError, match="another evaluation writes"):
                measured(Speaker(), keep=tmp_path / "a.jsonl")
            return super().speak(batch)

    measured(Second(), keep=tmp_path / "a.jsonl", batch_size=99)


def test_answers_of_any_text_are_kept(tmp_path):
    hostile = ["\ud800", "\u2028\x00\x1b[2J", "a\nb\r\n", '"}\n{"id": "x"}', "x" * 100_000]
    texts = iter(hostile * 10)
    _, rows = measured(Speaker(lambda asked: next(texts)), keep=tmp_path / "a.jsonl")
    assert measured(Speaker(breaks_after=0), keep=tmp_path / "a.jsonl")[1] == rows


def test_a_real_model_cut_between_batches(model, processor, tmp_path):
    samples = list(worlds.get("night").dataset(split="test", n=3))

    def run(keep, limit=None):
        with Local(model, processor, max_new_tokens=5, temperature=0.8, seed=3) as speaker:
            if limit is not None:
                speak, left = speaker.speak, [limit]

                def some(batch):
                    left[0] -= 1
                    if left[0] < 0:
                        raise KeyboardInterrupt
                    return speak(batch)

                speaker.speak = some
            return measure(speaker, samples, Plan(STYLE, k=2), batch_size=4, keep=keep)[1]

    whole = run(None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a.jsonl", limit=2)
    assert run(tmp_path / "a.jsonl") == whole


@pytest.mark.parametrize(("plan", "batch"), [(Plan(STYLE, k=-1), 3), (Plan(STYLE), 0)])
def test_numbers_below_their_least(plan, batch):
    with pytest.raises(ConfigError, match="batch_size"):
        measure(Speaker(), SAMPLES, plan, batch_size=batch)


@pytest.mark.slow
def test_killed_and_started_again_it_ends_the_same(tmp_path):
    """kill -9 while it answers, several times, against one that was left alone."""

    def command(output):
        return [sys.executable, "-m", "vantage", "eval", "tiny", "--data", "night?split=test&n=40", "--k", "2",
                "--batch-size", "8", "--max-new-tokens", "20", "--output", output]  # fmt: skip

    environment = {**os.environ, "COLUMNS": "80"}
    subprocess.run(command("whole.json"), cwd=tmp_path, check=True, capture_output=True, env=environment)
    kept = 0
    for _ in range(3):
        process = subprocess.Popen(command("cut.json"), cwd=tmp_path, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=environment)  # fmt: skip
        answers = tmp_path / "cut.jsonl"
        while process.poll() is None and (not answers.exists() or answers.stat().st_size < kept + 8000):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = answers.stat().st_size
    assert not (tmp_path / "cut.json").exists(), "it was killed before its end"
    subprocess.run(command("cut.json"), cwd=tmp_path, check=True, capture_output=True, env=environment)
    whole, cut = (json.loads((tmp_path / name).read_text()) for name in ("whole.json", "cut.json"))
    assert whole | {"seconds": 0} == cut | {"seconds": 0}

"""The data of a report: what is read, what is left out and told, and that nothing but the run's own data is opened."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from run_folders import answers, evaluated, group, lines, member, run_folder, two_sided
from vantage.errors import ConfigError, DataError
from vantage.report import gains
from vantage.report.document import inert, write
from vantage.report.folder import read
from vantage.report.rollouts import LONGEST, _halves, bounded, gain

HOSTILE = "</script><script>window.evil=1</script>\u2028\u2029<!--\x00\ud800"


def data_of(page: Path) -> dict:
    """What the page's script reads."""
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.S
    )
    return json.loads(found[1])


def report(tmp_path: Path, *runs: Path, **more) -> tuple[dict, dict]:
    target = tmp_path / "report.html"
    told = write(runs, target, **more)
    assert told["bytes"] == target.stat().st_size
    return told, data_of(target)


def test_every_group_is_there_with_all_that_was_said(tmp_path):
    told, data = report(tmp_path, run_folder(tmp_path / "run"))
    assert (told["groups"], told["left_out"], told["notes"]) == (4, 0, [])
    assert [each["s"] for each in data["groups"]] == [1, 2, 3, 4]
    first = data["groups"][0]
    assert [each["o"] for each in first["m"]] == ["fused", "fused", "mono:rgb", "mono:infrared"]
    assert data["texts"][first["m"][0]["x"]] == "<think> a </think> <answer> 1 </answer>"
    assert [each["a"] for each in first["m"]] == [0.5, -0.5, 0, 0]
    assert data["terms"][first["m"][0]["p"]] == [["accuracy", 1]]
    assert first["g"] == 0.5  # (1 + 0) / 2 - (0 + 0) / 2


def test_a_picture_is_kept_once_however_often_it_is_asked_about(tmp_path):
    runs = [run_folder(tmp_path / name, [two_sided(1, 5), two_sided(2, 5), two_sided(3, 6)]) for name in "ab"]
    _, data = report(tmp_path, *runs)
    assert len(data["groups"]) == 6
    assert len(data["pictures"]) == 4  # two scenes of two sources
    assert all(uri.startswith("data:image/webp;base64,") for uri, *_ in data["pictures"])


def test_a_file_stays_within_its_limit_and_says_what_is_left_out(tmp_path):
    # No text occurs twice, so that each group takes 40 kB and about 15 of 64 fit into what a megabyte has left.
    many = [
        group(
            step, step, [member("fused", f"{step} {turn} " + "x" * 19_000, 1.0) for _ in range(2)], id=f"{step}/{turn}"
        )
        for step in range(1, 33)
        for turn in range(2)
    ]
    for record in many:
        record["members"][1]["text"] += "y"
    told, data = report(tmp_path, run_folder(tmp_path / "run", many, steps=32), limit=1_000_000)
    assert told["bytes"] <= 1_000_000
    assert told["groups"] + told["left_out"] == 64 and told["left_out"] > 30
    assert data["runs"][0]["groups"] == [told["groups"], 64]
    steps = [each["s"] for each in data["groups"]]
    halves = sum(step <= 16 for step in steps), sum(step > 16 for step in steps)
    assert abs(halves[0] - halves[1]) <= 1  # spread over the run
    assert len(set(steps)) == len(steps)  # one of each step before a second one


def test_one_answer_full_of_brackets_breaks_no_limit_and_takes_no_others_room(tmp_path):
    loud = group(1, 1, [member("fused", f"{i}" + "<" * 19_000, 1.0) for i in range(16)])  # six bytes each on the page
    quiet = [group(step, step, [member("fused", f"{step}" + "<think>" * 500, 1.0)]) for step in range(2, 60)]
    told, data = report(tmp_path, run_folder(tmp_path / "run", [loud, *quiet], steps=60), limit=1_000_000)
    assert told["bytes"] <= 1_000_000
    assert 1 not in {each["s"] for each in data["groups"]} and told["groups"] > 20
    assert not any("<<" in text for text in data["texts"]), "what is left out leaves nothing behind"


def test_a_limit_that_no_page_keeps_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="a megabyte at least, not 999,999"):
        write([run_folder(tmp_path / "run")], tmp_path / "r.html", limit=999_999)


def test_places_that_come_first_lie_far_apart():
    order = sorted(range(8), key=_halves(8).__getitem__)
    assert order == [0, 4, 2, 6, 1, 5, 3, 7]
    assert sorted(_halves(13)) == list(range(13))


def test_a_line_that_is_being_written_is_left_for_later(tmp_path):
    run = run_folder(tmp_path / "run", [two_sided(1, 1), two_sided(2, 2), json.dumps(two_sided(3, 3))[:700]])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "rew')
    told, data = report(tmp_path, run)
    assert told["groups"] == 2 and told["left_out"] == 0
    assert data["runs"][0]["metrics"]["step"] == [1, 2, 3, 4]
    assert dict(data["runs"][0]["facts"])["steps"] == "4, not finished"


def test_lines_that_are_no_groups_are_counted(tmp_path):
    run = run_folder(
        tmp_path / "run", [two_sided(1, 1), "no json\n", "[1]\n", '{"step": 2, "x\n', "[" * 100_000 + "\n"]
    )
    told, data = report(tmp_path, run)
    assert told["groups"] == 1
    assert "no groups, or too long, and left out: 3" in told["notes"][0]
    assert data["runs"][0]["notes"][-1] == "lines of rollouts.jsonl that cannot be read as groups: 1"


def test_what_is_no_run_is_named(tmp_path):
    run_folder(tmp_path / "mars")
    with pytest.raises(DataError, match=r"marz: no such folder; did you mean .*mars\?"):
        read([tmp_path / "marz"])
    with pytest.raises(DataError, match="a run is a folder, and this is a file"):
        read([tmp_path / "mars" / "recipe.yaml"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no run; its folder holds recipe\.yaml"):
        read([tmp_path / "empty"])
    (tmp_path / "empty" / "recipe.yaml").write_text("seed: 0\n")
    with pytest.raises(DataError, match="has not taken a step yet"):
        read([tmp_path / "empty"])


def test_a_run_without_rollouts_has_its_curves(tmp_path):
    run = run_folder(tmp_path / "run")
    (run / "rollouts.jsonl").unlink()
    told, data = report(tmp_path, run)
    assert told["notes"] == ["run: no rollouts.jsonl: there are no answers to look at"]
    assert data["groups"] == [] and dict(data["runs"][0]["metrics"]["columns"])["reward"] == [0.5] * 4


def test_runs_of_one_name_are_told_apart_and_one_given_twice_is_one(tmp_path):
    runs = [run_folder(tmp_path / place / "mars") for place in ("one", "two")]
    assert [run.name for run in read([*runs, runs[0]])] == ["one/mars", "two/mars"]


def test_data_end_no_element_and_come_back_as_they_were():
    data = {"__proto__": HOSTILE, "x": ["]]>", "&lt;", "\u202eabc"]}
    text = inert(data)
    assert json.loads(text) == data
    assert text.isascii() and not set("<>&") & set(text)


def test_a_hostile_run_is_written_whole(tmp_path):
    hostile = group(1, 1, [member("fused", HOSTILE, 1.0), member("guest:" + HOSTILE, "x" * 1_000_000, None)])
    hostile["question"] = hostile["metadata"]["task"] = HOSTILE
    hostile["members"][0]["parts"] = {"__proto__": 1.0, HOSTILE: float("nan"), "constructor": "text"}
    run = run_folder(tmp_path / "<img src=x onerror=alert(1)>", [hostile], **{"__proto__": 1.0, f"gain/{HOSTILE}": 0.5})
    _, data = report(tmp_path, run)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<img" not in page and "window.evil" not in page.replace(r"window.evil=1\u003c", "")
    only = data["groups"][0]
    assert data["texts"][only["m"][0]["x"]] == HOSTILE
    assert data["terms"][only["m"][0]["p"]] == [["__proto__", 1], [HOSTILE, None], ["constructor", None]]
    assert len(data["texts"][only["m"][1]["x"]]) < LONGEST + 100


def test_values_of_any_kind_do_not_stop_it(tmp_path):
    odd = [
        {"step": 1},
        {"step": 2, "members": "none", "pictures": ["a"], "metadata": 5, "truth": {"a": [1]}, "question": 7},
        {"step": 3, "members": [{"origin": 3, "text": None, "reward": True, "parts": [1]}, "x"], "id": ["a"]},
        {"step": 4, "members": [], "pictures": {"rgb": None}, "metadata": {"frame": 5, "points": {"A": [True, "b"]}}},
    ]
    told, data = report(tmp_path, run_folder(tmp_path / "run", odd))
    assert told["groups"] == 4
    assert [len(each["m"]) for each in data["groups"]] == [0, 0, 1, 0]


def test_a_long_text_keeps_its_start_and_its_end():
    text = bounded("a" * LONGEST + "b" * LONGEST)
    assert text.startswith("a" * (LONGEST * 3 // 4)) and text.endswith("b" * (LONGEST // 4))
    assert f"[... {LONGEST:,} characters are not shown ...]" in text
    assert bounded("a" * LONGEST) == "a" * LONGEST


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([("fused", 1.0), ("fused", 0.0), ("mono:a", 1.0), ("mono:b", 0.5)], -0.25),
        ([("fused", 1.0), ("fused", None), ("mono:a", 0.0), ("guest:x", 1.0)], 1.0),
        ([("fused", 1.0)], None),
        ([("fused", None), ("mono:a", 1.0)], None),
    ],
)
def test_gain_is_the_difference_of_means(members, expected):
    assert gain([member(origin, "", reward) for origin, reward in members]) == expected


class TestPictures:
    """Of files."""

    @pytest.fixture
    def rows(self, tmp_path):
        data = tmp_path / "data"
        data.mkdir()
        Image.new("RGB", (640, 320), "red").save(data / "a.png")
        Image.new("I;16", (4, 4), 700).save(data / "deep.png")
        pictures = {"rgb": "a.png", "depth": {"path": "deep.png", "mapping": "depth:300-1000"}}
        row = {"id": "one", "question": "?", "sources": pictures, "truth": "3", "reward": "answer"}
        return lines(data / "rows.jsonl", [row])

    def run(self, tmp_path, rows, **changes):
        recipe = f"data:\n  train: jsonl:{rows}\ntrainer: {{max_steps: 1}}\n"
        from vantage import datasets

        sample = datasets.load(f"jsonl:{rows}")[0]
        record = group(1, 1, [member("fused", "3", 1.0)], id=sample.id)
        record["pictures"] = {name: source.ref for name, source in sample.sources.items()} | changes
        return run_folder(tmp_path / "run", [record], recipe=recipe)

    def test_they_are_read_as_training_read_them(self, tmp_path, rows):
        _, data = report(tmp_path, self.run(tmp_path, rows))
        (rgb, depth) = data["pictures"]
        assert rgb[1:] == [640, 320, ""] and depth[1:] == [4, 4, ""]
        assert rgb[0].startswith("data:image/webp") and depth[0].startswith("data:image/webp")

    def test_what_rollouts_name_is_never_opened(self, tmp_path, rows):
        Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
        run = self.run(tmp_path, rows, rgb=str(tmp_path / "secret.png"), other=f"{tmp_path}/data/../secret.png")
        _, data = report(tmp_path, run)
        told = [picture[3] for picture in data["pictures"] if not picture[0]]
        assert len(told) == 2
        assert "another picture here" in told[0] and "has no source 'other'" in told[1]

    def test_one_that_is_gone_is_named(self, tmp_path, rows):
        run = self.run(tmp_path, rows)
        (rows.parent / "a.png").unlink()
        _, data = report(tmp_path, run)
        assert "a.png" in data["pictures"][0][3] and data["pictures"][1][3] == ""

    def test_data_that_are_gone_are_named(self, tmp_path, rows):
        run = self.run(tmp_path, rows)
        rows.unlink()
        _, data = report(tmp_path, run)
        assert all(not uri and "rows.jsonl" in missing for uri, *_, missing in data["pictures"])

    def test_a_bomb_stays_closed(self, tmp_path, rows, monkeypatch):
        monkeypatch.setattr("vantage.pictures.source.MAX_PIXELS", 1000)
        _, data = report(tmp_path, self.run(tmp_path, rows))
        assert "640x320 is more than 1,000 pixels" in data["pictures"][0][3]


class TestGains:
    """Sentences and intervals, of 40 questions whose answers are known."""

    def run(self, tmp_path, before, after):
        run = run_folder(tmp_path / "run")
        for moment, fused in (("before", before), ("after", after)):
            views = [{"fused": f, "mono:rgb": i < 10, "mono:infrared": False} for i, f in enumerate(fused)]
            evaluated(run, moment, answers(views, ("count", "exists")))
        return read([run])[0]

    def test_a_change_is_paired(self, tmp_path):
        # Twenty of forty turn right, none turns wrong.
        run = self.run(tmp_path, [False] * 40, [i < 20 for i in range(40)])
        told = gains.told(run)
        assert told["title"] == "Training added 50.0 points." and told["tone"] == "good"
        assert told["about"].startswith("0.0 % → 50.0 % right over the same 40 held-out questions; 95 % interval")
        rows = {row["name"]: row for row in gains.matrix(run)}
        value, low, high = rows["fused"]["change"]
        # By the normal approximation half the width is 1.96 sqrt(.5 * .5 / 40) = .155.
        assert value == 0.5 and low == pytest.approx(0.345, abs=0.03) and high == pytest.approx(0.655, abs=0.03)
        assert rows["rgb"]["after"][0] == 0.25 and rows["rgb"]["change"][0] == 0

    def test_seeing_more_is_told_against_the_best_source(self, tmp_path):
        told = gains.told(self.run(tmp_path, [False] * 40, [i < 30 for i in range(40)]))
        assert told["seeing"] == "Seeing more meant knowing more."
        assert told["seen"].startswith(
            "After training, all pictures together give 50.0 points more right answers than rgb"
        )
        assert "0.0 % were right from a single source and wrong from all together" in told["seen"]

    def test_interference_is_counted(self, tmp_path):
        run = self.run(tmp_path, [True] * 40, [i >= 4 for i in range(40)])
        row = next(row for row in gains.matrix(run) if row["kind"] == "interference")
        assert (row["before"][0], row["after"][0], row["change"][0]) == (0, 0.1, 0.1)

    def test_no_difference_is_said_to_be_none(self, tmp_path):
        told = gains.told(self.run(tmp_path, [i % 2 == 0 for i in range(40)], [i % 2 == 1 for i in range(40)]))
        assert told["title"] == "No difference detected." and told["tone"] == "plain"

    def test_the_headline_is_that_of_the_test_and_not_of_the_interval(self, tmp_path):
        run = self.run(tmp_path, [i >= 5 for i in range(40)], [True] * 40)
        assert gains.matrix(run)[0]["change"][1] > 0
        told = gains.told(run)
        assert (
            told["title"] == "No difference detected."
        )  # five turned right, none wrong: p = 2 / 2**5, as compare says
        assert told["about"].endswith(", p = 0.062.")

    def test_a_run_that_was_cut_says_so(self, tmp_path):
        run = self.run(tmp_path, [True] * 40, [True] * 40)
        run.summary, run.recipe = {}, {"trainer": {"max_steps": 60}, "data": {"test": "night"}}
        del run.evaluations["after"]
        assert run.reached.endswith(" of 60")
        told = gains.told(run)
        assert told["title"] == "100.0 % right before training."
        assert told["about"].endswith(
            f"The run has not finished (step {run.reached}), so nothing is measured after it."
        )
        run.evaluations.clear()
        assert gains.told(run)["title"] == f"Not finished: step {run.reached}."
        assert gains.told(run)["about"] == "Nothing was measured on held-out questions."
        run.recipe = {**run.recipe, "data": {"test": None}}
        assert gains.told(run)["about"] == "The recipe names no held-out questions."
        run.summary = {"steps": 60}
        assert gains.told(run)["title"] == "Not measured on held-out questions."

    def test_less_is_said_to_be_less(self, tmp_path):
        told = gains.told(self.run(tmp_path, [True] * 40, [False] * 40))
        assert told["title"] == "Training cost 100.0 points." and told["tone"] == "bad"
        assert told["seeing"] == "Seeing more meant knowing less."

    def test_without_single_answers_there_is_no_interval(self, tmp_path):
        self.run(tmp_path, [False] * 40, [True] * 40)
        for moment in ("before", "after"):
            (tmp_path / "run" / f"{moment}.jsonl").unlink()
        run = read([tmp_path / "run"])[0]
        assert gains.told(run)["title"] == "+100.0 points." and "has no interval" in gains.told(run)["about"]
        assert gains.matrix(run)[0]["change"] == [1.0, None, None]
        assert any("before.jsonl cannot be read" in note for note in run.notes)

    def test_each_kind_of_question_has_its_own(self, tmp_path):
        run = self.run(tmp_path, [False] * 40, [i % 2 == 0 for i in range(40)])
        assert gains.tasks(run) == ["count", "exists"]
        assert [gains.matrix(run, task)[0]["after"][0] for task in gains.tasks(run)] == [1.0, 0.0]

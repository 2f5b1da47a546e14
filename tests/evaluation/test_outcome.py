"""Figures of answers, counted on fingers."""

import json
import math
from itertools import combinations

import pytest

from vantage.errors import DataError
from vantage.evaluation.outcome import Results, best_of, results


def row(name: str, origin: str = "fused", right: bool = True, **more) -> dict:
    plain = {
        "id": name, "task": "", "scene": f"id:{name}", "reward": "answer", "score": float(right), "truth": "yes",
        "origin": origin, "text": "<answer>yes</answer>" if right else "<answer>no</answer>", "tokens": 5,
        "finished": True, "correct": right, "formatted": True, "parts": {}, "error": "", "draw": None, "damage": "",
    }  # fmt: skip
    return {**plain, **more}


def question(name: str, fused: bool, rgb: bool, infrared: bool, **more) -> list[dict]:
    return [
        row(name, right=fused, **more),
        row(name, "mono:rgb", rgb, **more),
        row(name, "mono:infrared", infrared, **more),
    ]


def found(rows) -> Results:
    return results(rows, model="m", data="d")


def values(one: Results) -> dict[str, float]:
    return {name: figure.value for name, figure in one.figures.items()}


FOUR = [
    *question("a", True, False, True),
    *question("b", False, True, True),  # interference
    *question("c", True, False, False),  # right only together
    *question("d", False, False, True),  # interference
]


def test_views_by_hand():
    one = found(FOUR)
    known = values(one)
    assert (one.n, one.scenes, one.k, one.best_source) == (4, 4, 0, "infrared")
    assert (known["fused"], known["alone/rgb"], known["alone/infrared"]) == (0.5, 0.25, 0.75)
    assert (known["either"], known["interference"], known["only_together"]) == (0.75, 0.5, 0.25)
    assert known["gain"] == 0.5 - 0.75 == known["fused"] - known["alone/infrared"]
    assert known["fused"] - known["either"] == known["only_together"] - known["interference"]
    assert (known["format"], known["reward"], known["tokens"]) == (1.0, 0.5, 5.0)
    assert "miou" not in known and "pass@1" not in known
    for figure in one.figures.values():
        assert figure.n == 4 and figure.low <= figure.value <= figure.high


def test_subsets_and_damage_by_hand():
    rows = [
        *question("a", True, False, True), row("a", "mono:depth", False), row("a", "subset:rgb+depth", True),
        *question("b", True, False, True), row("b", "mono:depth", True), row("b", "subset:rgb+depth", False),
        row("a", right=False, damage="blank:rgb"), row("b", right=True, damage="blank:rgb"),
    ]  # fmt: skip
    known = values(found(rows))
    assert (known["subset/rgb+depth"], known["damaged/blank:rgb"], known["change/blank:rgb"]) == (0.5, 0.5, -0.5)
    assert known["fused"] == 1.0, "a damaged picture is no view of its own"


def test_samples_may_differ_in_their_sources():
    rows = [*question("a", True, True, False), row("b", right=False), row("b", "mono:depth", True)]
    one = found(rows)
    known = {name: (figure.n, figure.value) for name, figure in one.figures.items()}
    assert (known["alone/rgb"], known["alone/depth"], known["either"]) == ((1, 1.0), (1, 1.0), (2, 1.0))
    assert one.best_source == "rgb" and known["gain"] == (1, 0.0), "only where that source is there"


def test_a_source_of_few_questions_is_not_the_best_by_luck():
    many = [*question("a", True, True, False), *question("b", True, True, False), *question("c", True, False, False)]
    rare = [row("d"), row("d", "mono:depth", True), row("d", "mono:rgb", False)]
    assert found([*many, *rare]).best_source == "rgb", "one of one against two of four"
    often = [line for name in "ef" for line in (row(name), row(name, "mono:depth", True), row(name, "mono:rgb", True))]
    assert found([*many, *rare, *often]).best_source == "rgb", "three of three are half of six"
    assert found([*many[:3], *rare]).best_source == "rgb", "one of one is half of two"
    assert found([*many[:3], *rare, *often]).best_source == "depth", "three of three against three of four"


def test_one_picture_is_not_compared_with_itself():
    one = found([row("a"), row("a", "mono:page")])
    assert one.best_source == "" and not {"either", "gain", "alone/page", "interference"} & one.figures.keys()


@pytest.mark.parametrize("answers", ["AAbb", "Abcd", "bbbb", "AAAA"])
def test_drawn_answers_are_counted_as_every_choice_of_them_would_be(answers):
    """A capital letter is right."""
    drawn = [
        row("a", right=letter.isupper(), text=f"<answer>{letter}</answer>", draw=place)
        for place, letter in enumerate(answers)
    ]
    one = found([*FOUR[:3], *drawn])
    known = values(one)
    for k in (1, 2, 4):
        hit = [any(letter.isupper() for letter in chosen) for chosen in combinations(answers, k)]
        assert known[f"pass@{k}"] == pytest.approx(sum(hit) / len(hit))
    assert known["all@4"] == float(answers.isupper())
    most = max(answers.count(letter) for letter in answers)
    leading = [letter for letter in set(answers) if answers.count(letter) == most]
    assert known["majority@4"] == pytest.approx(sum(letter.isupper() for letter in leading) / len(leading))
    assert (one.k, one.questions[0].drawn, known["fused"]) == (4, 4, 1.0)


def test_an_answer_that_did_not_come_is_not_wrong():
    rows = [row("a", right=False, failed="EndpointError: gone"), *FOUR[1:3], *FOUR[3:6],
            row("b", right=True, draw=0), row("b", right=False, draw=1, failed="EndpointError: gone")]  # fmt: skip
    one = found(rows)
    assert one.unanswered == 2
    assert one.figures["fused"].n == 1 and one.figures["fused"].value == 0.0
    assert one.figures["alone/rgb"].n == 2, "what did come counts"
    assert one.figures["interference"].n == 1
    assert one.questions[0].right["fused"] is None
    assert one.k == 1 and one.figures["pass@1"].value == 1.0


def test_boxes_that_cannot_be_read_stay_in_the_denominator():
    box = {"reward": "grounding"}
    rows = [
        row("a", parts={"iou": 0.9}, **box),
        row("b", right=False, parts={"iou": 0.5}, **box),
        row("c", right=False, parts={}, error="no readable boxes", **box),
        row("d", reward="answer"),
    ]
    known = found(rows).figures
    assert (known["miou"].n, known["miou"].value) == (3, pytest.approx(1.4 / 3))
    assert (known["accuracy@0.5"].n, known["accuracy@0.5"].value) == (3, pytest.approx(1 / 3))
    assert found([row("a", right=False, parts={}, **box)]).figures["miou"].value == 0.0


def test_questions_about_one_scene_widen_the_interval():
    def many(scene):
        return found([row(f"q{i}", right=i % 16 < 8, scene=scene(i)) for i in range(64)])

    apart, together = many(lambda i: f"s{i}"), many(lambda i: f"s{i // 8}")
    assert (apart.scenes, together.scenes) == (64, 8)
    assert apart.figures["fused"].value == together.figures["fused"].value == 0.5
    wide, narrow = (one.figures["fused"].high - one.figures["fused"].low for one in (together, apart))
    assert wide > 2 * narrow


def test_where_nothing_changed_something_may_have():
    rows = [one for i in range(10) for one in (row(f"q{i}"), row(f"q{i}", damage="noise:rgb"))]
    change = found(rows).figures["change/noise:rgb"]
    z2 = 1.959963984540054**2
    assert (change.value, change.high, change.low) == (0, pytest.approx(z2 / (10 + z2)), -change.high)


def test_one_scene_has_no_interval():
    one = found([row("a", scene="s"), row("b", right=False, scene="s")])
    assert (one.figures["fused"].low, one.figures["fused"].high) == (None, None)


def test_kinds_of_question_stand_apart_and_have_the_same_best_source():
    rows = [*question("a", True, False, True, task="x"), *question("b", True, True, False, task="y")]
    rows += question("c", True, True, False, task="y")
    one = found(rows)
    assert one.best_source == "rgb"
    assert (one.tasks["x"]["alone/rgb"].value, one.tasks["y"]["alone/rgb"].value) == (0.0, 1.0)
    assert one.tasks["x"]["gain"].value == 1.0


def test_the_earlier_source_is_best_on_a_tie():
    assert best_of(found(question("a", True, True, True)).questions) == "rgb"


def test_what_was_cut_or_could_not_be_scored_is_told():
    one = found([row("a", right=False, score=None), row("b", finished=False)])
    assert (one.unscored, one.unfinished, one.figures["reward"].value) == (1, 1, 0.5)


def test_it_reads_back_as_it_was_written(tmp_path):
    one = found([*FOUR, row("a", right=True, draw=0, text="<answer>\ud800</answer>")])
    one.save(tmp_path / "r.json")
    assert Results.load(tmp_path / "r.json") == one
    assert json.loads((tmp_path / "r.json").read_text())["vantage_results"] == 1


@pytest.mark.parametrize(
    "change",
    [{"vantage_results": 2}, {"n": 3}, {"questions": []}, {"acuracy": 1}, {"k": 0}, {"figures": {"fused": {"n": 0}}}],
)
def test_another_form_is_refused(tmp_path, change):
    one = found([*FOUR, row("a", right=True, draw=0)])
    (tmp_path / "r.json").write_text(json.dumps(json.loads(one.model_dump_json()) | change))
    with pytest.raises(DataError, match=r"r\.json: not results of 'vantage eval'"):
        Results.load(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no answers"),
        ([row("a", "mono:rgb")], "'a' has no answer from all"),
        ([row("a"), row("a")], "'a' was answered twice as fused"),
    ],
)
def test_rows_that_cannot_be_counted(rows, message):
    with pytest.raises(DataError, match=message):
        found(rows)


def test_rows_of_a_runs_evaluation_are_counted_too(tmp_path):
    old = [{key: value for key, value in one.items() if key not in ("scene", "draw", "damage")} for one in FOUR]
    assert values(found(old)) == values(found(FOUR))
    assert not math.isnan(values(found(old))["gain"])

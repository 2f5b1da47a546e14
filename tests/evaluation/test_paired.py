"""Comparisons against SciPy, loops and hand-made cases."""

import io
import json

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from vantage.errors import DataError
from vantage.evaluation.kept import load
from vantage.evaluation.outcome import results
from vantage.evaluation.paired import Comparison, compare
from vantage.evaluation.paired_table import TRAINING, paired_table, verdict


def row(place: int, right: bool, **more) -> dict:
    plain = {
        "id": f"q{place}", "task": "", "scene": f"s{place}", "reward": "answer", "score": float(right), "truth": "yes",
        "origin": "fused", "text": "yes", "tokens": 5, "finished": True, "correct": bool(right), "formatted": True,
        "parts": {}, "error": "", "draw": None, "damage": "",
    }  # fmt: skip
    return {**plain, **more}


def made(right, model="m", **more):
    rows = [row(place, one, **{key: value(place) for key, value in more.items()}) for place, one in enumerate(right)]
    return results(rows, model=model, data="d")


def shown(found, *sides, width=80) -> str:
    console = Console(width=width, color_system=None, file=io.StringIO())
    console.print(paired_table(found, *sides))
    return console.file.getvalue()


RANDOM = np.random.default_rng(0)
FIRST = RANDOM.random(200) < 0.5
SECOND = np.where(RANDOM.random(200) < 0.3, RANDOM.random(200) < 0.85, FIRST)


def test_two_models_question_by_question():
    found = compare([made(FIRST, "a")], [made(SECOND, "b")])
    gained, lost = int((SECOND & ~FIRST).sum()), int((FIRST & ~SECOND).sum())
    assert (found.test.gained, found.test.lost, found.test.name) == (gained, lost, "McNemar")
    assert found.test.p == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
    one = found.differences["fused"]
    assert (one.first, one.second) == (FIRST.mean(), SECOND.mean())
    assert one.difference.value == pytest.approx((gained - lost) / 200)
    error = (SECOND.astype(float) - FIRST).std() / 200**0.5
    assert one.difference.low == pytest.approx(one.difference.value - 1.96 * error, abs=0.3 * error)
    assert one.difference.high == pytest.approx(one.difference.value + 1.96 * error, abs=0.3 * error)
    assert found.test.least == pytest.approx(2.80 * error, rel=0.15)
    assert (found.n, found.scenes, found.left_out, found.first, found.second) == (200, 200, 0, ["a"], ["b"])


def test_the_other_way_round_is_the_same_with_the_other_sign():
    one, other = compare([made(FIRST)], [made(SECOND)]), compare([made(SECOND)], [made(FIRST)])
    assert one.test.p == other.test.p
    assert one.differences["fused"].difference.value == -other.differences["fused"].difference.value


def test_questions_of_a_scene_are_no_independent_trials():
    """Ten scenes of ten questions, in each of which all turn together: 10 trials, and not 100."""
    first = np.zeros(100, bool)
    second = np.repeat(np.arange(10) < 4, 10)
    found = compare(*([made(right, scene=lambda place: f"s{place // 10}")] for right in (first, second)))
    assert (found.test.name, found.scenes) == ("sign flips of scenes", 10)
    assert found.test.p == pytest.approx(2 / 2**4)  # of 16 choices of signs, all four alike: two
    assert not found.test.detected
    assert compare([made(first)], [made(second)]).test.p < 1e-9


def test_the_order_of_the_files_does_not_matter():
    rows = [row(place, right) for place, right in enumerate(SECOND)]
    mixed = results([rows[i] for i in np.random.default_rng(1).permutation(200)], model="m", data="d")
    found = compare([made(FIRST)], [mixed])
    assert found.test.p == compare([made(FIRST)], [made(SECOND)]).test.p


def test_several_seeds_are_paired():
    rates = [(0.50, 0.60), (0.42, 0.55), (0.61, 0.66), (0.55, 0.70)]
    sides = [[made(np.arange(100) < round(100 * pair[side])) for pair in rates] for side in (0, 1)]
    found = compare(*sides)
    d = np.array([b - a for a, b in rates])
    t = stats.ttest_1samp(d, 0)
    one = found.differences["fused"].difference
    assert (one.value, one.n) == (pytest.approx(d.mean()), 4)
    low, high = t.confidence_interval(0.95)
    assert (one.low, one.high) == (pytest.approx(low), pytest.approx(high))
    assert found.test.p == pytest.approx(t.pvalue) and found.test.sign_flip == 2 / 16
    assert (found.test.gained, found.test.lost, found.test.detected) == (4, 0, bool(t.pvalue < 0.05))


@pytest.mark.parametrize("gain", [10, 0])
def test_pairs_that_differ_alike_are_no_proof(gain):
    """0.6 - 0.5, 0.7 - 0.6, 0.8 - 0.7 are equal but for rounding: a t test would be as sure as can be."""
    starts = (50, 60, 70)
    sides = [[made(np.arange(100) < start + more) for start in starts] for more in (0, gain)]
    found = compare(*sides)
    assert found.test.p == found.test.sign_flip == (0.25 if gain else 1.0) and not found.test.detected
    one = found.differences["fused"].difference
    assert (one.low, one.high, found.test.least) == (None, None, None)
    assert "all differ alike" in " ".join(shown(found).split()) and verdict(found).startswith("No difference detected")


def test_no_difference_is_called_so_with_what_could_have_been_seen():
    found = compare([made(FIRST)], [made(FIRST)])
    assert found.test.p == 1.0 and not found.test.detected
    assert verdict(found).startswith(
        "No difference detected (all pictures together: +0.0 points, -1.9 to +1.9, p = 1.000): "
    )  # none of 200 changed: Wilson's interval of 0 of 200 is 0 to 1.9 %
    assert "would have been seen" in verdict(found)
    better = compare([made(np.zeros(50, bool), "a")], [made(np.ones(50, bool), "b")])
    assert verdict(better).startswith("The second is better: 100.0 points more")
    worse = compare([made(np.ones(50, bool))], [made(np.zeros(50, bool))])
    assert verdict(worse).startswith("The second is worse: 100.0 points fewer")


def test_before_and_after_training():
    found = compare([made(FIRST, "base")], [made(SECOND, "trained")])
    one = found.differences["fused"].difference
    text = shown(found, TRAINING)
    assert "before: base" in text and "after:  trained" in text and "first" not in text
    assert verdict(found, TRAINING).startswith(f"Training helped: {100 * one.value:.1f} points more right answers")
    assert f"({100 * one.low:+.1f} to {100 * one.high:+.1f}, p below 0.001)" in verdict(found, TRAINING)
    back = compare([made(SECOND)], [made(FIRST)])
    assert verdict(back, TRAINING).startswith(f"Training hurt: {100 * one.value:.1f} points fewer right answers")


def test_few_answers_turned_are_no_difference_though_all_turned_right():
    """Three turned right, none wrong: p = 2 / 2**3."""
    second = FIRST.copy()
    second[np.flatnonzero(~FIRST)[:3]] = True
    found = compare([made(FIRST)], [made(second)])
    assert found.test.p == pytest.approx(0.25)
    assert verdict(found, TRAINING).startswith("No difference detected")


def test_kinds_of_question_stand_apart():
    def task(place):
        return "count" if place < 80 else "find" if place < 199 else ""

    found = compare([made(FIRST, task=task)], [made(SECOND, task=task)])
    assert list(found.tasks) == ["count", "find"]
    one = found.tasks["count"]
    assert (one.first, one.second, one.difference.n) == (FIRST[:80].mean(), SECOND[:80].mean(), 80)
    assert one == compare([made(FIRST[:80])], [made(SECOND[:80])]).differences["fused"]
    line = next(line for line in shown(found, TRAINING).splitlines() if line.strip().startswith("find"))
    before, after, change = (float(cell) for cell in line.split()[1:4])
    assert (before, after) == (round(100 * FIRST[80:199].mean(), 1), round(100 * SECOND[80:199].mean(), 1))
    assert change == pytest.approx(100 * (SECOND[80:199].mean() - FIRST[80:199].mean()), abs=0.06)
    assert compare([made(FIRST)], [made(SECOND)]).tasks == {}, "one kind is no division"
    several = compare([made(FIRST, task=task)] * 3, [made(SECOND, task=task)] * 3)
    assert several.tasks["count"].difference.n == 3


def test_other_questions_are_refused_with_how_many_are_in_common():
    some = made(SECOND[:150])
    with pytest.raises(
        DataError, match=r"200 questions of d, m answered 150 questions of d, and 150 are the same; --common"
    ):
        compare([made(FIRST)], [some])
    found = compare([made(FIRST)], [some], common=True)
    assert (found.n, found.left_out) == (150, 50)
    assert found.differences["fused"].first == FIRST[:150].mean()
    assert "50 questions that not all of them answered" in shown(found)


def test_all_pairs_are_of_the_same_questions_in_whatever_order():
    def task(place):
        return "count" if place < 80 else "find"

    def turned(right):  # the same in another order
        rows = [row(place, one, task=task(place)) for place, one in enumerate(right)]
        return results(rows[::-1], model="m", data="d")

    sides = [[made(right, task=task), turned(right[:150])] for right in (FIRST, SECOND)]
    with pytest.raises(DataError, match="and 150 are the same in all 4 files; --common"):
        compare(*sides)
    found = compare(*sides, common=True)
    assert (found.n, found.left_out) == (150, 50)
    assert found.differences["fused"].first == FIRST[:150].mean()
    assert found.tasks["count"].first == pytest.approx(FIRST[:80].mean())
    assert found.tasks["find"].second == pytest.approx(SECOND[80:150].mean())


def test_the_same_id_with_another_truth_is_another_question():
    other = made(SECOND, truth=lambda place: "no" if place < 5 else "yes")
    with pytest.raises(DataError, match="195 are the same"):
        compare([made(FIRST)], [other])
    with pytest.raises(DataError, match=r"and 0 are the same$"):
        compare([made(FIRST)], [made(SECOND, truth=lambda place: "no")], common=True)


def test_answers_that_did_not_come_leave_the_pair_out():
    first = results(
        [row(place, right, **({"failed": "gone"} if place < 20 else {})) for place, right in enumerate(FIRST)],
        model="m", data="d",
    )  # fmt: skip
    one = compare([first], [made(SECOND)]).differences["fused"]
    assert one.difference.n == 180 and one.second == SECOND[20:].mean()


def test_drawn_answers_alone_can_be_compared():
    def drawn(right):
        return results([row(i, one, draw=0) for i, one in enumerate(right)], model="m", data="d")

    assert compare([drawn(FIRST)], [drawn(SECOND)]).test.figure == "pass@1"
    with pytest.raises(DataError, match="nothing to test"):
        compare([drawn(FIRST)], [made(SECOND)])


def test_tables_fit_and_names_are_shown_as_they_are():
    more = {"origin": lambda place: "fused"}
    rows = [
        row(place, right, origin=origin)
        for place, right in enumerate(FIRST)
        for origin in ("fused", "mono:[bold]x", "mono:y\x1b[2J", "subset:a+b%2B")
    ]
    one = results(rows, model="runs/[archive]/\x1b[31mx", data="night")
    text = shown(compare([one], [one]))
    assert max(map(len, text.splitlines())) <= 80
    assert "[bold]x alone" in text and "\x1b" not in text and "runs/[archive]/" in text and "a and b+" in text
    many = shown(compare([made(FIRST, **more)] * 3, [made(SECOND)] * 3))
    assert "3 pairs" in many and "never below 0.250" in many and max(map(len, many.splitlines())) <= 80


def test_it_reads_back(tmp_path):
    found = compare([made(FIRST)], [made(SECOND)])
    found.save(tmp_path / "c.json")
    assert Comparison.load(tmp_path / "c.json") == found


def test_evaluations_of_runs_are_read_with_the_answers_beside_them(tmp_path):
    from vantage.evaluation import Evaluation, figures, write_rows

    for moment, right in (("before", FIRST), ("after", SECOND)):
        old = [
            {k: v for k, v in row(i, one).items() if k not in ("scene", "draw", "damage")}
            for i, one in enumerate(right)
        ]
        Evaluation(**dict(figures(old)), model=moment, data="d", seconds=1.0).save(tmp_path / f"{moment}.json")
        write_rows(tmp_path / f"{moment}.jsonl", old)
    found = compare([load(tmp_path / "before.json")], [load(tmp_path)])
    assert found.second == ["after"] and found.test.p == compare([made(FIRST)], [made(SECOND)]).test.p
    (tmp_path / "before.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(DataError, match=r"before\.jsonl: no answers"):
        load(tmp_path / "before.json")
    (tmp_path / "before.jsonl").unlink()
    with pytest.raises(DataError, match="its answers should lie in"):
        load(tmp_path / "before.json")


def test_evaluations_with_reasoners_are_named(tmp_path):
    from vantage.evaluation import write_rows

    about = {"model": "m", "data": "d", "n": 200, "settings": {}}
    (tmp_path / "r.json").write_text(json.dumps([about | {"reasoner": "one"}, about | {"reasoner": "two"}]))
    rows = [
        row(i, right, reasoner=name) for name, side in (("one", FIRST), ("two", SECOND)) for i, right in enumerate(side)
    ]
    rows[0] |= {"failed": "gone", "score": None}
    write_rows(tmp_path / "r.jsonl", rows)
    one, two = (load(f"{tmp_path}/r.json#{name}") for name in ("one", "two"))
    assert (one.figures["fused"].n, two.figures["fused"].value) == (199, SECOND.mean())
    with pytest.raises(DataError, match=r"r\.json holds one, two; name one of them, as .*r\.json#one"):
        load(tmp_path / "r.json")
    (tmp_path / "before.json").write_text(json.dumps(about))
    write_rows(tmp_path / "before.jsonl", rows)
    assert load(tmp_path / "before.json").figures == one.figures, "a run's own is that of the reasoner of training"
    (tmp_path / "before_reasoners.json").write_text((tmp_path / "r.json").read_text())
    assert load(f"{tmp_path}/before_reasoners.json#two").figures == two.figures
    write_rows(tmp_path / "before_reasoners.jsonl", rows[:200])
    assert load(f"{tmp_path}/before_reasoners.json#one").figures == one.figures, "answers of its own come first"
    with pytest.raises(DataError, match="no answers"):
        load(f"{tmp_path}/before_reasoners.json#two")


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense", '{"model": "m"}', json.dumps({"a": [1] * 999})])
def test_what_is_no_result_is_named(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=r"x\.json: not results of 'vantage eval'"):
        load(tmp_path / "x.json")
    with pytest.raises(DataError, match="gone"):
        load(tmp_path / "gone.json")


@pytest.mark.slow
def test_where_there_is_no_difference_one_is_seen_in_one_of_twenty():
    random, seen = np.random.default_rng(4), []
    for _ in range(300):
        easy = random.beta(1, 1, 120)
        first, second = (random.random(120) < easy for _ in range(2))
        seen.append(compare([made(first)], [made(second)]).test.detected)
    assert np.mean(seen) <= 0.075  # exact tests err on the side of too few

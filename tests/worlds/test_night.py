"""The night world's truths, checked against an observer who sees nothing but the pictures and the question."""

from collections import Counter

import numpy as np
import pytest

from vantage import worlds

NIGHT = worlds.get("night")


def cells_where(mask: np.ndarray, least: int) -> list[str]:
    """Names of the 16-pixel cells that hold at least so many true pixels."""
    counts = mask.reshape(4, 16, 4, 16).sum((1, 3))
    return ["ABCD"[x] + str(y + 1) for y in range(4) for x in range(4) if counts[y, x] >= least]


def look(sample) -> dict[str, list[str]]:
    """What a careful observer finds: warm bodies, lamps, and human figures in colour."""
    rgb = np.asarray(sample.source("rgb").load()).astype(int)
    infrared = np.asarray(sample.source("infrared").load())[..., 0].astype(int)
    lamp_yellow = (np.abs(rgb - (250, 220, 90)) < 28).all(2)
    drowned = np.median(infrared) > 100
    return {
        "warm": [] if drowned else cells_where(infrared > 120, 35),
        "lamps": cells_where(lamp_yellow, 38),
        "figures": cells_where(rgb.min(2) > 100, 20),
        "drowned": drowned,
    }


def people_seen_by_both(sample) -> list[str]:
    seen = look(sample)
    return seen["figures"] if seen["drowned"] else [c for c in seen["warm"] if c not in seen["lamps"]]


def answer(sample, people: list[str]) -> object:
    """Answer the question in words from the cells of people."""
    question = sample.question
    if question == "How many people are there?":
        return str(len(people))
    if question == "Where is the person?":
        (cell,) = people
        x, y = "ABCD".index(cell[0]), int(cell[1]) - 1
        return [2 * x, 2 * y, 2 * x + 2, 2 * y + 2]
    half = question.removeprefix("Is there a person in the ").removesuffix(" half?")
    columns, rows = {c[0] for c in people}, {c[1] for c in people}
    return "yes" if {"left": columns & set("AB"), "right": columns & set("CD"), "top": rows & set("12"),
                     "bottom": rows & set("34")}[half] else "no"  # fmt: skip


@pytest.mark.parametrize("mix", list(NIGHT.mixes))
def test_both_pictures_together_settle_every_question(mix):
    for sample in NIGHT.dataset("test", n=450, mix=mix, seed=7):
        assert answer(sample, people_seen_by_both(sample)) == sample.truth, sample.id


def test_a_box_is_the_smallest_that_holds_the_person():
    checked = 0
    for sample in NIGHT.dataset("test", n=200, mix="easy", tasks=["locate"]):
        if "infrared" not in sample.metadata["enough"]:
            continue
        infrared = np.asarray(sample.source("infrared").load())[..., 0].astype(int)
        rows, columns = np.nonzero(infrared > 130)
        edges = [columns.min() / 8, rows.min() / 8, (columns.max() + 1) / 8, (rows.max() + 1) / 8]
        assert [*np.floor(edges[:2]).tolist(), *np.ceil(edges[2:]).tolist()] == sample.truth
        assert sample.metadata["frame"] == "relative:8"
        checked += 1
    assert checked > 80


def test_a_source_that_is_enough_gives_the_answer_alone_and_others_often_mislead():
    wrong = Counter()
    for sample in NIGHT.dataset("test", n=900, tasks=["count", "exists"]):
        seen = look(sample)
        alone = {"rgb": seen["figures"], "infrared": seen["warm"]}
        for name, people in alone.items():
            right = answer(sample, people) == sample.truth
            assert right or name not in sample.metadata["enough"], (sample.id, name)
            wrong[name] += not right
    assert 0.25 < wrong["rgb"] / 900 < 0.65
    assert 0.25 < wrong["infrared"] / 900 < 0.65


@pytest.mark.parametrize("mix", list(NIGHT.mixes))
def test_conditions_posters_and_lamps_come_at_the_stated_rates(mix):
    odds, samples = NIGHT.mixes[mix], list(NIGHT.dataset("train", n=1500, mix=mix))
    conditions = Counter(s.metadata["condition"] for s in samples)
    for condition in ("clear", "night", "smoke", "hot"):
        assert abs(conditions[condition] / 1500 - odds[condition]) < 0.045
    kinds = [{thing["kind"] for thing in s.metadata["objects"]} for s in samples]
    cool = [k for k, s in zip(kinds, samples, strict=True) if s.metadata["condition"] != "hot"]
    assert abs(np.mean(["lamp" in k for k in kinds]) - odds["lamps"]) < 0.045
    assert abs(np.mean(["poster" in k for k in cool]) - odds["posters"]) < 0.05
    rgb = np.mean(["rgb" in s.metadata["enough"] for s in samples])
    infrared = np.mean(["infrared" in s.metadata["enough"] for s in samples])
    assert abs(rgb - (odds["hot"] + odds["clear"] * (1 - odds["posters"]))) < 0.05
    assert abs(infrared - (1 - odds["hot"]) * (1 - odds["lamps"])) < 0.05


def test_answers_are_balanced():
    counts = Counter(s.truth for s in NIGHT.dataset(n=500, tasks=["count"]))
    assert counts == {str(n): 100 for n in range(5)}
    exists = list(NIGHT.dataset(n=600, tasks=["exists"]))
    assert Counter(s.truth for s in exists) == {"yes": 300, "no": 300}
    for half, truths in ((h, [s.truth for s in exists if f" {h} " in s.question]) for h in worlds.night.HALVES):
        assert 0.38 < truths.count("yes") / len(truths) < 0.62, half
    cells = Counter(s.metadata["reasoning"] for s in NIGHT.dataset(n=640, tasks=["locate"]))
    assert len(cells) == 16
    assert max(cells.values()) < 70


def test_a_credulous_answer_takes_every_lookalike_for_a_person():
    fooled, plain = 0, 0
    for sample in NIGHT.dataset("train", n=450, mix="hard"):
        deceptions = [o["cell"] for o in sample.metadata["objects"] if o["kind"] in ("poster", "lamp")]
        people = [o["cell"] for o in sample.metadata["objects"] if o["kind"] == "person"]
        believed = NIGHT.credulous(sample)
        if not deceptions:
            assert believed is None
            plain += 1
            continue
        fooled += 1
        assert (believed.id, believed.question, believed.sources) == (sample.id, sample.question, sample.sources)
        if sample.metadata["task"] == "locate":
            (cell,) = believed.metadata["reasoning"].split()
            assert cell == min(deceptions, key=lambda c: (c[1], c[0]))
            assert believed.truth != sample.truth
        else:
            assert believed.truth == answer(sample, people + deceptions)
        if sample.metadata["task"] == "count":
            assert int(believed.truth) == int(sample.truth) + len(deceptions)
    assert fooled > 200
    assert plain > 50
    depth = worlds.get("depth")
    assert depth.credulous(depth.dataset("train", n=1)[0]) is None

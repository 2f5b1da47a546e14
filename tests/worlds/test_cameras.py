"""Cameras: what the panorama holds, found again from what each picture shows."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from vantage import worlds

WORLD = worlds.get("cameras")
KINDS = {"people": "person", "lamps": "lamp", "bushes": "bush", "person": "person", "lamp": "lamp", "bush": "bush"}


def kind_of(sample) -> str:
    return next(KINDS[word] for word in sample.question.replace("?", "").split() if word in KINDS)


def places(sample, kind: str, shown: list[str]) -> set[tuple[int, str]]:
    """Columns of the panorama and rows of real things of a kind, from the sightings of these cameras alone.

    Column D of a camera is column A of the next; what one of two neighbours sees from the side is a board.
    """
    cameras = list(sample.sources)
    seen = defaultdict(set)
    for thing in sample.metadata["objects"]:
        if thing["source"] in shown:
            column = 3 * cameras.index(thing["source"]) + "ABCD".index(thing["cell"][0])
            seen[column, thing["cell"][1]].add(thing["kind"])
    return {place for place, kinds in seen.items() if kinds == {kind}}


def answer(sample, shown: list[str]) -> str:
    """The answer of one who sees these cameras alone and believes that there is nothing else."""
    kind, cameras = kind_of(sample), list(sample.sources)
    found = places(sample, kind, shown)
    if sample.metadata["task"] == "count":
        return str(len(found))
    if sample.metadata["task"] == "exists":
        return "yes" if found else "no"
    ((column, row),) = found
    (camera,) = {
        thing["source"] for thing in sample.metadata["objects"]
        if thing["kind"] == kind and thing["cell"][1] == row
        and 3 * cameras.index(thing["source"]) + "ABCD".index(thing["cell"][0]) == column
    }  # fmt: skip
    return camera


@pytest.mark.parametrize("mix", list(WORLD.mixes))
def test_all_cameras_together_settle_every_question(mix):
    for sample in WORLD.dataset("test", n=150, mix=mix, seed=7):
        assert answer(sample, list(sample.sources)) == sample.truth, sample.id


def test_a_camera_that_is_enough_answers_alone_and_most_are_not():
    right, pairs = Counter(), 0
    for sample in WORLD.dataset("test", n=360):
        pairs += len(sample.sources)
        assert sample.metadata["enough"] == [] or sample.metadata["task"] != "which"
        for camera in sample.metadata["enough"]:
            right[sample.metadata["task"]] += 1
            assert answer(sample, [camera]) == sample.truth, (sample.id, camera)
            assert not any(thing.get("flat") and thing["kind"] == kind_of(sample) and thing["source"] == camera
                           for thing in sample.metadata["objects"])  # fmt: skip
    assert 0.05 < sum(right.values()) / pairs < 0.25
    assert set(right) == {"count", "exists"}


def test_adding_the_pictures_up_is_often_wrong():
    samples = list(WORLD.dataset("test", n=200, tasks=["count"]))
    naive = [
        str(sum(thing["kind"] == kind_of(sample) for thing in sample.metadata["objects"])) == sample.truth
        for sample in samples
    ]
    assert 0.2 < np.mean(naive) < 0.6


def test_rigs_are_neighbours_in_order_and_all_sizes_are_met():
    sizes = Counter()
    for sample in WORLD.dataset("train", n=90):
        names = list(sample.sources)
        start = WORLD.sources.index(names[0])
        assert tuple(names) == WORLD.sources[start : start + len(names)]
        sizes[len(names)] += 1
    assert set(sizes) == {4, 5, 6}


def test_every_answer_to_every_question_is_equally_frequent():
    truths = defaultdict(Counter)
    for sample in WORLD.dataset("test", n=180, tasks=["count", "exists"]):
        truths[sample.question][sample.truth] += 1
    assert len(truths) == 6
    for question, counts in truths.items():
        assert set(counts) == (set("01234") if question.startswith("How") else {"yes", "no"})
        assert len(set(counts.values())) == 1, question


def test_no_camera_is_the_answer_more_often_than_its_share():
    """In each rig all its cameras take turns: always naming the same earns 1 / size where it is there at all."""
    samples = list(WORLD.dataset("test", n=360, tasks=["which"]))
    truths = defaultdict(Counter)
    for sample in samples:
        truths[sample.question, tuple(sample.sources)][sample.truth] += 1
    assert len(truths) == 3 * 6
    for (_, rig), counts in truths.items():
        assert set(counts) == set(rig)
        assert max(counts.values()) - min(counts.values()) <= 1
    fair = np.mean([1 / len(sample.sources) for sample in samples])
    assert max(Counter(sample.truth for sample in samples).values()) <= 360 * fair + 1e-9


@pytest.mark.parametrize("mix", list(WORLD.mixes))
def test_conditions_come_at_the_stated_rates_and_are_what_they_say(mix):
    samples = list(WORLD.dataset("train", n=300, mix=mix, tasks=["count", "exists"]))
    seen = Counter(sample.metadata["condition"] for sample in samples)
    for condition, share in WORLD.mixes[mix].items():
        assert abs(seen[condition] / 300 - share) < 0.08
    for sample in samples:
        kind, condition, things = kind_of(sample), sample.metadata["condition"], sample.metadata["objects"]
        twice = sum(thing["kind"] == kind for thing in things) - len(places(sample, kind, list(sample.sources)))
        assert (condition == "boards") == any(thing["kind"] == "board" for thing in things)
        assert condition != "clear" or twice == 0
        if condition == "overlap" and sample.truth not in ("0", "no"):
            assert twice > 0


def grey(sample, name: str) -> np.ndarray:
    return np.asarray(sample.source(name).load()).astype(float).mean(2)


def test_pictures_show_what_the_objects_say_and_nothing_else():
    """A cell that holds something differs from its row's ground; one far from all that is there does not."""
    for sample in WORLD.dataset("test", n=45, mix="hard"):
        held = {(thing["source"], thing["cell"]) for thing in sample.metadata["objects"]}
        for name in sample.sources:
            picture = np.asarray(sample.source(name).load()).astype(float)
            ground = np.median(picture, axis=1, keepdims=True)
            differs = (np.abs(picture - ground).max(2) > 45).reshape(4, 16, 4, 16).sum((1, 3))
            for row in range(4):
                for column in range(4):
                    around = [(c, r) for c in range(column - 1, column + 2) for r in range(row - 1, row + 2)]
                    beside = {(name, f"{'ABCD'[c]}{r + 1}") for c, r in around if 0 <= c < 4}
                    if (name, f"{'ABCD'[column]}{row + 1}") in held:
                        assert differs[row, column] >= 8, (sample.id, name, row, column)
                    elif not beside & held:
                        assert differs[row, column] <= 2, (sample.id, name, row, column)


def test_a_dark_camera_shows_nothing_and_only_in_the_dark():
    for sample in WORLD.dataset("test", n=60):
        dark = [name for name in sample.sources if grey(sample, name).mean() < 15]
        assert len(dark) == (sample.metadata["condition"] == "dark"), sample.id
        assert not any(thing["source"] in dark for thing in sample.metadata["objects"])


def test_one_who_believes_every_picture_counts_twice_and_takes_boards_for_the_thing():
    fooled = Counter()
    for sample in WORLD.dataset("train", n=240):
        kind, believed = kind_of(sample), WORLD.credulous(sample)
        seen = [thing for thing in sample.metadata["objects"] if thing["kind"] == kind]
        flat = [thing["source"] for thing in seen if thing.get("flat")]
        task = sample.metadata["task"]
        if believed is None:
            assert (len(seen) == int(sample.truth)) if task == "count" else not flat or sample.truth in ("yes", *flat)
            continue
        fooled[task] += 1
        assert believed.truth != sample.truth
        if task == "count":
            assert int(believed.truth) == min(9, len(seen))
        elif task == "which":
            assert [believed.truth] == flat
        else:
            assert believed.truth == "yes"
    assert min(fooled[task] for task in WORLD.tasks) > 8

"""The depth world's truths, checked against levels that are measured in the pictures."""

from collections import Counter

import numpy as np
import pytest
from scipy import ndimage

from vantage import worlds

DEPTH = worlds.get("depth")


def asked_about(sample) -> list[dict]:
    """The two objects that the question names, in its order."""
    by_kind = {thing["kind"]: thing for thing in sample.metadata["objects"]}
    return [by_kind[word] for word in sample.question.rstrip("?").split() if word in by_kind]


def corner(cell: str) -> tuple[int, int]:
    return 16 * "ABCD".index(cell[0]), 16 * (int(cell[1]) - 1)


def depth_picture(sample) -> np.ndarray:
    return np.asarray(sample.source("depth").load())[..., 0].astype(float)


def level_by_depth(sample, cell: str, neighbour: str = "") -> int:
    """Level that the depth picture reports: grey 240 is level 1, 36 darker for each further level, wall at 20.

    Objects lean over the edge between adjacent cells, so four pixels are left out on the neighbour's side.
    """
    (x, y), (u, v) = corner(cell), corner(neighbour or cell)
    patch = depth_picture(sample)[y : y + 16, x : x + 16]
    if neighbour:
        patch = patch[4 * (v < y) : 16 - 4 * (v > y), 4 * (u < x) : 16 - 4 * (u > x)]
    return round((240 - np.median(patch[patch > 42])) / 36) + 1


def radius_by_size(sample, cell: str) -> float:
    """Half the height of the glass outline around a cell."""
    x, y = corner(cell)
    rgb = np.asarray(sample.source("rgb").load()).astype(int)
    pale = (rgb[..., 1] > 205) & (rgb[..., 2] > 205) & (rgb[..., 0] < 235)
    rows = np.nonzero(pale[max(0, y - 1) : y + 17, max(0, x - 1) : x + 17])[0]
    return (rows.max() - rows.min() + 1) / 2


def adjacent(first: str, second: str) -> bool:
    (x, y), (u, v) = corner(first), corner(second)
    return abs(x - u) + abs(y - v) == 16


@pytest.mark.parametrize("mix", list(DEPTH.mixes))
def test_depth_settles_which_is_nearer_and_the_size_of_glass_does(mix):
    for sample in DEPTH.dataset("test", n=300, mix=mix, tasks=["nearer"], seed=5):
        a, b = asked_about(sample)
        if sample.metadata["condition"] == "glass":
            nearer = radius_by_size(sample, a["cell"]) > radius_by_size(sample, b["cell"])
        else:
            nearer = level_by_depth(sample, a["cell"]) < level_by_depth(sample, b["cell"])
        assert ("yes" if nearer else "no") == sample.truth, sample.id


def test_objects_touch_when_they_overlap_at_one_depth():
    for sample in DEPTH.dataset("test", n=400, tasks=["touch"], seed=5):
        (a, b), condition = asked_about(sample), sample.metadata["condition"]
        joined = adjacent(a["cell"], b["cell"])
        blobs, _ = ndimage.label(depth_picture(sample) > 42)
        overlap = {blobs[y : y + 16, x : x + 16].max() for x, y in (corner(a["cell"]), corner(b["cell"]))}
        if not joined:
            assert len(overlap) == 2, sample.id
        flush = joined and level_by_depth(sample, a["cell"], b["cell"]) == level_by_depth(sample, b["cell"], a["cell"])
        if condition == "glass":
            assert ("yes" if flush else "no") != sample.truth, sample.id
        else:
            assert ("yes" if flush else "no") == sample.truth, sample.id


def test_overlapping_objects_that_do_not_touch_fool_the_camera():
    """RGB shows two figures of one size that overlap; depth alone tells them apart."""
    decoys = [s for s in DEPTH.dataset("test", n=300, tasks=["touch"]) if s.metadata["condition"] == "decoy"]
    no = [s for s in decoys if s.truth == "no"]
    assert len(no) > 20
    for sample in no:
        a, b = asked_about(sample)
        assert adjacent(a["cell"], b["cell"])
        assert abs(a["level"] - b["level"]) >= 2


@pytest.mark.parametrize("mix", list(DEPTH.mixes))
def test_conditions_come_at_the_stated_rates(mix):
    samples = list(DEPTH.dataset("train", n=1500, mix=mix))
    seen = Counter(s.metadata["condition"] for s in samples)
    for condition, share in DEPTH.mixes[mix].items():
        assert abs(seen[condition] / 1500 - share) < 0.045
    for sample in samples:
        condition, enough = sample.metadata["condition"], sample.metadata["enough"]
        assert enough == {"clear": ["rgb", "depth"], "glass": ["rgb"]}.get(condition, ["depth"])


def test_answers_are_balanced_whatever_the_condition():
    for task in DEPTH.tasks:
        samples = list(DEPTH.dataset(n=1000, tasks=[task]))
        assert Counter(s.truth for s in samples) == {"yes": 500, "no": 500}
        for condition in DEPTH.mixes["hard"]:
            truths = [s.truth for s in samples if s.metadata["condition"] == condition]
            assert 0.38 < truths.count("yes") / len(truths) < 0.62


def test_a_dark_scene_shows_next_to_nothing_in_rgb():
    for sample in DEPTH.dataset("test", n=200):
        brightest = np.asarray(sample.source("rgb").load()).astype(float).mean(2)
        blurred = ndimage.uniform_filter(brightest, 5).max()
        assert (blurred < 25) == (sample.metadata["condition"] == "dark"), sample.id

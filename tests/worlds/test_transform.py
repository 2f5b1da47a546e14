"""Transform: the changes found again by trying all, from what was drawn; and what each picture shows."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest

from vantage import rewards, worlds
from vantage.worlds import figures
from vantage.worlds.canvas import CELLS
from vantage.worlds.transform import SIZES

CENTRE, LEFT, RIGHT = (worlds.get(name) for name in ("transform", "transform-left", "transform-right"))
VIEWS = pytest.mark.parametrize("world", [CENTRE, LEFT, RIGHT], ids=lambda world: world.name)
VALUES = {
    "change_color": ("red", "green", "blue", "yellow"),
    "change_shape": ("circle", "square", "triangle", "cross"),
    "change_size": ("small", "large"),
    "change_position": ("left", "right", "up", "down"),
}
HUES = {"red": (220, 45, 40), "green": (45, 165, 60), "blue": (50, 90, 225), "yellow": (235, 205, 45)}
State = tuple[str, str, str, str]


def states(sample, source: str) -> list[State]:
    """Cell, size, colour and shape of every object in one picture, by number."""
    things = [thing for thing in sample.metadata["objects"] if thing["source"] == source]
    return [(t["cell"], *t["kind"].split()) for t in sorted(things, key=lambda t: t["object"])]


def changed(state: State, function: str, value: str) -> State | None:
    """An object after a change; nothing where it would leave the table or stay as it is."""
    cell, size, color, shape = state
    if function == "change_position":
        x, y = "ABCD".index(cell[0]), int(cell[1])
        x, y = {"left": (x - 1, y), "right": (x + 1, y), "up": (x, y - 1), "down": (x, y + 1)}[value]
        return ("ABCD"[x] + str(y), size, color, shape) if 0 <= x < 4 and 1 <= y <= 4 else None
    after = {
        "change_color": (cell, size, value, shape),
        "change_shape": (cell, size, color, value),
        "change_size": (cell, value, color, shape),
    }[function]
    return after if after != state else None


def explanations(before: list[State], seen: set, changes: int, look) -> list[frozenset[str]]:
    """All sets of changes, one an object, after which the table looks like what is seen."""
    found = []
    options = [
        [(f"{function}({before[number][0]}, {value})", after) for function, values in VALUES.items() for value in values
         if (after := changed(state, function, value))]
        for number, state in enumerate(before)
    ]  # fmt: skip
    for numbers in itertools.combinations(range(len(before)), changes):
        for steps in itertools.product(*(options[number] for number in numbers)):
            after = list(before)
            for number, (_, state) in zip(numbers, steps, strict=True):
                after[number] = state
            cells = {state[0] for state in after}
            if len(cells) == len(after) and {look(state) for state in after} == seen:
                found.append(frozenset(step for step, _ in steps))
    return found


ASKED = {"Which change was made?": 1, "Which 2 changes were made?": 2}


@VIEWS
def test_one_explanation_fits_both_pictures_and_it_is_the_truth(world):
    for sample in world.dataset("test", n=60, seed=2):
        before, after = states(sample, "before"), states(sample, "after")
        found = explanations(before, set(after), ASKED[sample.question], look=lambda state: state)
        assert found == [frozenset(sample.truth)], sample.id


def test_no_picture_alone_is_enough():
    """Another change, of an object that both pictures show, leads to the same picture after or starts from the same."""
    for sample in CENTRE.dataset("test", n=60, seed=3):
        assert sample.metadata["enough"] == []
        before, changes = states(sample, "before"), ASKED[sample.question]
        starts = [state for state in before if f"({state[0]}, " not in " ".join(sample.truth)]
        assert len(starts) == len(before) - changes
        # What stands still could as well have been of another size before: the picture after does not tell.
        other = changed(starts[0], "change_size", "small" if starts[0][1] == "large" else "large")
        assert other is not None
        assert f"change_size({starts[0][0]}, {starts[0][1]})" not in sample.truth


def test_functions_and_objects_take_turns():
    samples = list(CENTRE.dataset("train", n=160, tasks=["single"]))
    truths = [sample.truth for sample in samples]
    parts = [re.fullmatch(r"(\w+)\(([A-D][1-4]), (\w+)\)", only) for (only,) in truths]
    numbers = [[state[0] for state in states(sample, "before")] for sample in samples]
    pairs = Counter((part[1], cells.index(part[2])) for part, cells in zip(parts, numbers, strict=True))
    assert len(pairs) == 16
    assert set(pairs.values()) == {10}
    best = Counter(only for (only,) in truths).most_common(1)[0][1]
    assert best <= 10, "no constant answer is right more often than that of a change of size"
    functions = Counter(
        step.partition("(")[0] for s in CENTRE.dataset("train", n=240, tasks=["double"]) for step in s.truth
    )
    assert set(functions) == set(VALUES)
    assert max(functions.values()) - min(functions.values()) < 50
    assert all(
        len({step.partition("(")[2][:2] for step in s.truth}) == 2 for s in CENTRE.dataset(n=40, tasks=["double"])
    )


@VIEWS
def test_gold_answers_earn_the_full_reward_and_others_less(world):
    reward = rewards.get("reason-rft-transformation")
    samples = list(world.dataset("train", n=40))
    for sample, other in itertools.pairwise(samples):
        assert reward.score(worlds.gold(sample), sample).reward == 1.0
        score = reward.score(worlds.gold(other), sample)
        assert set(other.truth) == set(sample.truth) or (score.reward < 1.0 and not score.correct)
        assert reward.score("<think> A1 </think> <answer> none </answer>", sample).reward == 0.0
    double = next(s for s in samples if s.metadata["task"] == "double")
    half = reward.score(f"<think> A1 </think> <answer> {double.truth[0]} </answer>", double)
    assert (half.reward, half.correct) == (0.5, False)
    assert world.credulous(double) is None


def seen_at(world, cell: str, source: str) -> tuple[float, float]:
    """Middle of a cell in a picture; from aside, as the docs say, narrower and sheared."""
    x, y = 16 * "ABCD".index(cell[0]) + 7.5, 16 * (int(cell[1]) - 1) + 7.5
    if source == "before" or world is CENTRE:
        return x, y
    return 32 + (x - 32) * 0.8 + (3 if world is LEFT else -3) * (y - 32) / 16, y


@VIEWS
def test_pictures_show_the_objects_in_their_colors_and_nothing_elsewhere(world):
    checked = 0
    for sample in world.dataset("test", n=80, seed=4):
        if sample.metadata["condition"] not in ("clear", "clutter"):
            continue
        for source in ("before", "after"):
            picture = np.asarray(sample.source(source).load()).astype(float)
            there = {cell: color for cell, _, color, _ in states(sample, source)}
            for cell in CELLS:
                x, y = (round(edge) for edge in seen_at(world, cell, source))
                middle = picture[y - 1 : y + 3, x - 1 : x + 3].reshape(-1, 3)
                # A thin cross fills less than half of it.
                mean = middle[np.argsort(np.ptp(middle, axis=1))[-6:]].mean(0)
                colored = np.ptp(mean) > 60
                assert colored == (cell in there), (sample.id, source, cell)
                if colored:
                    assert min(HUES, key=lambda name: np.abs(mean - HUES[name]).sum()) == there[cell]
                    checked += 1
    assert checked > 100


def test_sizes_and_shapes_can_be_told_apart():
    """Any two looks differ in at least thirty pixels."""
    looks = [figures.figure(shape, radius) for shape in figures.SHAPES for radius in SIZES.values()]
    assert min((one != other).sum() for one, other in itertools.combinations(looks, 2)) >= 30


def test_only_what_was_changed_looks_different():
    """By day and without a fence, cells of objects that did not change are the same but for noise."""
    for sample in CENTRE.dataset("test", n=60, mix="easy", seed=6):
        if sample.metadata["condition"] != "clear":
            continue
        pictures = [np.asarray(sample.source(s).load()).astype(float) for s in ("before", "after")]
        masks = [picture.max(2) - picture.min(2) > 60 for picture in pictures]
        for old, new in zip(states(sample, "before"), states(sample, "after"), strict=True):
            x, y = 16 * "ABCD".index(old[0][0]), 16 * (int(old[0][1]) - 1)
            first, second = (mask[y + 2 : y + 14, x + 2 : x + 14] for mask in masks)
            hues = [p[y + 2 : y + 14, x + 2 : x + 14][m].mean(0) for p, m in zip(pictures, (first, first), strict=True)]
            same = (first != second).sum() < 10 and np.abs(hues[0] - hues[1]).max() < 15
            assert (old == new) == same, (sample.id, old, new)


def test_views_from_aside_differ_in_the_picture_after_only():
    for name in ("left", "right"):
        assert worlds.get(f"transform-{name}").mixes == CENTRE.mixes
    for world, sign in ((LEFT, 1), (RIGHT, -1)):
        far, near = seen_at(world, "B1", "after")[0], seen_at(world, "B4", "after")[0]
        assert (near - far) * sign > 5
        assert all(2 < seen_at(world, cell, "after")[0] < 62 for cell in CELLS)


@pytest.mark.parametrize("mix", list(CENTRE.mixes))
def test_conditions_come_at_the_stated_rates(mix):
    seen = Counter(CENTRE.sample("train", mix, 7, index).metadata["condition"] for index in range(300))
    for condition, share in CENTRE.mixes[mix].items():
        assert abs(seen[condition] / 300 - share) < 0.09

"""Counting: answers found again from what was drawn and, in the pictures, by an observer of colours alone."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy import ndimage

from vantage import rewards, worlds
from vantage.worlds.canvas import CELLS

COUNTING, TWIN = worlds.get("counting"), worlds.get("counting-ood")
BOTH = pytest.mark.parametrize("world", [COUNTING, TWIN], ids=lambda world: world.name)
ONE_OF = {"circles": "circle", "squares": "square", "triangles": "triangle", "crosses": "cross",
          "diamonds": "diamond", "rings": "ring", "bars": "bar", "hearts": "heart"}  # fmt: skip


def figures(sample) -> list[dict]:
    return [thing for thing in sample.metadata["objects"] if thing["kind"] not in ("ghost", "screen")]


def named(text: str, kind: str) -> bool:
    """Whether ``red circle`` is among ``red things``, ``circles`` or ``red circles``."""
    words = [ONE_OF.get(word, word) for word in text.split() if word != "things"]
    return set(words) <= set(kind.split())


def solve(question: str, kinds: list[str]) -> str:
    """The answer to a question about figures of these kinds."""
    if found := re.fullmatch(r"How many (.+) are there\?", question):
        return str(sum(named(found[1], kind) for kind in kinds))
    if found := re.fullmatch(r"Subtract all (.+)\. How many things are left\?", question):
        return str(sum(not named(found[1], kind) for kind in kinds))
    found = re.fullmatch(r"Add (\d) (.+)\. How many \2 are there\?", question)
    return str(int(found[1]) + sum(named(found[2], kind) for kind in kinds))


def form(question: str) -> str:
    """A question without its colours, shapes and numbers."""
    colors = "|".join((*COUNTING.colors, *TWIN.colors))
    question = re.sub(rf"\b({colors})\b", "COLOR", question)
    return re.sub(r"\d", "N", re.sub("|".join(ONE_OF), "SHAPES", question))


@BOTH
@pytest.mark.parametrize("mix", list(COUNTING.mixes))
def test_answers_are_those_of_what_stands_there(world, mix):
    for sample in world.dataset("test", n=150, mix=mix, seed=2):
        assert solve(sample.question, [thing["kind"] for thing in figures(sample)]) == sample.truth, sample.id


@BOTH
def test_of_every_form_of_question_every_answer_is_equally_frequent(world):
    answers = defaultdict(Counter)
    for sample in world.dataset("train", n=3 * 108):
        answers[form(sample.question)][int(sample.truth)] += 1
    assert len(answers) == 9
    for asked, counts in answers.items():
        assert set(counts) == set(range(2, 6) if asked.startswith("Add") else range(6)), asked
        assert len(set(counts.values())) == 1, asked


@BOTH
def test_the_cells_of_the_evidence_are_those_that_are_counted(world):
    for sample in world.dataset("train", n=120, seed=3):
        cells = sample.metadata["reasoning"].split()
        added = re.match(r"Add (\d)", sample.question)
        count = 0 if cells == ["none"] else len(cells)
        assert str(count + int(added[1] if added else 0)) == sample.truth
        assert cells == ["none"] or set(cells) <= {thing["cell"] for thing in figures(sample)}


@BOTH
def test_both_cameras_together_tell_figures_from_ghosts(world):
    for sample in world.dataset("test", n=150, seed=4):
        things = sample.metadata["objects"]
        screened = {
            (thing["cell"], camera) for thing in things if thing["kind"] == "screen" for camera in thing["seen"]
        }
        dark = sample.metadata["condition"] == "dark"
        cells = [thing["cell"] for thing in things if thing["kind"] != "screen"]
        assert len(cells) == len(set(cells))
        for thing in things:
            (other,) = {"left", "right"} - set(thing["seen"]) if len(thing["seen"]) == 1 else ("",)
            if thing["kind"] == "ghost":
                assert not dark and (thing["cell"], other) not in screened
            elif thing["kind"] != "screen":
                assert thing["seen"]
                assert not other or dark or (thing["cell"], other) in screened


@BOTH
def test_a_camera_that_is_enough_shows_the_answer_alone(world):
    wrong, enough = Counter(), Counter()
    for sample in world.dataset("test", n=240, seed=5):
        for camera in world.sources:
            seen = [thing for thing in sample.metadata["objects"] if camera in thing["seen"]]
            kinds = [thing.get("looks", thing["kind"]) for thing in seen if thing["kind"] != "screen"]
            right = solve(sample.question, kinds) == sample.truth
            enough[camera] += camera in sample.metadata["enough"]
            assert right or camera not in sample.metadata["enough"], (sample.id, camera)
            wrong[camera] += not right
    for camera in world.sources:
        assert 0.25 < wrong[camera] / 240 < 0.6
        assert 0.15 < enough[camera] / 240 < 0.5


def inner(picture: np.ndarray, cell: str) -> np.ndarray:
    """The ten pixels each way in the middle of a cell, which no neighbour reaches."""
    x, y = 16 * "ABCD".index(cell[0]), 16 * (int(cell[1]) - 1)
    return picture[y + 3 : y + 13, x + 3 : x + 13]


def test_what_a_camera_sees_is_in_its_picture_and_nothing_else():
    for sample in COUNTING.dataset("test", n=90, seed=6):
        for camera, source in sample.sources.items():
            calm = ndimage.uniform_filter(np.asarray(source.load()).astype(float), (3, 3, 1))
            colored = calm.max(2) - calm.min(2) > 40
            seen = {t["cell"] for t in sample.metadata["objects"] if camera in t["seen"] and t["kind"] != "screen"}
            assert {cell for cell in CELLS if inner(colored, cell).sum() >= 12} == seen, (sample.id, camera)


@BOTH
def test_every_figure_has_its_color(world):
    for sample in world.dataset("test", n=45, mix="easy", seed=7):
        if sample.metadata["condition"] == "faded":
            continue
        for thing in figures(sample):
            camera, (color, _) = thing["seen"][0], thing["kind"].split()
            picture = np.asarray(sample.source(camera).load()).astype(float)
            patch = inner(picture, thing["cell"]).reshape(-1, 3)
            # The hue of the pixels that are least like the table, whatever the light on them.
            unlike = np.abs(patch - np.median(picture, (0, 1))).sum(1)
            mean = patch[np.argsort(unlike)[-20:]].mean(0)
            nearest = max(world.colors, key=lambda name: _alike(mean, world.colors[name]))
            assert nearest == color, (sample.id, thing)


def _alike(a: np.ndarray, b: tuple[int, int, int]) -> float:
    """Cosine of the angle between two colours."""
    return float(a @ np.array(b) / np.linalg.norm(a) / np.linalg.norm(b))


@BOTH
def test_conditions_come_at_the_stated_rates(world):
    for mix, odds in world.mixes.items():
        samples = [world.sample("train", mix, 8, index) for index in range(300)]
        conditions = Counter(sample.metadata["condition"] for sample in samples)
        for condition in ("clear", "screens", "dark", "faded"):
            assert abs(conditions[condition] / 300 - odds[condition]) < 0.09
        lit = [sample for sample in samples if sample.metadata["condition"] != "dark"]
        haunted = np.mean([any(t["kind"] == "ghost" for t in sample.metadata["objects"]) for sample in lit])
        assert abs(haunted - odds["ghosts"]) < 0.1


def test_the_twin_shares_neither_shape_nor_color():
    assert not set(COUNTING.colors) & set(TWIN.colors)
    assert not set(COUNTING.shapes) & set(TWIN.shapes)
    assert {form(s.question) for s in COUNTING.dataset(n=90)} == {form(s.question) for s in TWIN.dataset(n=90)}
    assert not {word for s in TWIN.dataset(n=90) for word in s.question.split()} & {*COUNTING.colors, "circles."}


@BOTH
def test_a_credulous_answer_counts_ghosts(world):
    fooled = 0
    for sample in world.dataset("train", n=240, seed=9):
        kinds = [t.get("looks", t["kind"]) for t in sample.metadata["objects"] if t["kind"] != "screen"]
        believed = world.credulous(sample)
        if solve(sample.question, kinds) == sample.truth:
            assert believed is None
            continue
        fooled += 1
        assert believed.truth == solve(sample.question, kinds)
        assert (believed.id, believed.question, believed.sources) == (sample.id, sample.question, sample.sources)
        assert rewards.get("count").score(worlds.gold(believed), sample).reward == 0
    assert fooled > 40

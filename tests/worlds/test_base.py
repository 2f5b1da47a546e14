"""Scenes are pure functions of their ids, splits never meet, and mistakes in names are told."""

import hashlib
import json
import pickle

import numpy as np
import pytest

from vantage import worlds
from vantage.errors import ConfigError
from vantage.samples import Sample
from vantage.worlds.dice import Dice

NAMES = list(worlds.NAMES)
THOROUGH = ("night", "depth", "night-captions")
"""Worlds whose splits are compared over more scenes; the others share their dice."""


def pixels(sample: Sample) -> bytes:
    return b"".join(np.asarray(source.load()).tobytes() for source in sample.sources.values())


def fingerprint(sample: Sample) -> str:
    return hashlib.sha256(pixels(sample)).hexdigest()


def same(a: Sample, b: Sample) -> bool:
    plain = lambda s: (s.id, s.question, s.truth, s.reward, dict(s.metadata), list(s.sources))  # noqa: E731
    return plain(a) == plain(b) and pixels(a) == pixels(b)


@pytest.mark.parametrize("name", NAMES)
def test_a_scene_does_not_depend_on_the_order_of_access(name):
    world = worlds.get(name)
    forward, backward = world.dataset("test", n=40), world.dataset("test", n=40)
    drawn = {i: backward[i] for i in reversed(range(40))}
    assert all(same(forward[i], drawn[i]) for i in range(40))


@pytest.mark.parametrize("name", NAMES)
def test_other_seeds_mixes_and_splits_give_other_pictures(name):
    world = worlds.get(name)
    prints = {
        fingerprint(world.sample(split, mix, seed, 5))
        for split in worlds.SPLITS
        for mix in world.mixes
        for seed in (0, 1, -1)
    }
    assert len(prints) == 2 * len(world.mixes) * 3


@pytest.mark.parametrize("name", NAMES)
def test_train_and_test_never_share_a_picture(name):
    world = worlds.get(name)
    n = 1500 if name in THOROUGH else 400
    train, test = ({fingerprint(s) for s in world.dataset(split, n=n)} for split in ("train", "test"))
    assert len(train) == len(test) == n
    assert not train & test


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_can_be_drawn_again_from_its_id_or_the_reference_of_a_picture(name):
    sample = worlds.get(name).dataset("test", n=20, mix="easy", seed=3)[17]
    assert sample.id == f"{name}/test/easy/3/17"
    assert same(worlds.find(sample.id), sample)
    for source in sample.sources.values():
        assert same(worlds.find(source.ref), sample)


@pytest.mark.parametrize("name", NAMES)
def test_choosing_tasks_keeps_ids_and_pictures(name):
    world = worlds.get(name)
    everything = {s.id: s for s in world.dataset(n=60)}
    for task in world.tasks:
        chosen = list(world.dataset(n=60 // len(world.tasks), tasks=[task]))
        assert {s.metadata["task"] for s in chosen} == {task}
        assert all(same(s, everything[s.id]) for s in chosen)


@pytest.mark.parametrize("name", NAMES)
def test_a_slice_is_a_data_set_that_draws_nothing_yet(name):
    data = worlds.get(name).dataset(n=50)
    part = data[10:30:2]
    assert len(part) == 10
    assert not data._cache.kept
    assert [s.id for s in part] == [data[i].id for i in range(10, 30, 2)]
    assert data[-1].id == data[49].id
    with pytest.raises(IndexError):
        data[50]


def test_a_scene_is_drawn_once_and_memory_is_bounded():
    data = worlds.WorldDataset(worlds.get("night"), n=30, cached=8)
    assert data[3] is data[3]
    for sample in data:
        assert sample
    assert len(data._cache.kept) == 8


def test_a_data_set_survives_pickling_for_loader_processes():
    data = worlds.get("depth").dataset(n=5)
    assert same(pickle.loads(pickle.dumps(data))[4], data[4])  # noqa: S301  # our own bytes


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_plain(name):
    world = worlds.get(name)
    for sample in world.dataset(n=12):
        assert json.loads(json.dumps(dict(sample.metadata))) == dict(sample.metadata)
        assert tuple(sample.sources) == tuple(name for name in world.sources if name in sample.sources)
        assert {s.size() for s in sample.sources.values()} == {(64, 64)}
        assert sample.metadata["task"] in world.tasks
        assert sample.metadata["mix"] == "hard"


@pytest.mark.parametrize("name", NAMES)
def test_gold_completions_earn_the_full_reward_and_are_short(name):
    rewards = pytest.importorskip("vantage.rewards")
    for sample in worlds.get(name).dataset(n=120):
        completion = worlds.gold(sample)
        score = rewards.get(sample.reward).score(completion, sample)
        assert score.correct
        assert score.formatted
        assert score.reward == 1.0
        assert len(completion.split()) <= 14


def test_gold_needs_a_drawn_sample():
    with pytest.raises(ConfigError, match="reasoning"):
        worlds.gold(Sample("x", "?", {"rgb": "a.png"}, "yes", "answer"))


def test_unknown_names_are_errors_that_name_the_known_ones():
    with pytest.raises(ConfigError, match=r"'fog'.*night, depth"):
        worlds.get("fog")
    night = worlds.get("night")
    with pytest.raises(ConfigError, match=r"'harder'.*easy, balanced, hard"):
        night.dataset(mix="harder")
    with pytest.raises(ConfigError, match=r"train or test.*'val'"):
        night.dataset(split="val")
    with pytest.raises(ConfigError, match=r"'nearer'.*count, locate, exists"):
        night.dataset(tasks=["nearer"])
    with pytest.raises(ConfigError, match="none given"):
        night.dataset(tasks=[])
    with pytest.raises(ConfigError, match="n is a whole number"):
        night.dataset(n=0)
    with pytest.raises(ConfigError, match="seed is a whole number"):
        night.dataset(seed=0.5)
    for wrong in ("night/test/hard/0", "night/test/hard/0/x", "fog/test/hard/0/1"):
        with pytest.raises(ConfigError):
            worlds.find(wrong)


def test_dice_are_portable():
    """Pinned numbers: were they to change, every scene would, and published results with them."""
    dice = Dice("night/test/hard/0/17")
    assert [dice.between(1, 6) for _ in range(8)] == [5, 1, 4, 1, 1, 4, 1, 2]
    noise = Dice("noise").noise(200, 200)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02


def test_dice_are_fair():
    dice = Dice("fair")
    counts = np.bincount([dice.between(0, 4) for _ in range(5000)], minlength=5)
    assert counts.min() > 900
    assert counts.max() < 1100
    picks = [dice.weighted({"a": 0.2, "b": 0.0, "c": 0.8}) for _ in range(2000)]
    assert abs(picks.count("a") / 2000 - 0.2) < 0.04
    assert "b" not in picks
    firsts = np.bincount([dice.shuffled(range(4))[0] for _ in range(4000)])
    assert firsts.min() > 900
    with pytest.raises(ValueError, match="positive"):
        dice.weighted({"a": 0.0})


def test_a_fault_inside_a_world_does_not_look_like_the_end_of_its_data(monkeypatch):
    """Iteration by index ends at an ``IndexError``, whoever raises it."""
    world = worlds.get("night")
    monkeypatch.setattr(type(world), "_ask", lambda *_: [][0])
    with pytest.raises(IndexError):
        list(world.dataset(n=3))

import numpy as np
import pytest
from PIL import Image

from vantage.errors import ConfigError, DataError
from vantage.evaluation.robustness import SIGMA, WAYS, damaged, every_damage, other_scene
from vantage.evaluation.scenes import scene_of
from vantage.samples import Sample

PIXELS = np.random.default_rng(0).integers(60, 196, (16, 24, 3), dtype=np.uint8)


def asked(name: str, pixels=PIXELS, sources=("rgb", "infrared"), **metadata) -> Sample:
    pictures = {source: Image.fromarray(pixels + np.uint8(place)) for place, source in enumerate(sources)}
    return Sample(name, "how many?", pictures, "3", "answer", metadata)


def seen(sample: Sample, source: str) -> np.ndarray:
    return np.asarray(sample.picture(source)).astype(int)


@pytest.mark.parametrize("way", WAYS)
def test_one_source_is_damaged_and_nothing_else(way):
    sample = asked("a")
    worse = damaged(sample, "infrared", way, asked("b", 255 - PIXELS) if way == "swap" else None)
    assert (worse.id, worse.question, worse.truth, list(worse.sources)) == ("a", "how many?", "3", ["rgb", "infrared"])
    assert worse.sources["rgb"] is sample.sources["rgb"]
    assert worse.picture("infrared").size == sample.picture("infrared").size
    assert (seen(worse, "infrared") != seen(sample, "infrared")).mean() > 0.5
    assert np.array_equal(seen(sample, "infrared"), PIXELS + 1), "the sample itself stays"
    assert way in worse.sources["infrared"].ref


def test_a_blank_is_the_mean_grey():
    assert set(seen(damaged(asked("a"), "rgb", "blank"), "rgb").ravel()) == {round(PIXELS.mean())}


def test_noise_is_gaussian_and_the_same_every_time():
    grey = np.full((100, 100, 3), 128, dtype=np.uint8)
    first = seen(damaged(asked("a", grey), "rgb", "noise"), "rgb")
    assert np.array_equal(first, seen(damaged(asked("a", grey), "rgb", "noise"), "rgb"))
    assert not np.array_equal(first, seen(damaged(asked("b", grey), "rgb", "noise"), "rgb"))
    inside = first[(first > 0) & (first < 255)] - 128  # cut at two standard deviations
    assert inside.mean() == pytest.approx(0, abs=2) and inside.std() == pytest.approx(0.88 * SIGMA, rel=0.03)


def test_a_shift_is_an_eighth_with_the_mean_colour_at_the_edges():
    found = {}
    for name in "abcdefghijkl":
        moved = seen(damaged(asked(name), "rgb", "shift"), "rgb")
        down, right = next(
            (y, x) for y in (-2, 2) for x in (-3, 3)
            if np.array_equal(moved[2 + y : 14 + y, 3 + x : 21 + x], PIXELS[2:14, 3:21])
        )  # fmt: skip
        found[down, right] = moved
        edge = moved[:2] if down > 0 else moved[-2:]
        assert (edge == PIXELS.mean(axis=(0, 1)).round()).all()
    assert len(found) > 1


def test_a_swap_shows_another_scene_in_the_same_size():
    donor = asked("b", np.full((40, 60, 3), 9, dtype=np.uint8))
    worse = damaged(asked("a"), "rgb", "swap", donor)
    assert worse.picture("rgb").size == (24, 16) and set(seen(worse, "rgb").ravel()) == {9}


def test_donors_are_of_another_scene_and_have_the_source():
    samples = [asked("a", scene="one"), asked("b", scene="one"), asked("c", scene="two", sources=("infrared",)),
               asked("d", scene="three")]  # fmt: skip
    for place, sample in enumerate(samples):
        for source in sample.sources:
            donor = other_scene(samples, place, source)
            assert scene_of(donor) != scene_of(sample) and source in donor.sources
            assert donor is other_scene(samples, place, source)
    with pytest.raises(DataError, match=r"row 'a'.*no other scene has that source"):
        other_scene(samples[:3], 0, "rgb")


def test_every_source_in_every_way():
    samples = [asked("a"), asked("b", 255 - PIXELS)]
    assert [name for name, _ in every_damage(samples, 0)] == [f"{w}:{s}" for s in ("rgb", "infrared") for w in WAYS]


@pytest.mark.parametrize(("way", "donor"), [("melt", None), ("swap", None), ("blank", asked("b"))])
def test_ways_that_there_are_not(way, donor):
    with pytest.raises(ConfigError, match="blank, noise, swap, shift"):
        damaged(asked("a"), "rgb", way, donor)


def test_a_source_that_is_not_there_is_named():
    with pytest.raises(DataError, match="no source 'depth'"):
        damaged(asked("a"), "depth", "blank")

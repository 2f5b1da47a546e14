"""Intervals and tests against loops, enumerations and SciPy."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from vantage.evaluation import statistics
from vantage.evaluation.statistics import bootstrap, detectable, mcnemar, sign_flip, wilson


def by_hand(values, scenes, resamples=4000):
    """Draw scenes one by one, gather all their questions, take the mean; a plain loop."""
    random, members = np.random.default_rng(9), {}
    for value, scene in zip(values, scenes, strict=True):
        members.setdefault(scene, []).append(value)
    groups = list(members.values())
    means = []
    for _ in range(resamples):
        drawn = [value for place in random.integers(0, len(groups), len(groups)) for value in groups[place]]
        means.append(sum(drawn) / len(drawn))
    n = len(groups)
    tail = stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1))
    return np.quantile(means, [tail, 1 - tail])


def test_the_bootstrap_is_that_of_a_loop_over_scenes():
    random = np.random.default_rng(0)
    scenes = [f"s{i % 40}" for i in range(150)]
    easy = {scene: random.random() for scene in set(scenes)}
    values = np.array([float(random.random() < easy[scene]) for scene in scenes])
    low, high = bootstrap(values[:, None], scenes)
    # Both are random: their ends agree to a tenth of the width.
    expected = by_hand(values, scenes)
    assert [low[0], high[0]] == pytest.approx(expected, abs=0.1 * (expected[1] - expected[0]))
    narrow = bootstrap(values[:, None])
    assert high[0] - low[0] > 1.2 * (narrow[1][0] - narrow[0][0]), "questions of a scene are not independent"


def test_the_same_questions_in_another_order_have_the_same_interval():
    random = np.random.default_rng(1)
    values, scenes = random.random((60, 3)), [f"s{i // 2}" for i in range(60)]
    order = random.permutation(60)
    first = bootstrap(values, scenes)
    again = bootstrap(values[order], [scenes[i] for i in order])
    assert np.array_equal(first, bootstrap(values, scenes))
    assert np.allclose(first, again, atol=1e-12)


def test_a_figure_is_over_the_questions_that_have_it():
    values = np.array([[1.0, np.nan], [0.0, 0.25], [1.0, 0.75], [0.0, 0.5], [1.0, np.nan]])
    low, high = bootstrap(values)
    alone = bootstrap(values[1:4, 1:])
    assert low[1] == pytest.approx(alone[0][0], abs=0.05) and high[1] == pytest.approx(alone[1][0], abs=0.05)
    assert 0.25 <= low[1] <= 0.5 <= high[1] <= 0.75


def test_where_all_agree_wilsons_interval_over_scenes_stands_in():
    low, high = bootstrap(np.ones((10, 1)), [f"s{i // 2}" for i in range(10)])
    assert (low[0], high[0]) == (pytest.approx(5 / (5 + 1.959964**2), abs=1e-6), 1.0)
    assert np.array_equal(bootstrap(np.ones((10, 1)), shares=False), [[1.0], [1.0]])


def test_one_scene_tells_no_spread():
    low, high = bootstrap(np.array([[0.0], [1.0]]), ["a", "a"])
    assert np.isnan(low[0]) and np.isnan(high[0])


@pytest.mark.parametrize(("count", "n"), [(0, 7), (7, 7), (3, 11), (499, 500)])
def test_wilson_is_scipys(count, n):
    expected = stats.binomtest(count, n).proportion_ci(method="wilson")
    assert wilson(count, n) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (3, 9), (40, 41)])
def test_mcnemar_by_counting_coins(gained, lost):
    n = gained + lost
    far = max(gained, lost)
    # Two-sided: as far from the middle as seen, to either side.
    p = sum(math.comb(n, i) for i in range(n + 1) if abs(2 * i - n) >= 2 * far - n) / 2**n
    assert mcnemar(gained, lost) == pytest.approx(min(p, 1.0))


def test_sign_flips_are_all_tried_when_few():
    d = [0.5, -0.25, 1.0, 0.0, 0.75]
    sums = [abs(sum(s * x for s, x in zip(signs, d, strict=True))) for signs in product((1, -1), repeat=5)]
    assert sign_flip(d) == pytest.approx(np.mean([s >= 2.0 - 1e-9 for s in sums]))
    assert sign_flip([1, 1, 1]) == 0.25  # three seeds cannot say more
    assert sign_flip([0.0, 0.0]) == 1.0 and sign_flip([]) == 1.0


def test_many_sign_flips_agree_with_mcnemar_where_both_apply():
    d = [1.0] * 40 + [-1.0] * 20
    assert sign_flip(d) == pytest.approx(mcnemar(40, 20), abs=0.004)
    assert sign_flip([1.0] * 200) == 1 / (statistics.FLIPS + 1)


def test_what_could_be_seen_would_be_seen_four_times_in_five():
    random, error = np.random.default_rng(3), 0.02
    least = detectable(-1.959964 * error, 1.959964 * error)
    seen = abs(random.normal(least, error, 20_000)) > 1.959964 * error
    assert seen.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("scenes", "each"), [(15, 4), (60, 3), (300, 1)])
def test_intervals_cover_the_truth_as_often_as_they_say(scenes, each):
    random, truth, held, naive = np.random.default_rng(5), 0.6, [], []
    for _ in range(400):
        easy = random.beta(1.2, 0.8, scenes)  # mean .6
        right = (random.random((scenes, each)) < easy[:, None]).astype(float).ravel()
        low, high = bootstrap(right[:, None], [f"s{i // each}" for i in range(scenes * each)])
        held.append(low[0] <= truth <= high[0])
        a, b = wilson(right.sum(), right.size)
        naive.append(a <= truth <= b)
    assert 0.92 <= np.mean(held) <= 0.98
    if each > 1:
        assert np.mean(naive) < 0.9, "taken for independent, questions of a scene promise too much"

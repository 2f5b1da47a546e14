"""The papers' equations in NumPy, one group at a time, written from the papers and not from our code."""

import numpy as np
from hypothesis import strategies as st


def scored(values):
    values = np.asarray(values, dtype=np.float64)
    return values[~np.isnan(values)]


def grpo(rewards, scale="group", baseline="mean", eps=1e-4, anchors=None, weight=1):
    """Advantages of (P, G) rewards. Anchors (P, S), where given, join the statistics ``weight`` (an integer) times."""
    rewards = np.asarray(rewards, dtype=np.float64)
    anchors = np.zeros((len(rewards), 0)) if anchors is None else np.asarray(anchors, dtype=np.float64)
    pools = [np.concatenate([scored(r), np.repeat(scored(a), weight)]) for r, a in zip(rewards, anchors, strict=True)]
    batch = np.concatenate(pools)
    result = np.zeros_like(rewards)
    for p, pool in enumerate(pools):
        if len(pool) < 2 or pool.min() == pool.max():
            continue
        for i, reward in enumerate(rewards[p]):
            if np.isnan(reward):
                continue
            if baseline == "mean":
                centred = reward - pool.mean()
            else:
                others = np.delete(pool, np.flatnonzero(pool == reward)[0])
                centred = reward - others.mean()
            spread = {"group": pool.std(ddof=1) + eps, "batch": batch.std(ddof=1) + eps, "none": 1.0}[scale]
            result[p, i] = centred / spread
    return result


def matrices(rows=(1, 4), columns=(2, 8), missing=True):
    """Rewards on a coarse grid, so that ties and silent groups are common; some members unscored."""
    grid = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 1.5, -1.0] + ([np.nan] if missing else []))
    shape = st.tuples(st.integers(*rows), st.integers(*columns))
    return shape.flatmap(lambda s: st.lists(st.lists(grid, min_size=s[1], max_size=s[1]), min_size=s[0], max_size=s[0]))


def groups(missing=True):
    """Rewards (P, G) and anchors (P, S) of the same P."""
    return st.integers(1, 4).flatmap(
        lambda p: st.tuples(matrices((p, p), (2, 8), missing), matrices((p, p), (1, 4), missing))
    )

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


def best(fused, guests, ties="policy"):
    """Of one group the positions, guests after fused, of the best len(fused) that are scored; ties never at random."""
    fused, guests = list(fused), list(guests)
    if np.isnan(guests).all():
        return set(range(len(fused)))
    favoured = range(len(fused)) if ties == "policy" else range(len(fused), len(fused) + len(guests))
    rewards = fused + guests
    ranked = sorted(
        (i for i, reward in enumerate(rewards) if not np.isnan(reward)),
        key=lambda i: (-rewards[i], i not in favoured, i),
    )
    return set(ranked[: len(fused)])


def ekipl(fused, guests, anchors=None, ties="policy", statistics="kept", weight=1, **settings):
    """Advantages and who is kept, both (P, G + E)."""
    members = np.concatenate([np.asarray(fused, dtype=np.float64), np.asarray(guests, dtype=np.float64)], axis=1)
    kept = np.zeros(members.shape, dtype=bool)
    for p, (ours, theirs) in enumerate(zip(fused, guests, strict=True)):
        kept[p, sorted(best(ours, theirs, ties))] = True
    pool = np.where(kept | (statistics == "all"), members, np.nan)
    return np.where(kept, grpo(pool, anchors=anchors, weight=weight, **settings), 0.0), kept


def matrices(rows=(1, 4), columns=(2, 8), missing=True):
    """Rewards on a coarse grid, so that ties and silent groups are common; some members unscored."""
    grid = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 1.5, -1.0] + ([np.nan] if missing else []))
    shape = st.tuples(st.integers(*rows), st.integers(*columns))
    return shape.flatmap(lambda s: st.lists(st.lists(grid, min_size=s[1], max_size=s[1]), min_size=s[0], max_size=s[0]))


def groups(missing=True, parts=1):
    """Rewards (P, G) and anchors (P, S) of the same P; with ``parts`` of 2 also guests (P, E)."""
    return st.integers(1, 4).flatmap(
        lambda p: st.tuples(matrices((p, p), (2, 8), missing), *[matrices((p, p), (1, 4), missing)] * parts)
    )

"""What a step's groups say about themselves, whatever the method: the figures of every log."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from vantage.methods.base import Decision, Rewards
from vantage.methods.mars import information_gain, source_gains


def _mean(values: Tensor) -> float:
    return values.double().nanmean().item()


def group_metrics(
    rewards: Rewards,
    correct_fused: Float[Tensor, "P G"],
    correct_mono: Float[Tensor, "P S"],
    decision: Decision,
    sources: Sequence[str],
) -> dict[str, float]:
    """Figures of P groups.

    Args:
        rewards: as the method saw them.
        correct_fused: 1 where a fused answer is right, 0 where wrong, NaN where unscored.
        correct_mono: the same for the anchors.
        decision: what the method made of the rewards.
        sources: names of the S columns of anchors.

    Returns:
        - ``groups/silent``: share of groups without signal, whose trained advantages are all zero;
        - with anchors, ``groups/revived_wrong``: share whose fused answers are all wrong while an anchor is right, and
          ``groups/revived_right``: all right while an anchor is wrong;
        - with anchors, ``gain``: information gain, and ``gain/<source>``: fused minus that source's anchor, both in
          units of reward, and ``anchor/<source>/accuracy``: share of that source's anchors that are right.
    """
    metrics = {"groups/silent": 1.0 - decision.signal().double().mean().item()}
    if not sources:
        return metrics
    scored = ~correct_fused.isnan()
    # A group of which nothing could be scored is neither.
    all_wrong = ((correct_fused == 0) | ~scored).all(1) & scored.any(1)
    all_right = ((correct_fused == 1) | ~scored).all(1) & scored.any(1)
    metrics["groups/revived_wrong"] = (all_wrong & (correct_mono == 1).any(1)).double().mean().item()
    metrics["groups/revived_right"] = (all_right & (correct_mono == 0).any(1)).double().mean().item()
    metrics["gain"] = _mean(information_gain(rewards.fused, rewards.mono))
    gains = source_gains(rewards.fused, rewards.mono)
    for column, source in enumerate(sources):
        metrics[f"gain/{source}"] = _mean(gains[:, column])
        metrics[f"anchor/{source}/accuracy"] = _mean(correct_mono[:, column])
    return metrics

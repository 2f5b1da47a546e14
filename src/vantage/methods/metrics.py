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
          units of reward, and ``anchor/<source>/accuracy``: share of that source's anchors that are right;
        - ``anchors/trained``: share of the scored anchors that train, NaN where none does.
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
    heard = ~rewards.mono.isnan()
    trained = heard & decision.trained[:, rewards.columns("mono")]
    metrics["anchors/trained"] = (trained.sum() / heard.sum()).item() if trained.any() else float("nan")
    return metrics


def guest_metrics(rewards: Rewards, decision: Decision, models: Sequence[str]) -> dict[str, float]:
    """Figures of the guests of P groups; anchors are not counted anywhere.

    Args:
        rewards: as the method saw them.
        decision: what the method made of the rewards.
        models: who speaks in each of the E columns of guests; one that answers several times has several.

    Returns:
        - ``guests/pool``: share of guests among scored answers, ``guests/kept``: among those trained on;
        - ``guests/<model>/kept``: that model's share of the latter, 0 where nothing is trained on;
        - ``guests/<model>/reward``: mean reward of its scored answers, NaN where there are none.
    """
    fused, guests = rewards.columns("fused"), rewards.columns("guest")
    heard = ~rewards.members().isnan()
    kept = heard & decision.trained

    def share(of: Tensor, columns: Tensor) -> float:
        everyone = of[:, fused].sum() + of[:, guests].sum()
        return (columns.sum() / everyone.clamp(min=1)).item()

    metrics = {
        "guests/pool": share(heard, heard[:, guests]),
        "guests/kept": share(kept, kept[:, guests]),
    }
    for model in dict.fromkeys(models):
        own = [column for column, name in enumerate(models) if name == model]
        metrics[f"guests/{model}/kept"] = share(kept, kept[:, guests][:, own])
        metrics[f"guests/{model}/reward"] = _mean(rewards.guest[:, own])
    return metrics

"""MARS: mono-anchored advantage normalisation ("Does Seeing More Mean Knowing More?", arXiv 2605.25437).

Beside the G fused rollouts of a problem, the policy answers once from each single source k. These anchors take part in
the statistics and get no loss: with S = {r_1..r_G} u {a_1..a_M},

    A_i = (r_i - mean(S)) / (std(S) + eps)        std with ddof = 1, eps = 1e-6

Information gain. The numerator is GRPO's plus a share of what fusion gained over the single sources:

    r_i - mean(S) = (r_i - mean(r)) + w (mean(r) - mean(a)),        w = M / (G + M)

so where fusion helps every fused rollout is lifted, where it interferes every one is pushed down, and a group whose
fused rewards are all equal still learns when an anchor differs.

Deviations from the paper:

1. Anchors may count ``weight`` times; then w = weight M / (G + weight M). The paper's weight is 1.
2. Anchors may be sampled instead of greedy, and may be those of chosen sources only.
3. ``shuffled`` gives each group the anchors of another one: a control in which everything but the evidence stays.
4. Over a base with another scale or baseline (no std, batch std, leave-one-out) the pool is S all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, field_validator
from torch import Tensor

from vantage.errors import ConfigError
from vantage.groups import mono
from vantage.methods import grpo
from vantage.methods.base import Decision, Rewards, Speaker, as_rewards, result_dtype
from vantage.methods.dapo import Dapo
from vantage.methods.grpo import Baseline, Grpo, Scale
from vantage.methods.over import Over
from vantage.methods.racro import Racro


def advantages(
    rewards: object,
    anchors: object,
    eps: float = 1e-6,
    *,
    pool: object | None = None,
    own: float = 1.0,
    weight: float = 1.0,
    scale: Scale = "group",
    baseline: Baseline = "mean",
) -> Float[Tensor, "P G"]:
    """Advantages of fused rollouts, normalised together with their single-source anchors.

    Args:
        rewards: (P, G), of the fused rollouts; NaN is unscored.
        anchors: (P, S), of the single-source answers; NaN where a problem lacks that source.
        eps: added to the std.
        pool: (P, N), the members that normalise beside the anchors; ``rewards`` by default.
        own: as for GRPO.
        weight: how often an anchor counts against a rollout; 1 is the paper's, 0 is GRPO.
        scale: as for GRPO.
        baseline: as for GRPO.

    Returns:
        (P, G) in the floating type of ``rewards``.

    Raises:
        ConfigError: shapes that do not fit, infinite rewards, a negative weight.
    """
    r, a = as_rewards(rewards, "rewards"), as_rewards(anchors, "anchors")
    x = r if pool is None else as_rewards(pool, "pool")
    if a.shape[0] != r.shape[0]:
        raise ConfigError(f"rewards {tuple(r.shape)} and anchors {tuple(a.shape)} must have a row for every problem")
    if weight < 0:
        raise ConfigError(f"the weight of anchors cannot be negative, got {weight}")
    weights = torch.cat([torch.ones_like(x), torch.full_like(a, weight)], dim=1)
    everyone = torch.cat([x, a], dim=1)
    result = grpo.advantages(r, everyone, weights, own=own, scale=scale, baseline=baseline, eps=eps)
    return result.to(result_dtype(rewards))


def information_gain(rewards: object, anchors: object) -> Float[Tensor, " P"]:
    """Mean fused reward minus mean anchor of each problem, mean(r) - mean(a); NaN where either has no member."""
    gain = as_rewards(rewards, "rewards").nanmean(1) - as_rewards(anchors, "anchors").nanmean(1)
    return gain.to(result_dtype(rewards))


def source_gains(rewards: object, anchors: object) -> Float[Tensor, "P S"]:
    """Mean fused reward minus the anchor of each source, mean(r) - a_k; NaN where a problem lacks the source."""
    gains = as_rewards(rewards, "rewards").nanmean(1, keepdim=True) - as_rewards(anchors, "anchors")
    return gains.to(result_dtype(rewards))


def alike(patterns: Bool[Tensor, "P S"], seed: int) -> Iterator[Int[Tensor, " A"]]:
    """The problems with the same pattern, in a random order, one pattern after another."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(patterns.shape[0], generator=generator).to(patterns.device)
    for pattern in patterns.unique(dim=0):
        yield order[(patterns[order] == pattern).all(1)]


def shuffle(anchors: Float[Tensor, "P S"], seed: int) -> Float[Tensor, "P S"]:
    """Give each problem the anchors of another one: a cyclic shift of a random order, so none keeps its own.

    Problems trade with those that have anchors of the same sources; one that nobody can trade with loses its anchors.

    Raises:
        ConfigError: there are fewer than two problems to trade.
    """
    problems = anchors.shape[0]
    if problems < 2:
        raise ConfigError(f"method.shuffled needs at least two problems in a generation batch, got {problems}")
    shuffled = torch.full_like(anchors, torch.nan)
    for partners in alike(~anchors.isnan(), seed):
        if len(partners) > 1:
            shuffled[partners] = anchors[partners.roll(1)]
    return shuffled


class Mars(Over):
    """Settings of MARS."""

    name: Literal["mars"] = "mars"
    base: Annotated[Grpo | Dapo | Racro, Field(discriminator="name")] = Grpo()
    """The method underneath; its eps is not used."""
    anchors: Literal["greedy", "sampled"] = "greedy"
    """How the single-source answers are decoded; the paper's are greedy."""
    weight: float = Field(default=1.0, ge=0)
    """How often an anchor counts in the statistics against a fused rollout."""
    sources: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Which sources anchor; all of a sample's by default."""
    shuffled: bool = False
    """Control: each group is anchored by the answers of another group of the same step."""
    single_source: Literal["error", "grpo"] = "error"
    """What a sample with one source is: an error, or plain GRPO (its fused answer is its single-source answer)."""
    eps: float = Field(default=1e-6, gt=0)
    """Added to the std."""

    @field_validator("sources")
    @classmethod
    def _once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError(f"a source is named twice in {', '.join(value)}")
        return value

    def speakers(self, sources: Sequence[str]) -> tuple[Speaker, ...]:
        """One answer from each anchoring source alone."""
        if len(sources) < 2:
            if self.single_source == "grpo":
                return ()
            raise ConfigError(
                f"mars compares fused answers with single-source ones, but this sample has one source "
                f"({', '.join(sources)}); give it more, or set method.single_source to 'grpo'"
            )
        chosen = sources if self.sources is None else self.sources
        missing = [name for name in chosen if name not in sources]
        if missing:
            raise ConfigError(
                f"method.sources names {', '.join(missing)}, which this sample does not have; it has "
                f"{', '.join(sources)}"
            )
        return tuple(Speaker(mono(name), greedy=self.anchors == "greedy") for name in chosen)

    def normalise(
        self,
        values: Float[Tensor, "P K"],
        pool: Float[Tensor, "P N"],
        anchors: Float[Tensor, "P S"],
        seed: int,
        own: float = 1.0,
    ) -> Float[Tensor, "P K"]:
        """Advantages of members with these rewards, each ``own`` times among pool and anchors, which normalise."""
        anchors = shuffle(anchors, seed) if self.shuffled else anchors
        scale, baseline = self.base.scale, self.base.baseline
        return advantages(
            values, anchors, self.eps, pool=pool, own=own, weight=self.weight, scale=scale, baseline=baseline
        )

    def decide(self, rewards: Rewards, seed: int) -> Decision:
        """Fused rollouts train; fused rollouts and anchors normalise."""
        return grpo.fused_only(rewards, self.normalise(rewards.fused, rewards.fused, rewards.mono, seed))

"""GRPO: group relative policy optimisation (DeepSeekMath, arXiv 2402.03300, equation 3 and section 4.1.2).

    A_i = (r_i - mean(r)) / (std(r) + eps)        std with ddof = 1

Settings reach its relatives: no division by std (Dr. GRPO, arXiv 2503.20783), the baseline of a rollout from the others
only (RLOO, arXiv 2402.14740), the std of the whole batch (Lite PPO, arXiv 2508.08221).

Deviations from the paper:

1. eps is added to the std (1e-4, as TRL does); the paper divides by the bare std.
2. A group whose rewards are all equal gets advantages of exactly 0, not the rounding error of its mean over eps.
3. Members may weigh more or less than one in the statistics (integer weights equal repetition), and members that are
   not trained on may take part in them: ``pool`` and ``weights``, which is what MARS builds on.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from vantage.errors import ConfigError
from vantage.methods.base import Decision, Method, Rewards, as_rewards, result_dtype

Scale = Literal["group", "batch", "none"]
Baseline = Literal["mean", "leave_one_out"]


def advantages(
    rewards: object,
    pool: object | None = None,
    weights: object | None = None,
    *,
    own: float = 1.0,
    scale: Scale = "group",
    baseline: Baseline = "mean",
    eps: float = 1e-4,
) -> Float[Tensor, "P G"]:
    """Group-relative advantages of ``rewards``, normalised over ``pool``.

    Args:
        rewards: (P, G), the members to be trained on; NaN is unscored: advantage 0, in no statistic.
        pool: (P, N), the members that normalise, ``rewards`` among them; ``rewards`` alone by default.
        weights: (P, N), how often each member of the pool counts; 1 by default.
        own: how often each of ``rewards`` counts in the pool itself, which ``leave_one_out`` leaves out.
        scale: divide by the weighted std of the ``group``, of the ``batch``, or by nothing (``none``).
        baseline: subtract the ``mean`` of the pool, or for each member that of the others (``leave_one_out``).
        eps: added to the std.

    Returns:
        (P, G) in the floating type of ``rewards``.

    Raises:
        ConfigError: shapes that do not fit, infinite rewards, or an unknown setting.
    """
    r = as_rewards(rewards, "rewards")
    x = r if pool is None else as_rewards(pool, "pool")
    w = torch.ones_like(x) if weights is None else as_rewards(weights, "weights")
    if x.shape[0] != r.shape[0] or w.shape != x.shape:
        raise ConfigError(f"rewards {tuple(r.shape)}, pool {tuple(x.shape)} and weights {tuple(w.shape)} do not fit")
    # An unscored member weighs nothing and one of weight nothing is no member.
    w = torch.where(x.isnan(), 0.0, w)
    x = torch.where(w > 0, x, 0.0)
    total = w.sum(1, keepdim=True)

    # mean(S) = sum_j w_j x_j / sum_j w_j
    mean = (w * x).sum(1, keepdim=True) / total
    if baseline == "mean":
        centred = r - mean
    elif baseline == "leave_one_out":
        # the mean of the others: (sum_j w_j x_j - w_i r_i) / (sum_j w_j - w_i)
        centred = r - ((w * x).sum(1, keepdim=True) - own * r) / (total - own)
    else:
        raise ConfigError(f"baseline must be 'mean' or 'leave_one_out', got {baseline!r}")

    if scale == "group":
        # var(S) = sum_j w_j (x_j - mean)^2 / (sum_j w_j - 1)
        variance = (w * (x - mean) ** 2).sum(1, keepdim=True) / (total - 1)
        result = centred / (variance.clamp(min=0).sqrt() + eps)
    elif scale == "batch":
        centre = (w * x).sum() / w.sum()
        variance = (w * (x - centre) ** 2).sum() / (w.sum() - 1)
        result = centred / (variance.clamp(min=0).sqrt() + eps)
    elif scale == "none":
        result = centred
    else:
        raise ConfigError(f"scale must be 'group', 'batch' or 'none', got {scale!r}")

    low = torch.where(w > 0, x, torch.inf).amin(1, keepdim=True)
    high = torch.where(w > 0, x, -torch.inf).amax(1, keepdim=True)
    # No contrast, or nothing to be relative to: no signal.
    result = torch.where((high > low) & (total > 1), result, 0.0)
    return torch.nan_to_num(result, nan=0.0).to(result_dtype(rewards))


class Grpo(Method):
    """Settings of GRPO."""

    name: Literal["grpo"] = "grpo"
    scale: Scale = "group"
    """What a centred reward is divided by: the std of its ``group``, of the ``batch``, or nothing (Dr. GRPO)."""
    baseline: Baseline = "mean"
    """Subtract the group's ``mean``, or the mean of the other members (``leave_one_out``)."""
    eps: float = Field(default=1e-4, gt=0)
    """Added to the std."""

    def normalise(
        self, values: Float[Tensor, "P K"], pool: Float[Tensor, "P N"], anchors: Float[Tensor, "P S"], seed: int
    ) -> Float[Tensor, "P K"]:
        """Advantages of members with these rewards, normalised over ``pool``; anchors take no part."""
        return advantages(values, pool, scale=self.scale, baseline=self.baseline, eps=self.eps)

    def decide(self, rewards: Rewards, seed: int) -> Decision:
        """All fused rollouts train and normalise."""
        return fused_only(rewards, self.normalise(rewards.fused, rewards.fused, rewards.mono, seed))

    @property
    def scaling(self) -> str:
        """The setting ``scale``."""
        return self.scale


def fused_only(rewards: Rewards, fused_advantages: Float[Tensor, "P G"]) -> Decision:
    """A decision that trains on every fused rollout and on nobody else."""
    rest = rewards.members().shape[1] - fused_advantages.shape[1]
    trained = torch.ones_like(fused_advantages, dtype=torch.bool)
    pad = torch.nn.functional.pad
    return Decision(pad(fused_advantages, (0, rest)), pad(trained, (0, rest), value=False))

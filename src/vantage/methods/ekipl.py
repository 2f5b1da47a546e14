"""Vision-EKIPL: external knowledge in the group (arXiv 2506.06856).

Beside the G fused rollouts of a problem, E completions of other models, the guests, are scored by the same verifier.
Of all that are scored the best G by reward are kept, the policy learns from the kept, guests' among them, and

    A_i = (r_i - mean(K)) / (std(K) + eps)        K the kept, std with ddof = 1

Deviations from the paper:

1. ``statistics: all`` takes mean and std over everything scored instead of the kept. Keeping the best of a group often
   leaves rewards that are all equal, from which nothing is learned.
2. The weight of guests' tokens is a choice (``vantage.methods.ratio``); the paper's is p / p_old, as for rollouts.
3. The paper does not say who is kept of equal rewards; ``ties`` does, by default the policy's own.
4. Over MARS, anchors join the statistics as they do there, beside the kept or beside all; none of them is kept.
5. A guest that is missing or unscored leaves the group smaller. With fewer than G scored members fewer are trained on;
   a group to which no guest came is the base's, so that without guests this is the base.
"""

from __future__ import annotations

from typing import Literal

import torch

from vantage.methods.base import Decision, Rewards
from vantage.methods.ratio import Ratio
from vantage.methods.selection import Selecting


class Ekipl(Selecting):
    """Settings of Vision-EKIPL."""

    name: Literal["ekipl"] = "ekipl"
    statistics: Literal["kept", "all"] = "kept"
    """Mean and std over the ``kept`` members, as the paper has it, or over ``all`` that are scored."""
    ratio: Ratio = Ratio()
    """Weight of guests' tokens: ``paper``, ``imitation``, ``shaped`` or ``behaviour``; as {kind: shaped, gamma: 0.1} or
    {kind: behaviour, truncation: 2} with its setting."""

    @property
    def off_policy(self) -> Ratio:
        """The setting ``ratio``."""
        return self.ratio

    def decide(self, rewards: Rewards, seed: int) -> Decision:
        """The kept train; the kept or all normalise, and anchors of the base with them."""
        kept, values = self.keep(rewards, seed), rewards.members()
        pool = values.clone()
        pool[:, rewards.columns("mono")] = torch.nan  # the base counts anchors itself
        if self.statistics == "kept":
            pool[~kept] = torch.nan
        return Decision(self.base.normalise(values, pool, rewards.mono, seed).masked_fill(~kept, 0.0), kept)

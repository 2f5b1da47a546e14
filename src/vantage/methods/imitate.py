"""Imitation: supervised learning on the guests that Vision-EKIPL would keep, the control that it is compared with.

The same groups, guests and selection as ``ekipl``; of the kept only guests are trained on, each with

    A_i = 1        and the loss of a token        -log p

so nothing is learned from the policy's own rollouts and nothing from how good the others of the group were.
"""

from __future__ import annotations

from typing import Literal

import torch

from vantage.methods.base import Decision, Rewards
from vantage.methods.ratio import Ratio
from vantage.methods.selection import Selecting


class Imitation(Selecting):
    """Settings of imitation. Of the base only its speakers, its punishment of length and its loss are used."""

    name: Literal["imitation"] = "imitation"
    only_right: bool = True
    """Train on kept guests that are right; false trains on every kept guest."""

    @property
    def off_policy(self) -> Ratio:
        """Every token weighs 1."""
        return Ratio(kind="imitation")

    def decide(self, rewards: Rewards, seed: int) -> Decision:
        """Kept guests train, right ones by default.

        Raises:
            ConfigError: only right guests are to train and nobody knows which are.
        """
        kept, guests = self.keep(rewards, seed), rewards.columns("guest")
        chosen = torch.zeros_like(kept)
        chosen[:, guests] = kept[:, guests] & rewards.right("guest") if self.only_right else kept[:, guests]
        return Decision(chosen.to(rewards.fused.dtype), chosen)

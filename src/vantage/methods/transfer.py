"""Anchor transfer: MARS in which a single-source answer that is right is also learned from, under the fused prompt.

With S = {r_1..r_G} u {a_1..a_M} as in MARS, a fused rollout has MARS's advantage, and an anchor k that is right

    A_k = (a_k - mean(S)) / (std(S) + eps)

while its completion stands under the prompt with all sources, as a guest's would; wrong anchors get no loss. The update
keeps its size: of the room of a group, M members are anchors and the rest fused rollouts.

This is our own; there is no paper. Its controls:

1. ``placed`` puts another text into the rows of those anchors: one written from the truth, or a fused rollout's with
   the right answer in place of its own. If either does as well, the source's evidence added nothing to its label. An
   engine leaves rows untrained whose text its policy cannot say, or whose reward does not take it for right.
2. ``chosen: blind`` deals the anchors, their rewards and whether they are right, at random among the groups of the
   step that have anchors of the same sources and agree on whether all their fused answers are right (a positive moves
   little where they are). As many positives with the same rewards; but which group gets one no longer depends on what
   its sources show. It needs another text, since the anchor of such a group may be wrong.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Int
from pydantic import model_validator
from torch import Tensor

from vantage.errors import ConfigError
from vantage.methods.base import Decision, Placed, Rewards
from vantage.methods.mars import Mars, alike
from vantage.methods.racro import Racro
from vantage.methods.ratio import Ratio


def deal(patterns: Bool[Tensor, "P S"], seed: int) -> Int[Tensor, " P"]:
    """For each problem another one of the same pattern, or itself: a random permutation within each pattern."""
    dealt = torch.arange(patterns.shape[0], device=patterns.device)
    for partners in alike(patterns, seed):
        dealt[partners.sort().values] = partners
    return dealt


class MarsTransfer(Mars):
    """Settings of anchor transfer."""

    name: Literal["mars-transfer"] = "mars-transfer"  # type: ignore[assignment]  # a method of its own name
    ratio: Ratio = Ratio(kind="imitation")
    """Weight of the tokens of trained anchors: ``imitation``, ``paper``, ``shaped`` or ``behaviour``; as
    {kind: shaped, gamma: 0.1} or {kind: behaviour, truncation: 2} with its setting."""
    shuffled: bool = False
    """Of mars; refused here, where the control is chosen: blind."""
    placed: Placed = "anchor"
    """Whose text is learned: the ``anchor``'s, one from the ``truth``, or a ``relabelled`` rollout's (controls)."""
    chosen: Literal["right", "blind"] = "right"
    """Groups with a ``right`` anchor get positives, or as many groups at random (``blind``, a control)."""

    @model_validator(mode="after")
    def _fits(self) -> MarsTransfer:
        if self.shuffled:
            raise ValueError("shuffled trades the anchors that are trained on; the control here is chosen: blind")
        if self.chosen == "blind" and self.placed == "anchor":
            raise ValueError(
                "chosen is 'blind', so some of the anchors are wrong; placed must be 'truth' or 'relabelled'"
            )
        if self.ratio.kind == "behaviour" and (self.placed != "anchor" or self.anchors == "greedy"):
            raise ValueError(
                "ratio 'behaviour' weighs a text by the probability with which it was sampled; it needs anchors: "
                f"sampled and placed: anchor, got {self.anchors} and {self.placed}"
            )
        if isinstance(self.base, Racro) and self.placed != "anchor":
            raise ValueError(
                f"over racro the policy writes captions, and placed: {self.placed} would put an answer in the place of "
                "one; it must be 'anchor'"
            )
        return self

    def fused_rollouts(self, room: int, anchors: int) -> int:
        """What anchors leave of the room.

        Raises:
            ConfigError: they leave nothing.
        """
        if room <= anchors:
            raise ConfigError(
                f"mars-transfer trains on right anchors too, so the {room} rows of a group (num_generations) must hold "
                f"its {anchors} anchors and at least one fused rollout"
            )
        return room - anchors

    @property
    def off_policy(self) -> Ratio:
        """The setting ``ratio``."""
        return self.ratio

    @property
    def anchor_text(self) -> Placed:
        """The setting ``placed``."""
        return self.placed

    def decide(self, rewards: Rewards, seed: int) -> Decision:
        """Fused rollouts and right anchors train; all fused rollouts and anchors normalise.

        Raises:
            ConfigError: nobody knows which anchors are right.
        """
        anchors, right = rewards.mono, rewards.right("mono")
        if self.chosen == "blind":
            solved = (rewards.right("fused") | rewards.fused.isnan()).all(1, keepdim=True)
            dealt = deal(torch.cat([~anchors.isnan(), solved], dim=1), seed)
            anchors, right = anchors[dealt], right[dealt]
        fused = self.normalise(rewards.fused, rewards.fused, anchors, seed)
        placed = self.normalise(anchors, rewards.fused, anchors, seed, own=self.weight).masked_fill(~right, 0.0)
        trained = torch.cat([torch.ones_like(fused, dtype=torch.bool), right], dim=1)
        guests = (0, rewards.guest.shape[1])
        pad = torch.nn.functional.pad
        return Decision(pad(torch.cat([fused, placed], dim=1), guests), pad(trained, guests, value=False))

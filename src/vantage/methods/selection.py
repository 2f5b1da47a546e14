"""Which members of a group that guests have joined the update keeps: the best of the policy's and the guests'."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from vantage.errors import ConfigError
from vantage.methods.base import Rewards
from vantage.methods.dapo import Dapo
from vantage.methods.grpo import Grpo
from vantage.methods.mars import Mars
from vantage.methods.over import Over
from vantage.methods.racro import Racro

Ties = Literal["policy", "guests", "random"]


def top(
    fused: Float[Tensor, "P G"], guest: Float[Tensor, "P E"], ties: Ties = "policy", seed: int = 0
) -> Bool[Tensor, "P M"]:
    """The best G of the M = G + E scored members of each group, all of them where fewer are scored.

    Args:
        fused: rewards of the policy's rollouts; NaN is unscored.
        guest: rewards of the guests; NaN is missing or unscored.
        ties: of equal rewards the ``policy``'s come first, or the ``guests``', each in column order; or ``random``.
        seed: of ``random``, which draws from it alone.

    Returns:
        (P, G + E), who is kept; a group to which no guest came keeps all its fused rollouts, unscored ones too.

    Raises:
        ConfigError: an unknown rule.
    """
    values = torch.cat([fused, guest], dim=1).double()
    problems, members = values.shape
    room = fused.shape[1]
    if ties == "random":
        order = torch.rand(problems, members, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
        order = order.argsort(dim=1).to(values.device)
    elif ties in ("policy", "guests"):
        first = 0 if ties == "policy" else room
        order = torch.arange(members, device=values.device).roll(-first).expand(problems, members)
    else:
        raise ConfigError(f"ties must be 'policy', 'guests' or 'random', got {ties!r}")
    # A stable sort leaves equal rewards in that order; unscored members come last.
    ranked = values.gather(1, order).nan_to_num(nan=-torch.inf).argsort(dim=1, descending=True, stable=True)
    best = order.gather(1, ranked[:, :room])
    kept = torch.zeros_like(values, dtype=torch.bool).scatter(1, best, True) & ~values.isnan()
    kept[guest.isnan().all(1)] = torch.arange(members, device=values.device) < room
    return kept


class Selecting(Over):
    """What methods share that keep the best of rollouts and guests."""

    base: Annotated[Grpo | Dapo | Mars | Racro, Field(discriminator="name")] = Grpo()
    """The method underneath: its statistics, its anchors, its punishment of length, its clip range."""
    ties: Ties = "policy"
    """Of equal rewards, those of the ``policy`` are kept first, those of the ``guests``, or ``random`` ones."""

    @property
    def wants_guests(self) -> bool:
        """They choose among guests."""
        return True

    def keep(self, rewards: Rewards, seed: int) -> Bool[Tensor, "P N"]:
        """Who is kept of all members; anchors are never chosen."""
        fused, guest = top(rewards.fused, rewards.guest, self.ties, seed).split(
            [rewards.fused.shape[1], rewards.guest.shape[1]], dim=1
        )
        return torch.cat([fused, torch.zeros_like(rewards.mono, dtype=torch.bool), guest], dim=1)

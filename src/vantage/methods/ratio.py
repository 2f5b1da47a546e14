"""How much a token counts in the update that the policy did not draw from the prompt on which it is trained.

Write p for the policy's probability of the token now, p_old for that before this batch's first update, q for that with
which whoever wrote it drew it. Each kind is a factor w, a constant to the gradient, with which a token of advantage A
adds to the gradient of the loss

    -A w grad log p

| kind | w | of the loss | source |
|---|---|---|---|
| ``paper`` | p / p_old | -A p / p_old, clipped as any row | Vision-EKIPL, arXiv 2506.06856 |
| ``imitation`` | 1 | -A log p: supervised learning weighted by A | |
| ``shaped`` | gamma p / (p + gamma)^2 | -A p / (p + gamma) | LUFFY, arXiv 2504.14945 |
| ``behaviour`` | min(p / q, c) | truncated importance sampling | Ionides 2008 |

``paper`` is no importance ratio: the text was not drawn from p_old, and at the batch's first update, where p = p_old,
it is ``imitation``. ``shaped`` is largest, 1/4, at p = gamma, and vanishes for tokens that are certain or hopeless.
``behaviour`` alone estimates the policy's own gradient, up to what the truncation takes off, and needs q. It is
corrected token by token: what came before in the text is taken as given.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from vantage.errors import ConfigError


class Ratio(BaseModel):
    """Settings of the weight of off-policy tokens; in recipes also the kind alone, as in ``ratio: shaped``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    kind: Literal["paper", "imitation", "shaped", "behaviour"] = "paper"
    """p / p_old (``paper``), 1 (``imitation``), gamma p / (p + gamma)^2 (``shaped``), min(p / q, c) (``behaviour``)."""
    gamma: float = Field(default=0.1, gt=0)
    """Of ``shaped``: the probability that weighs most."""
    truncation: float = Field(default=2.0, ge=1)
    """Of ``behaviour``: c, the largest weight."""

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _of_its_kind(self) -> Ratio:
        for key, kind in (("gamma", "shaped"), ("truncation", "behaviour")):
            value = getattr(self, key)
            if self.kind != kind and value != type(self).model_fields[key].default:
                raise ValueError(f"{key} is {value}, which only kind '{kind}' uses; the kind is '{self.kind}'")
        return self

    @property
    def name(self) -> str:
        """The kind, by which lists of settings show it."""
        return self.kind


def weights(
    ratio: Ratio,
    logps: Float[Tensor, "B T"],
    old: Float[Tensor, "B T"] | None = None,
    behaviour: Float[Tensor, "B T"] | None = None,
) -> Float[Tensor, "B T"]:
    """The factor w of each token, without gradient and in single precision at least.

    Args:
        ratio: which kind.
        logps: log p of the tokens.
        old: log p_old; ``None`` where the policy has not moved since. Only ``paper`` reads it.
        behaviour: log q, any number where there is no token. Only ``behaviour`` reads it.

    Raises:
        ConfigError: kind ``behaviour`` without ``behaviour``, or with NaN in it.
    """
    now = logps.detach().to(torch.promote_types(logps.dtype, torch.float32))
    if ratio.kind == "imitation":
        return torch.ones_like(now)
    if ratio.kind == "paper":
        return torch.ones_like(now) if old is None else (now - old.detach()).exp()
    if ratio.kind == "shaped":
        p = now.exp()
        return ratio.gamma * p / (p + ratio.gamma) ** 2
    if behaviour is None or behaviour.isnan().any():
        given = "none are given" if behaviour is None else f"row {int(behaviour.isnan().nonzero()[0, 0])} lacks some"
        raise ConfigError(
            f"ratio 'behaviour' weighs a token by p / q and needs the log-probs with which it was drawn; {given}"
        )
    return (now - behaviour.detach()).exp().clamp(max=ratio.truncation)


def effective_sample_size(
    weights: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"] | Int[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """How many equally weighted tokens say as much: (sum w)^2 / sum w^2 over the tokens of the mask.

    From 1 (one token has all the weight) to the number of tokens (all weigh the same); 0 where there are none.
    """
    w = torch.where(mask.bool(), weights, 0.0).double()
    squares = (w**2).sum()
    return torch.where(squares > 0, w.sum() ** 2 / squares, 0.0)

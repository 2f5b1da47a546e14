"""RACRO: caption reward optimisation (arXiv 2506.04559; its second version calls the method RAPID and VPO).

A rollout is a caption c, which the policy writes from the pictures and the question q; a frozen reasoner that sees no
picture answers from both:

    r_i = 1[reasoner(c_i, q) is right]        A_i = (r_i - mean(r)) / (std(r) + eps)

So the reward differs and the method does not: this is GRPO over G = 4 captions, as ``vantage.captions`` scores them.
Over MARS, ``Mars(base=Racro())``, a caption of one source alone is an anchor. The paper's other settings belong to the
trainer and stand in its recipes: KL coefficient 0.001 in the loss (low-variance estimator), learning rate 1e-6, 256
questions a batch in updates of 128.

Deviations from the paper: those of GRPO. A caption whose reasoner could not be asked is unscored and drops out of its
group's statistics; the paper does not say what becomes of one.
"""

from __future__ import annotations

from typing import Literal

from vantage.methods.grpo import Grpo


class Racro(Grpo):
    """Settings of RACRO: those of GRPO, over captions that a reasoner answers from."""

    name: Literal["racro"] = "racro"  # type: ignore[assignment]  # a method of its own name

"""Methods: settings with the papers' defaults and the equations as pure functions; one small file each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vantage.methods.base import Decision, Method, Rewards, Speaker
from vantage.methods.dapo import Dapo
from vantage.methods.grpo import Grpo
from vantage.methods.mars import Mars
from vantage.methods.racro import Racro

AnyMethod = Annotated[Grpo | Dapo | Mars | Racro, Field(discriminator="name")]
"""Every method by its name, for recipes."""

METHODS: tuple[type[Method], ...] = (Grpo, Dapo, Mars, Racro)

__all__ = ["METHODS", "AnyMethod", "Dapo", "Decision", "Grpo", "Mars", "Method", "Racro", "Rewards", "Speaker"]

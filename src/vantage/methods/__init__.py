"""Methods: settings with the papers' defaults and the equations as pure functions; one small file each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from vantage.methods.base import Decision, Method, Rewards, Speaker
from vantage.methods.dapo import Dapo
from vantage.methods.ekipl import Ekipl
from vantage.methods.grpo import Grpo
from vantage.methods.imitate import Imitation
from vantage.methods.mars import Mars
from vantage.methods.racro import Racro
from vantage.methods.ratio import Ratio
from vantage.methods.selection import Selecting
from vantage.methods.transfer import MarsTransfer

AnyMethod = Annotated[
    Grpo | Dapo | Mars | Racro | Ekipl | Imitation | MarsTransfer,
    Field(discriminator="name"),
]
"""Every method by its name, for recipes."""

METHODS: tuple[type[Method], ...] = (Grpo, Dapo, Mars, Racro, Ekipl, Imitation, MarsTransfer)


def choosing_among_guests(base: Method | None = None) -> list[str]:
    """Names of the methods that take guests; with ``base``, of those that may stand over it."""

    def takes(method: type[Selecting]) -> bool:
        try:
            method.model_validate({} if base is None else {"base": base})
        except ValidationError:
            return False
        return True

    found = [method for method in METHODS if issubclass(method, Selecting)]
    return [str(method.model_fields["name"].default) for method in found if takes(method)]


__all__ = [
    "METHODS",
    "AnyMethod",
    "Dapo",
    "Decision",
    "Ekipl",
    "Grpo",
    "Imitation",
    "Mars",
    "MarsTransfer",
    "Method",
    "Racro",
    "Ratio",
    "Rewards",
    "Speaker",
    "choosing_among_guests",
]

"""What a method is: four choices, and nothing that an engine, a file or a network would have to know.

1. who speaks beside the G fused rollouts (``speakers``),
2. how a member's reward is shaped by what only the rollout knows, its length (``length_penalty``),
3. who trains, and
4. what normalises (both in ``decide``).

Dimensions in names: P problems, G fused rollouts a problem, S anchoring sources, E guests, N = G + S + E members in
that column order. A missing or unscored member is NaN and takes part in no statistic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from vantage.errors import ConfigError
from vantage.groups import Origin


@dataclass(frozen=True, slots=True)
class Speaker:
    """A member that a method wants in every group beside the fused rollouts.

    Args:
        origin: as whom it speaks.
        greedy: most likely token at each position; otherwise sampled as the fused rollouts are.
    """

    origin: Origin
    greedy: bool = True


@dataclass(frozen=True, slots=True)
class Rewards:
    """The rewards of P groups, split by kind of origin; NaN where a member is missing or unscored."""

    fused: Float[Tensor, "P G"]
    mono: Float[Tensor, "P S"]
    guest: Float[Tensor, "P E"]

    @classmethod
    def of(cls, fused: Tensor, mono: Tensor | None = None, guest: Tensor | None = None) -> Rewards:
        """Fill absent kinds with zero columns.

        Raises:
            ConfigError: the parts disagree on the number of problems.
        """
        empty = fused.new_zeros(fused.shape[0], 0)
        parts = (fused, empty if mono is None else mono, empty if guest is None else guest)
        if any(part.ndim != 2 or part.shape[0] != fused.shape[0] for part in parts):
            shapes = ", ".join(str(tuple(part.shape)) for part in parts)
            raise ConfigError(f"fused, mono and guest rewards are (P, G), (P, S), (P, E) of one P; got {shapes}")
        return cls(*parts)

    def members(self) -> Float[Tensor, "P N"]:
        """All members in column order fused, mono, guest."""
        return torch.cat([self.fused, self.mono, self.guest], dim=1)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the update learns from: for each member an advantage, and whether it is trained on."""

    advantages: Float[Tensor, "P N"]
    trained: Bool[Tensor, "P N"]

    def signal(self) -> Bool[Tensor, " P"]:
        """Groups in which at least one advantage that would be trained on is not zero."""
        return ((self.advantages != 0) & self.trained).any(dim=1)


class Method(BaseModel, ABC):
    """Settings of a method and its four choices. Immutable; unknown settings are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    name: str
    """Name in recipes."""

    def speakers(self, sources: Sequence[str]) -> tuple[Speaker, ...]:
        """Who speaks beside the fused rollouts for a sample with these sources; nobody by default.

        Raises:
            ConfigError: the method cannot work on a sample with these sources.
        """
        return ()

    @abstractmethod
    def decide(self, rewards: Rewards, seed: int) -> Decision:
        """Advantages of all members, and which of them are trained on: exactly G of every group.

        Args:
            rewards: of all groups of the step, from every process.
            seed: changes from step to step; a method that draws at random draws from it alone.
        """

    def length_penalty(self, lengths: Int[Tensor, "P N"], limit: int) -> Float[Tensor, "P N"] | None:
        """Added to the rewards before ``decide``; ``None`` where lengths do not matter.

        Args:
            lengths: tokens of each completion.
            limit: the most tokens a completion can have.
        """
        return None

    @property
    def generation_batches(self) -> int:
        """At most this many batches of prompts are generated to fill one step; 1 keeps groups without signal."""
        return 1

    @property
    def clip_high(self) -> float | None:
        """Upper clip range of the ratio where the method sets its own, else ``None``."""
        return None

    @property
    def token_level(self) -> bool:
        """Whether the method needs a loss averaged over tokens rather than over completions."""
        return False

    @property
    def scaling(self) -> str | None:
        """``group``, ``batch`` or ``none``: what the reward is divided by, where that question makes sense."""
        return None


def as_rewards(values: object, name: str) -> Float[Tensor, "P N"]:
    """A matrix of rewards in double precision from a tensor, an array or nested lists.

    Double precision so that equal rewards have a mean equal to them: in single precision the mean of sixteen times 0.1
    is off by 1e-9, and dividing that by an epsilon of 1e-6 would train on noise.

    Raises:
        ConfigError: not a matrix of real numbers, or infinite.
    """
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{name} must be a matrix of numbers: {error}") from error
    if tensor.ndim != 2 or tensor.is_complex():
        raise ConfigError(f"{name} must be a real matrix with a row a problem, got shape {tuple(tensor.shape)}")
    tensor = tensor.double()
    if torch.isinf(tensor).any():
        row, column = (int(i) for i in torch.isinf(tensor).nonzero()[0])
        raise ConfigError(f"{name}[{row}, {column}] is infinite; a reward is finite, or NaN for an unscored member")
    return tensor


def result_dtype(values: object) -> torch.dtype:
    """Floating type of a result: that of the input, or torch's default where the input holds integers."""
    dtype = torch.as_tensor(values).dtype
    return dtype if dtype.is_floating_point else torch.get_default_dtype()

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
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from vantage.errors import ConfigError
from vantage.groups import Kind, Origin
from vantage.methods.ratio import Ratio

Placed = Literal["anchor", "truth", "relabelled"]
"""Whose text stands in a row in which an anchor is trained on: its own, one written from the truth, or a fused
rollout's with its answer replaced by the right one."""


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
    """The rewards of P groups, split by kind of origin; NaN where a member is missing or unscored.

    ``correct`` says of all members whether they are right: 1 or 0, NaN where unknown; ``None`` where nobody looked.
    """

    fused: Float[Tensor, "P G"]
    mono: Float[Tensor, "P S"]
    guest: Float[Tensor, "P E"]
    correct: Float[Tensor, "P N"] | None = None

    @classmethod
    def of(
        cls, fused: Tensor, mono: Tensor | None = None, guest: Tensor | None = None, correct: Tensor | None = None
    ) -> Rewards:
        """Fill absent kinds with zero columns.

        Raises:
            ConfigError: the parts disagree on the number of problems, or ``correct`` is not of all members.
        """
        empty = fused.new_zeros(fused.shape[0], 0)
        parts = (fused, empty if mono is None else mono, empty if guest is None else guest)
        if any(part.ndim != 2 or part.shape[0] != fused.shape[0] for part in parts):
            shapes = ", ".join(str(tuple(part.shape)) for part in parts)
            raise ConfigError(f"fused, mono and guest rewards are (P, G), (P, S), (P, E) of one P; got {shapes}")
        members = (fused.shape[0], sum(part.shape[1] for part in parts))
        if correct is not None and tuple(correct.shape) != members:
            raise ConfigError(f"correct is (P, N) of all members, {members}; got {tuple(correct.shape)}")
        return cls(*parts, correct)

    def members(self) -> Float[Tensor, "P N"]:
        """All members in column order fused, mono, guest."""
        return torch.cat([self.fused, self.mono, self.guest], dim=1)

    def columns(self, kind: Kind) -> slice:
        """Where the members of a kind stand among all."""
        start = 0
        for name, part in (("fused", self.fused), ("mono", self.mono), ("guest", self.guest)):
            if name == kind:
                return slice(start, start + part.shape[1])
            start += part.shape[1]
        raise ConfigError(f"members are 'fused', 'mono' or 'guest', not {kind!r}")

    def right(self, kind: Kind) -> Bool[Tensor, "P K"]:
        """Which members of a kind are scored and right.

        Raises:
            ConfigError: nobody looked.
        """
        if self.correct is None:
            raise ConfigError("the method asks which answers are right, but only rewards were given; pass correct too")
        at = self.columns(kind)
        return (self.correct[:, at] == 1) & ~self.members()[:, at].isnan()


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
        """Advantages of all members, and which of them are trained on: at most as many as a group has room for.

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

    def fused_rollouts(self, room: int, anchors: int) -> int:
        """How many fused rollouts are spoken where the update has room for so many members of a group.

        Args:
            room: at most this many members of a group are trained on (``num_generations``).
            anchors: columns of single-source answers.

        Raises:
            ConfigError: the room is too small.
        """
        return room

    @property
    def wants_guests(self) -> bool:
        """Whether the method has a use for completions of other models."""
        return False

    @property
    def off_policy(self) -> Ratio | None:
        """The weight of tokens of trained members that are not ``fused``; ``None`` where there are no such members."""
        return None

    @property
    def anchor_text(self) -> Placed:
        """Whose text stands in the row of an anchor that is trained on."""
        return "anchor"

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

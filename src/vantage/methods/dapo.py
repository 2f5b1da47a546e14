"""DAPO: decoupled clip and dynamic sampling policy optimisation (arXiv 2503.14476).

GRPO's advantages and four changes: a higher upper clip range (section 3.1), groups without signal are replaced by fresh
ones (3.2), the loss is averaged over tokens (3.3), and completions near the length limit are punished softly (3.4,
equation 13).

Deviations from the paper:

1. A group is without signal when the advantages that would be trained on are all zero. For GRPO's advantages and a
   binary reward that is the paper's 0 < number correct < G; for graded rewards and for MARS it is what the paper means.
2. Refilling stops after ``max_generation_batches``; the step then trains on the groups that it has and says so.
3. What replaces them is drawn at random from the whole data set, by the number of the step, so that a resumed run
   draws the same; the paper goes on through the epoch.
4. ``overlong_buffer`` may be a fraction of the limit: the paper's 4,096 of 20,480 tokens are the default 0.2.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float, Int
from pydantic import Field, field_validator
from torch import Tensor

from vantage.errors import ConfigError
from vantage.methods.grpo import Grpo


def overlong_penalty(
    lengths: Int[Tensor, "*shape"], limit: int, buffer: int, penalty: float = 1.0
) -> Float[Tensor, "*shape"]:
    """Soft overlong punishment (equation 13), in [-penalty, 0].

    0 up to ``limit - buffer`` tokens, then falling linearly to ``-penalty`` at ``limit``.

    Raises:
        ConfigError: a buffer that does not fit into the limit.
    """
    if not 0 < buffer <= limit:
        raise ConfigError(
            f"overlong_buffer is {buffer} tokens but a completion has at most {limit} (max_completion_length); "
            f"it must lie between 1 and {limit}, or be a fraction below 1"
        )
    # R(y) = ((L_max - L_cache) - |y|) / L_cache, clamped to [-1, 0]
    return penalty * ((limit - buffer - lengths.float()) / buffer).clamp(-1.0, 0.0)


class Dapo(Grpo):
    """Settings of DAPO: those of GRPO and its own. Groups without signal are the engine's to replace."""

    name: Literal["dapo"] = "dapo"  # type: ignore[assignment]  # a method of its own name
    epsilon_high: float = Field(default=0.28, gt=0)
    """Upper clip range of the ratio; the lower one is the trainer's ``epsilon`` (0.2 in the paper)."""
    max_generation_batches: int = Field(default=10, ge=1)
    """At most this many batches of prompts are generated to fill one step with groups that have signal."""
    overlong_buffer: float | None = Field(default=0.2, gt=0)
    """Length over which the punishment sets in: tokens, or a fraction of the limit when below 1; null for none."""
    overlong_penalty: float = Field(default=1.0, ge=0)
    """Punishment at the limit."""

    @field_validator("overlong_buffer")
    @classmethod
    def _whole(cls, value: float | None) -> float | None:
        if value is not None and value >= 1 and value != int(value):
            raise ValueError(f"{value} is neither a whole number of tokens nor a fraction below 1")
        return value

    def length_penalty(self, lengths: Int[Tensor, "P N"], limit: int) -> Float[Tensor, "P N"] | None:
        """Soft overlong punishment of every member, anchors too."""
        if self.overlong_buffer is None:
            return None
        if self.overlong_buffer < 1:
            buffer = max(1, round(self.overlong_buffer * limit))
        else:
            buffer = int(self.overlong_buffer)
        return overlong_penalty(lengths, limit, buffer, self.overlong_penalty)

    @property
    def generation_batches(self) -> int:
        """The setting ``max_generation_batches``."""
        return self.max_generation_batches

    @property
    def clip_high(self) -> float:
        """The setting ``epsilon_high``."""
        return self.epsilon_high

    @property
    def token_level(self) -> bool:
        """Section 3.3."""
        return True

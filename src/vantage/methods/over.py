"""A method over another one: what it does not say itself, it asks the one underneath."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from vantage.methods.base import Method, Speaker


class Over(Method):
    """Passes on every choice but ``decide``."""

    base: Method
    """The method underneath."""

    def speakers(self, sources: Sequence[str]) -> tuple[Speaker, ...]:
        """The base's."""
        return self.base.speakers(sources)

    def fused_rollouts(self, room: int, anchors: int) -> int:
        """The base's."""
        return self.base.fused_rollouts(room, anchors)

    def length_penalty(self, lengths: Int[Tensor, "P N"], limit: int) -> Float[Tensor, "P N"] | None:
        """The base's."""
        return self.base.length_penalty(lengths, limit)

    @property
    def generation_batches(self) -> int:
        """The base's."""
        return self.base.generation_batches

    @property
    def clip_high(self) -> float | None:
        """The base's."""
        return self.base.clip_high

    @property
    def token_level(self) -> bool:
        """The base's."""
        return self.base.token_level

    @property
    def scaling(self) -> str | None:
        """The base's."""
        return self.base.scaling

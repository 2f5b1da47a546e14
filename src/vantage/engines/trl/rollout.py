"""What a rollout hands to the update: groups whose members are spoken, scored and judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

import torch
from torch import Tensor

from vantage.engines.trl.prompts import Prompt
from vantage.errors import EngineError, RewardError
from vantage.groups import Group
from vantage.methods import Decision
from vantage.rewards import call_many
from vantage.rewards.base import Completion, Reward, Score
from vantage.rewards.rows import completion_text
from vantage.samples import Sample

Row = dict[str, Any]
"""What a reward function of TRL receives of a sample, column by column, and the prompt."""


def row(sample: Sample, prompt: list[dict[str, Any]]) -> Row:
    """Columns of a sample as TRL hands them to reward functions."""
    return {
        "prompt": prompt,
        "sample": sample,
        "id": sample.id,
        "question": sample.question,
        "truth": sample.truth,
        "metadata": dict(sample.metadata),
    }


class Verifier:
    """Each sample's own reward as a reward function of TRL; keeps the scores of its last call for the logs.

    Args:
        reward: scores every sample instead of its own.
    """

    __name__ = "verifier"

    def __init__(self, reward: Reward | None = None) -> None:
        self.reward = reward
        self.ends: frozenset[int] = frozenset()
        """Tokens of which one ends a completion that was not cut off; empty: none was."""
        self.scores: list[Score] = []

    def __call__(
        self,
        completions: list[Any],
        sample: list[Sample],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **_: object,
    ) -> list[float | None]:
        """Rewards of the completions; ``None`` where one could not be scored."""
        tokens = completion_ids if completion_ids is not None and self.ends else [()] * len(completions)
        texts = [
            Completion(completion_text(completion), finished=not ids or ids[-1] in self.ends)
            for completion, ids in zip(completions, tokens, strict=True)
        ]
        self.scores = call_many([self.reward or item.reward for item in sample], texts, sample)
        return [score.reward for score in self.scores]


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A user's reward function whose NaN or infinite rewards are errors that name the row; ``None`` is unscored."""

    def check(rewards: list[float | None], ids: Sequence[str]) -> list[float | None]:
        for reward, row_id in zip(rewards, ids, strict=False):  # TRL reports a wrong number of rewards
            if reward is not None and not torch.isfinite(torch.tensor(float(reward))):
                name = getattr(function, "__name__", type(function).__name__)
                raise RewardError(
                    f"reward function {name!r} returned {reward} for row {row_id!r}; a reward is a finite number, or "
                    "None where a completion cannot be scored"
                )
        return rewards

    if iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004

        @wraps(function, updated=())
        async def checked_async(*args: Any, **kwargs: Any) -> list[float | None]:
            return check(await function(*args, **kwargs), kwargs["id"])

        return checked_async

    @wraps(function, updated=())
    def checked_sync(*args: Any, **kwargs: Any) -> list[float | None]:
        return check(function(*args, **kwargs), kwargs["id"])

    return checked_sync


@dataclass(slots=True)
class Rollout:
    """Groups of this process from one or several batches of prompts, and what TRL needs to train on them.

    Dimensions: P local problems, G fused rollouts, S anchors, N members, F reward functions.

    Attributes:
        groups: P groups.
        prompt_ids: P token lists, those of the fused prompt.
        completion_ids: P lists of N token lists.
        logprobs: P lists of N lists where the generation backend returns them, else ``None``.
        images: P lists of pictures of the fused prompt.
        prompts: P conversations.
        read: P prompts as the model reads them, where the update shares them, else ``None``.
        per_function: (P, N, F) rewards by reward function, NaN where unscored.
        advantages: (P, N).
        trained: (P, N).
    """

    groups: list[Group] = field(default_factory=list)
    prompt_ids: list[list[int]] = field(default_factory=list)
    completion_ids: list[list[list[int]]] = field(default_factory=list)
    logprobs: list[list[list[float | None]]] | None = None
    images: list[list[Any] | None] = field(default_factory=list)
    prompts: list[list[dict[str, Any]]] = field(default_factory=list)
    read: list[Prompt] | None = None
    per_function: Tensor = field(default_factory=lambda: torch.empty(0))
    advantages: Tensor = field(default_factory=lambda: torch.empty(0))
    trained: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))

    def signal(self) -> list[bool]:
        """Which groups have an advantage to train on that is not zero."""
        return Decision(self.advantages, self.trained).signal().tolist()

    def take(self, index: Sequence[int]) -> Rollout:
        """The groups at these positions."""
        at = torch.tensor(list(index), dtype=torch.long, device=self.advantages.device)
        return Rollout(
            groups=[self.groups[i] for i in index],
            prompt_ids=[self.prompt_ids[i] for i in index],
            completion_ids=[self.completion_ids[i] for i in index],
            logprobs=None if self.logprobs is None else [self.logprobs[i] for i in index],
            images=[self.images[i] for i in index],
            prompts=[self.prompts[i] for i in index],
            read=None if self.read is None else [self.read[i] for i in index],
            per_function=self.per_function[at],
            advantages=self.advantages[at],
            trained=self.trained[at],
        )

    def extend(self, other: Rollout) -> Rollout:
        """These groups followed by those of another batch."""
        if not self.groups:
            return other
        return Rollout(
            groups=self.groups + other.groups,
            prompt_ids=self.prompt_ids + other.prompt_ids,
            completion_ids=self.completion_ids + other.completion_ids,
            logprobs=None if self.logprobs is None or other.logprobs is None else self.logprobs + other.logprobs,
            images=self.images + other.images,
            prompts=self.prompts + other.prompts,
            read=None if self.read is None or other.read is None else self.read + other.read,
            per_function=torch.cat([self.per_function, other.per_function]),
            advantages=torch.cat([self.advantages, other.advantages]),
            trained=torch.cat([self.trained, other.trained]),
        )

    def rows(self, room: int) -> list[list[tuple[int, bool]]]:
        """For each group the columns that fill its rows of the update, and whether each is trained on.

        Where a group trains on fewer members than there is room for, its first fused rollout stands in, without loss.

        Raises:
            EngineError: a group trains on more members than a batch has room for.
        """
        found = []
        for group, mask in zip(self.groups, self.trained, strict=True):
            chosen = mask.nonzero().flatten().tolist()
            if len(chosen) > room:
                raise EngineError(
                    f"row {group.sample.id!r}: the method trains on {len(chosen)} members of the group; a batch holds "
                    f"num_generations = {room} of each"
                )
            found.append([(column, True) for column in chosen] + [(0, False)] * (room - len(chosen)))
        return found

    def columns(self, room: int) -> Tensor:
        """The columns of ``rows`` as indices, (P, room)."""
        rows = [[column for column, _ in row] for row in self.rows(room)]
        return torch.tensor(rows, device=self.advantages.device)

    def live(self, room: int) -> Tensor:
        """Which of ``rows`` are trained on, (P, room)."""
        return torch.tensor([[live for _, live in row] for row in self.rows(room)], device=self.advantages.device)

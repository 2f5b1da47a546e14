"""The caption reward as a reward function of TRL's own trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vantage.captions.reward import CaptionReward
from vantage.errors import ConfigError
from vantage.rewards.base import Completion
from vantage.rewards.function import reward_function
from vantage.rewards.rows import completion_text


def as_trl(reward: CaptionReward, *, truth: str | None = None, longest: int | None = None) -> Callable[..., Any]:
    """A coroutine function as TRL takes it in ``reward_funcs``; see ``vantage.reward_function`` for columns.

    An unscored caption is ``None``, which TRL leaves out. The figures of the reward are logged.

    Args:
        reward: with its ``inner`` named, since columns name no reward.
        truth: the column that holds the truth, where it has another name.
        longest: the trainer's ``max_completion_length``; a caption of so many tokens counts as cut and earns 0. TRL
            does not say which were; without it none counts as cut.

    Raises:
        ConfigError: the reward names no inner one.
    """
    if reward.inner is None:
        raise ConfigError("TRL's rows name no reward; name the one that verifies answers: CaptionReward(inner='...')")
    function = reward_function(reward, asynchronous=True, truth=truth)

    async def caption(
        completions: Sequence[Any], completion_ids: Sequence[Sequence[int]] | None = None, **columns: Any
    ) -> list[float | None]:
        texts = [completion_text(completion) for completion in completions]
        if longest is not None and completion_ids is not None:
            lengths = map(len, completion_ids)
            texts = [Completion(text, length < longest) for text, length in zip(texts, lengths, strict=True)]
        found: list[float | None] = await function(completions=texts, **columns)
        return found

    return caption

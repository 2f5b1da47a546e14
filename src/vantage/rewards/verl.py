"""A verifier as verl calls reward functions (verl 0.9); verl itself is not needed to load this file.

    reward.custom_reward_function.path=pkg://vantage.rewards.verl
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.reward=mars-vqa

The path of this file stands for ``pkg://...`` too. verl calls it once a completion, in threads of its reward workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vantage.errors import ConfigError, RewardError
from vantage.rewards import Reward, Score, call, get
from vantage.rewards.rows import KEYS, TRUTHS, completion_text, readable, sample_of
from vantage.samples import Sample


def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward: str | None = None,
    **_: object,
) -> dict[str, float]:
    """Score one completion.

    Args:
        data_source: the row's, for errors.
        solution_str: the completion.
        ground_truth: the truth; arrays are read as lists, and boxes also as JSON text, as Parquet files keep them.
        extra_info: the row's; its ``question``, ``image_size``, ``frame`` and so on are read as those of a row (see
            ``vantage.rewards.rows``), its ``index`` or ``id`` names it in errors.
        reward: name of the verifier, from ``reward_kwargs``; else the row's own, ``extra_info["reward"]``.

    Returns:
        ``score``, the reward; ``acc`` and ``format``, 1 where the answer is right and laid out as asked; ``timeout``,
        1 where it was stopped at the wall limit. The same keys for every row and reward, which verl relies on; it can
        filter groups by ``acc``.

    Raises:
        ConfigError: no name of a reward, or an unknown one.
        DataError: the row's truth cannot be read.
        RewardError: the verifier could not tell; verl has no way to leave a completion out.
    """
    info = dict(extra_info or {})
    name = reward or info.get("reward")
    if not isinstance(name, str):
        raise ConfigError(
            "no reward is named; set reward.custom_reward_function.reward_kwargs.reward, or 'reward' in each row's "
            "extra_info"
        )
    verifier = get(name)
    sample = row_sample(verifier, data_source, ground_truth, info)
    score = call(verifier, completion_text(solution_str), sample)
    if score.reward is None:
        raise RewardError(
            f"row {sample.id!r}: reward {name!r} could not score the completion ({score.error or 'it does not say why'}"
            "); verl needs a number for each"
        )
    return numbers(score, score.reward)


def row_sample(verifier: Reward, data_source: Any, ground_truth: Any, info: Mapping[str, Any]) -> Sample:
    """The sample that the arguments of a call stand for; raises ``DataError`` where its truth cannot be read."""
    where = f"{data_source}:{info.get('index', '?')}"
    row = {key: info[key] for key in KEYS if key in info and key not in TRUTHS}
    needed = verifier.needs_truth
    return readable(verifier, sample_of({**row, "answer": ground_truth}, where, needs_truth=needed))


def numbers(score: Score, reward: float) -> dict[str, float]:
    """What verl is given: the reward under ``score``, and the figures that every row has."""
    return {
        "score": float(reward),
        "acc": float(score.correct),
        "format": float(score.formatted),
        "timeout": float(score.timed_out),
    }

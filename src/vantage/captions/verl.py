"""The caption reward as verl calls reward functions (verl 0.9), which awaits a coroutine function.

    reward.custom_reward_function.path=pkg://vantage.captions.verl
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.url=http://127.0.0.1:8000/v1
    +reward.custom_reward_function.reward_kwargs.model=my-reasoner
    +reward.custom_reward_function.reward_kwargs.reward=math

The path of this file stands for ``pkg://...`` too. verl itself is not needed to load it. Each of verl's reward workers
is a process with an endpoint of its own; give them one ``cache``, so that nothing is paid for twice.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from vantage.captions.prompts import Prompts
from vantage.captions.reward import LOGGED, CaptionReward
from vantage.endpoints import EndpointSettings, open_endpoint
from vantage.errors import ConfigError, EndpointError
from vantage.rewards.rows import completion_text, plain
from vantage.rewards.verl import numbers, row_sample

_OWN = ("leakage", "penalty", "answer_in")
_open: dict[str, CaptionReward] = {}
_lock = threading.Lock()


async def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward: str | None = None,
    prompts: Mapping[str, str] | None = None,
    **settings: Any,
) -> dict[str, float]:
    """Score one caption.

    Args:
        data_source: the row's, for errors.
        solution_str: the caption.
        ground_truth: the truth; see ``vantage.rewards.verl``.
        extra_info: the row's; the reasoner is asked its ``question``, which it must have.
        reward: name of the reward that verifies the reasoner's answer; else the row's own, ``extra_info["reward"]``.
        prompts: settings of ``vantage.captions.Prompts``.
        **settings: those of ``vantage.endpoints.EndpointSettings`` (``url``, ``model``, ``cache``, ...), and
            ``leakage``, ``penalty`` and ``answer_in`` of ``CaptionReward``. What verl adds of its own, ``reward_...``,
            is left alone.

    Returns:
        ``score``, ``acc``, ``format`` and ``timeout`` as ``vantage.rewards.verl``, and ``called``, ``failed``, ``cut``,
        ``leak`` and ``mention`` of ``CaptionReward``; the same keys for every row.

    Raises:
        ConfigError: a setting that is unknown or cannot be, or no name of a reward.
        EndpointError: the call failed; verl has no way to leave a caption out.
        DataError: the row has no question, or its truth cannot be read.
    """
    info = {key: plain(value) for key, value in (extra_info or {}).items()}
    name = reward or info.get("reward")
    if not isinstance(name, str):
        raise ConfigError("no reward is named that verifies answers; set reward_kwargs.reward, or 'reward' in each row")
    verifier = _reward(name, prompts, settings)
    sample = row_sample(verifier, data_source, ground_truth, info)
    (score,) = await verifier.score_async([completion_text(solution_str)], [sample])
    if score.reward is None:
        raise EndpointError(f"row {sample.id!r}: {score.error}; verl needs a number for each")
    return {**numbers(score, score.reward), **{part: score.parts[part] for part in LOGGED.values()}}


def _reward(name: str, prompts: Mapping[str, str] | None, settings: Mapping[str, Any]) -> CaptionReward:
    """The reward of these settings, opened once a process."""
    given = {key: plain(value) for key, value in settings.items() if not key.startswith("reward_")}
    known = {*EndpointSettings.model_fields, *_OWN}
    for key in sorted(given.keys() - known):
        near = get_close_matches(key, known, n=1)
        raise ConfigError(f"reward_kwargs: no setting is called {key!r}" + (f"; {near[0]!r} is" if near else ""))
    written = repr((name, plain(prompts), sorted(given.items())))
    with _lock:
        if written not in _open:
            own = {key: given.pop(key) for key in _OWN if key in given}
            words, endpoint = Prompts.checked(prompts or {}), open_endpoint(given)
            _open[written] = CaptionReward(endpoint, inner=name, prompts=words, **own)
            atexit.register(endpoint.close)
        return _open[written]

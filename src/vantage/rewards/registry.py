"""Names of rewards. A reward's module is imported when its name is first asked for."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from typing import TypeVar

from vantage.errors import ConfigError
from vantage.rewards.base import Reward

_BUILT_IN = {
    "answer": "vantage.rewards.answer:Answer",
    "box": "vantage.rewards.answer:BoxAnswer",
    "count": "vantage.rewards.count:Count",
    "grounding": "vantage.rewards.detection:Grounding",
    "mars-grounding": "vantage.rewards.grounding:MarsGrounding",
    "mars-vqa": "vantage.rewards.vqa:MarsVqa",
    "math": "vantage.rewards.mathematics:Math",
    "racro-boxed": "vantage.rewards.racro:RacroBoxed",
    "reason-rft-accuracy": "vantage.rewards.reason_rft_accuracy:ReasonRftAccuracy",
    "reason-rft-format": "vantage.rewards.format:ReasonRftFormat",
    "reason-rft-number": "vantage.rewards.number:ReasonRftNumber",
    "reason-rft-transformation": "vantage.rewards.transformation:ReasonRftTransformation",
    "reason-rft-transformation-exact": "vantage.rewards.transformation:ReasonRftTransformationExact",
}
_loaded: dict[str, Reward] = {}

_SUM = re.compile(r"[+*]|\s-\s")
"""What stands in a weighted sum and in no name."""

RewardOrClass = TypeVar("RewardOrClass", Reward, type[Reward])


def names() -> list[str]:
    """Every known name, sorted."""
    return sorted({*_BUILT_IN, *_loaded})


def get(name: str) -> Reward:
    """The reward of that name, or of a weighted sum of names: ``reason-rft-accuracy + 0.5*reason-rft-format``.

    Asked again, it gives the same object. See ``vantage.rewards.weighted`` for sums.

    Raises:
        ConfigError: there is none; names the nearest and lists those there are.
    """
    if not isinstance(name, str):
        raise ConfigError(f"the name of a reward is a text, not {name!r}")
    if name in _loaded:
        return _loaded[name]
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        _loaded[name] = getattr(import_module(module), attribute)()
        return _loaded[name]
    if _SUM.search(name):
        return _sum(name)
    near = get_close_matches(name, names(), n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ConfigError(f"no reward is called {name!r}{hint}; known: {', '.join(names())}")


@lru_cache(maxsize=256)
def _sum(line: str) -> Reward:
    # Every row of a data set may carry the line, and rows of one reward are scored together.
    from vantage.rewards.weighted import parse

    return parse(line)


def register(reward: RewardOrClass) -> RewardOrClass:
    """Make a reward of one's own known by its ``name``; also a class decorator.

    Raises:
        ConfigError: it is no reward, has no name, its name is taken, or reads like a weighted sum.
    """
    instance = reward() if isinstance(reward, type) else reward
    if not isinstance(instance, Reward) or not isinstance(getattr(instance, "name", None), str) or not instance.name:
        raise ConfigError(f"{reward!r} is no vantage.rewards.Reward with a name")
    if _SUM.search(instance.name):
        raise ConfigError(f"{instance.name!r} reads like a weighted sum of rewards; a name has no '+', '*' or ' - '")
    if instance.name in names():
        raise ConfigError(f"a reward called {instance.name!r} exists; choose another name")
    _loaded[instance.name] = instance
    return reward

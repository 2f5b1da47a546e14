"""Names of rewards. A reward's module is imported when its name is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TypeVar

from vantage.errors import ConfigError
from vantage.rewards.base import Reward

_BUILT_IN = {
    "answer": "vantage.rewards.answer:Answer",
    "box": "vantage.rewards.answer:BoxAnswer",
    "mars-grounding": "vantage.rewards.grounding:MarsGrounding",
    "mars-vqa": "vantage.rewards.vqa:MarsVqa",
}
_loaded: dict[str, Reward] = {}

RewardOrClass = TypeVar("RewardOrClass", Reward, type[Reward])


def names() -> list[str]:
    """Every known name, sorted."""
    return sorted({*_BUILT_IN, *_loaded})


def get(name: str) -> Reward:
    """The reward of that name.

    Raises:
        ConfigError: there is none; lists those there are.
    """
    if name not in _loaded:
        if name not in _BUILT_IN:
            raise ConfigError(f"no reward is called {name!r}; known: {', '.join(names())}")
        module, _, attribute = _BUILT_IN[name].partition(":")
        _loaded[name] = getattr(import_module(module), attribute)()
    return _loaded[name]


def register(reward: RewardOrClass) -> RewardOrClass:
    """Make a reward of one's own known by its ``name``; also a class decorator.

    Raises:
        ConfigError: it is no reward, has no name, or its name is taken.
    """
    instance = reward() if isinstance(reward, type) else reward
    if not isinstance(instance, Reward) or not isinstance(getattr(instance, "name", None), str) or not instance.name:
        raise ConfigError(f"{reward!r} is no vantage.rewards.Reward with a name")
    if instance.name in names():
        raise ConfigError(f"a reward called {instance.name!r} exists; choose another name")
    _loaded[instance.name] = instance
    return reward

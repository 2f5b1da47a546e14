"""Vantage: reinforcement learning for vision-language models that look from many vantage points.

Importing it is fast: what needs torch is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vantage.errors import VantageError
from vantage.groups import Group, Member, Origin
from vantage.pictures import Source
from vantage.samples import PromptStyle, Sample

if TYPE_CHECKING:
    from vantage.datasets import load as load_dataset
    from vantage.engines.trl import VantageTrainer
    from vantage.methods import Dapo, Ekipl, Grpo, Imitation, Mars, MarsTransfer, Racro, Ratio
    from vantage.pipeline import Pipeline
    from vantage.rewards.contract import check_reward
    from vantage.rewards.function import reward_function

_LAZY = {
    "Dapo": ("vantage.methods", "Dapo"),
    "Ekipl": ("vantage.methods", "Ekipl"),
    "Grpo": ("vantage.methods", "Grpo"),
    "Imitation": ("vantage.methods", "Imitation"),
    "Mars": ("vantage.methods", "Mars"),
    "MarsTransfer": ("vantage.methods", "MarsTransfer"),
    "Pipeline": ("vantage.pipeline", "Pipeline"),
    "Racro": ("vantage.methods", "Racro"),
    "Ratio": ("vantage.methods", "Ratio"),
    "VantageTrainer": ("vantage.engines.trl", "VantageTrainer"),
    "check_reward": ("vantage.rewards.contract", "check_reward"),
    "load_dataset": ("vantage.datasets", "load"),
    "reward_function": ("vantage.rewards.function", "reward_function"),
}

__all__ = [
    "Dapo",
    "Ekipl",
    "Group",
    "Grpo",
    "Imitation",
    "Mars",
    "MarsTransfer",
    "Member",
    "Origin",
    "Pipeline",
    "PromptStyle",
    "Racro",
    "Ratio",
    "Sample",
    "Source",
    "VantageError",
    "VantageTrainer",
    "check_reward",
    "load_dataset",
    "reward_function",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'vantage' has no attribute {name!r}")

"""Rewards: verifiers of completions, by name."""

from vantage.rewards.base import Completion, Reward, Score
from vantage.rewards.calling import call, call_many
from vantage.rewards.registry import get, names, register

__all__ = ["Completion", "Reward", "Score", "call", "call_many", "get", "names", "register"]

"""Errors: one base, few children, each also an error of the standard library.

A message states what was given, what was expected and why, and names the row or the key.
"""


class VantageError(Exception):
    """Base of every error that Vantage raises on purpose."""


class ConfigError(VantageError, ValueError):
    """A setting, or a pair of settings, that cannot work."""


class DataError(VantageError, ValueError):
    """A row of a data set that cannot be used as it is."""


class PictureError(DataError):
    """A picture that is missing, corrupt, too large, or of a mode whose meaning is unknown."""


class TruthError(DataError):
    """A truth that the reward of its row cannot read."""


class RewardError(VantageError, ValueError):
    """A reward function that returned something that is no reward."""


class EngineError(VantageError, RuntimeError):
    """Training cannot start or go on, for example because rollout and update disagree."""


class CheckpointError(VantageError, OSError):
    """A checkpoint could not be written or read; earlier ones are intact."""


class EndpointError(VantageError, ConnectionError):
    """A model server gave no usable answer, after all retries or because asking again is no use."""


class BudgetError(VantageError, RuntimeError):
    """What a run may spend on model servers is spent; what was paid for is kept.

    Attributes:
        replies: where several conversations were asked, what had come for each by then; ``None`` where nothing had.
    """

    replies: tuple[object, ...] = ()

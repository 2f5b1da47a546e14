"""``trl.GRPOConfig`` from the ``trainer`` section of a recipe."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from trl import GRPOConfig

from vantage.errors import ConfigError

_OURS = {
    "output_dir": "a run writes to its own folder",
    "seed": "the recipe's own 'seed' sets it",
    "data_seed": "the recipe's own 'seed' sets it",
    "model_init_kwargs": "the section 'model' sets it",
    "trust_remote_code": "the section 'model' sets it",
    "resume_from_checkpoint": "use --resume",
}

_INTEGRATIONS = ("tensorboard", "trackio", "wandb")
"""Extras of Vantage to which a run may report."""

_DEFAULTS: dict[str, Any] = {
    "report_to": "none",
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_total_limit": 2,
    "disable_tqdm": True,
    "remove_unused_columns": False,
}
"""What a run sets where the recipe does not."""


def check_keys(values: dict[str, Any]) -> dict[str, Any]:
    """Check names and types against ``GRPOConfig``.

    Returns:
        The values, each of the type that ``GRPOConfig`` declares and never checks: a quoted "60" is the number 60.

    Raises:
        ValueError: an unknown key (with the nearest known one), one that is set elsewhere, or a value of another type.
    """
    hints = typing.get_type_hints(GRPOConfig)
    known = {field.name for field in dataclasses.fields(GRPOConfig) if field.init}
    checked = dict(values)
    for key, value in values.items():
        if key in _OURS:
            raise ValueError(f"{key}: not set here; {_OURS[key]}")
        if key not in known:
            close = difflib.get_close_matches(key, known, n=3)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise ValueError(f"{key}: GRPOConfig has no such setting{hint}")
        try:
            typed = TypeAdapter(hints[key]).validate_python(value)
            checked[key] = typed if isinstance(value, str) else value
        except ValidationError as error:
            raise ValueError(f"{key}: must be {_typename(hints[key])}, got {value!r}") from error
        except TypeError:
            continue  # a type that pydantic cannot check; GRPOConfig itself will
    return checked


def _typename(hint: Any) -> str:
    """A type as people write it: ``int or float or null``."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_typename(part) for part in typing.get_args(hint))
    if hint is type(None):
        return "null"
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


def require_installed(args: GRPOConfig) -> None:
    """Find out before anything is loaded whether the extras that a run asks for are there.

    Raises:
        ConfigError: names the setting and what to install.
    """
    missing = [name for name in args.report_to if name in _INTEGRATIONS and find_spec(name) is None]
    if missing:
        raise ConfigError(f"trainer.report_to: {missing[0]} is not installed; pip install 'vantage-rl[{missing[0]}]'")
    if args.use_vllm and find_spec("vllm") is None:
        raise ConfigError("trainer.use_vllm: vllm is not installed; pip install 'vantage-rl[vllm]'")


def grpo_config(values: dict[str, Any], output_dir: Path, seed: int) -> GRPOConfig:
    """The configuration of a run.

    Raises:
        ConfigError: what TRL itself refuses, with its reason.
    """
    try:
        with warnings.catch_warnings():
            # TRL's own default bears the old name of activation_checkpointing, so this comes whatever a recipe says.
            warnings.filterwarnings("ignore", "`gradient_checkpointing.*is deprecated", FutureWarning)
            return GRPOConfig(**{**_DEFAULTS, **values}, output_dir=str(output_dir), seed=seed, data_seed=seed)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"trainer: {error}") from error

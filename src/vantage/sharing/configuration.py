"""What a ``GenerationConfig`` asks of shared rollouts, and what they cannot do."""

from __future__ import annotations

from typing import Any, NamedTuple

from transformers import GenerationConfig

from vantage.errors import ConfigError
from vantage.sharing.decoding import Sampling

_READ = ("do_sample", "eos_token_id", "max_new_tokens", "min_p", "suppress_tokens", "temperature", "top_k", "top_p")
_IDLE = (
    "max_length", "pad_token_id", "bos_token_id", "decoder_start_token_id", "use_cache", "compile_config",
    "disable_compile", "transformers_version", "continuous_batching_config", "max_cache_len",
)  # fmt: skip
"""Of no effect here: ``max_new_tokens`` rules the length, and nothing is padded, compiled or batched on the fly."""


class Wanted(NamedTuple):
    """What to hand to ``generate``.

    Attributes:
        sampling: how tokens are drawn.
        greedy: the likeliest token is taken instead.
        max_new_tokens: a row's most tokens.
        ends: tokens that end a row.
    """

    sampling: Sampling
    greedy: bool
    max_new_tokens: int
    ends: tuple[int, ...]


def wanted(config: GenerationConfig, defaults: GenerationConfig | None = None) -> Wanted:
    """Read a configuration as ``generate`` of transformers does.

    Args:
        config: what is asked for.
        defaults: the model's own, for what ``config`` leaves open.

    Raises:
        ConfigError: a setting that shared rollouts do not have, such as beams or a penalty; they would ignore it.
    """
    said = {key: value for key, value in config.to_dict().items() if value is not None}
    given = {key: value for key, value in (defaults.to_dict() if defaults else {}).items() if value is not None}
    values: dict[str, Any] = {**given, **said}
    if values.get("cache_implementation") == "hybrid":  # of older checkpoints; `generate` passes over it too
        del values["cache_implementation"]
    neutral = {**GenerationConfig()._get_default_generation_params(), "cache_implementation": "dynamic"}
    foreign = {
        key: value
        for key, value in values.items()
        if key not in (*_READ, *_IDLE) and not key.startswith("_") and value != neutral.get(key) and value is not False
    }
    if foreign:
        told = ", ".join(f"{key} = {value!r}" for key, value in sorted(foreign.items()))
        raise ConfigError(f"rollouts behind shared prompts have no {told}")
    length = values.get("max_new_tokens")
    if not length:
        raise ConfigError(f"max_new_tokens says how long a rollout may be; it is {length!r}")
    ends = values.get("eos_token_id", ())
    sampling = Sampling(
        temperature=float(values.get("temperature", 1.0)),
        top_k=int(values.get("top_k", neutral["top_k"])),
        top_p=float(values.get("top_p", 1.0)),
        min_p=values.get("min_p"),
        suppressed=tuple(values.get("suppress_tokens", ())),
    )
    return Wanted(sampling, not values.get("do_sample", False), int(length), _all(ends))


def _all(tokens: int | list[int] | tuple[int, ...]) -> tuple[int, ...]:
    return (tokens,) if isinstance(tokens, int) else tuple(tokens)

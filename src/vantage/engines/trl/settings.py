"""Where TRL's configuration and a method meet: contradictions are found before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from trl import GRPOConfig

from vantage.engines.trl import off_policy
from vantage.engines.trl.off_policy import CLIPPED
from vantage.errors import ConfigError, DataError
from vantage.guests import Guests, GuestsSettings
from vantage.methods import Method, Speaker, choosing_among_guests
from vantage.rewards import Reward
from vantage.rewards import get as get_reward
from vantage.samples import Sample
from vantage.worlds import gold

TOKEN_LEVEL = ("dapo", "bnpo", "dr_grpo", "cispo", "vespo")
"""Losses of TRL that are averaged over tokens rather than over completions."""

_REFUSED = {
    "tools": "tools answer in the middle of a completion",
    "rollout_func": "the rollout phase is Vantage's",
    "environment_factory": "the environment would own the prompts, which samples own here",
}


def reconcile(method: Method, args: GRPOConfig, kwargs: dict[str, Any]) -> None:
    """Write the method's own settings into ``args`` where the user left them open; refuse what cannot go together.

    Raises:
        ConfigError: names the setting, its value and what would be right.
    """
    for name, why in _REFUSED.items():
        if kwargs.get(name):
            raise ConfigError(f"{name} cannot be used with VantageTrainer: {why}")
    if method.clip_high is not None:
        _clip_higher(method, method.clip_high, args)
    if method.token_level and args.loss_type not in TOKEN_LEVEL:
        raise ConfigError(
            f"loss_type is {args.loss_type!r}, which averages over completions; {method.name} needs a loss averaged "
            f"over tokens: one of {', '.join(TOKEN_LEVEL)}"
        )
    if method.scaling is not None and args.scale_rewards not in ("group", method.scaling):
        raise ConfigError(
            f"scale_rewards is {args.scale_rewards!r} but the method's scale is {method.scaling!r}; advantages are the "
            "method's, so set its scale and leave scale_rewards alone"
        )
    if args.multi_objective_aggregation != "sum_then_normalize":
        raise ConfigError(
            f"multi_objective_aggregation is {args.multi_objective_aggregation!r}; the method normalises the sum of "
            "all rewards, so only 'sum_then_normalize' can be used"
        )
    device_batch = args.per_device_train_batch_size * args.steps_per_generation
    if device_batch % args.num_generations:
        raise ConfigError(
            f"a device's generation batch holds {device_batch} completions (per_device_train_batch_size "
            f"{args.per_device_train_batch_size} x steps_per_generation {args.steps_per_generation}), which is no "
            f"multiple of num_generations {args.num_generations}; a device must hold whole groups"
        )
    if args.save_strategy == "steps" and args.save_steps >= 1:
        per_generation = args.steps_per_generation * args.num_iterations
        if args.save_steps == GRPOConfig.save_steps:  # left alone: the next step at which a generation begins
            while int(args.save_steps) * args.gradient_accumulation_steps % per_generation:
                args.save_steps += 1
        if int(args.save_steps) * args.gradient_accumulation_steps % per_generation:
            raise ConfigError(
                f"save_steps is {int(args.save_steps)}, which falls between two generations (one every "
                f"{per_generation / args.gradient_accumulation_steps:g} optimizer steps); a run resumed there could "
                "not repeat what the interrupted one would have done. Use a multiple"
            )
    if method.off_policy is not None:
        off_policy.reconcile(method.off_policy, args)
    # A length limit that the method cannot work with is found here rather than after the first rollout.
    method.length_penalty(torch.zeros(1, 1, dtype=torch.long), args.max_completion_length)


def check_guests(method: Method, guests: Guests | GuestsSettings | None) -> None:
    """Guests are there if and only if the method takes them, with what it wants to know of their answers.

    Args:
        method: that of the run.
        guests: opened or not; whether they give log-probs is known only of opened ones.

    Raises:
        ConfigError: they are missing, nobody would listen, or none of them can give the log-probs that are wanted.
    """
    if method.wants_guests and guests is None:
        raise ConfigError(
            f"{method.name} learns from the answers of other models, and no guests are given; name some, such as "
            "guests: {from: [{model: tiny-guest, n: 4}]}"
        )
    if guests is not None and not method.wants_guests:
        over = choosing_among_guests(method)
        raise ConfigError(
            f"guests are given, but {method.name} takes none; "
            + (
                f"take them out, or put one of {', '.join(over)} over it, as in method: {{name: {over[0]}, base: "
                f"{{name: {method.name}}}}}"
                if over
                else f"take them out: {' and '.join(choosing_among_guests())}, which do, cannot stand over it"
            )
        )
    weighed = method.off_policy is not None and method.off_policy.kind == "behaviour"
    if isinstance(guests, Guests) and weighed and not any(one.gives_logprobs for one in guests):
        raise ConfigError(
            "method.ratio is 'behaviour', which weighs an answer by the log-probs of who gave it, but none of "
            f"{', '.join(repr(one.name) for one in guests)} gives any; set logprobs: true for an endpoint or a model, "
            "or another ratio"
        )


def _clip_higher(method: Method, clip_high: float, args: GRPOConfig) -> None:
    if args.loss_type not in CLIPPED:
        if args.epsilon_high is None:
            raise ConfigError(
                f"loss_type is {args.loss_type!r}, to which {method.name}'s clip range of {clip_high} means something "
                f"else; set epsilon_high to what this loss needs, or loss_type to one of {', '.join(CLIPPED)}"
            )
        return
    if args.epsilon_high not in (None, clip_high):
        raise ConfigError(
            f"epsilon_high is {args.epsilon_high} but the method's is {clip_high}; set the method's epsilon_high and "
            "leave the trainer's alone"
        )
    args.epsilon_high = clip_high


def samples(dataset: Sequence[Sample] | None, name: str) -> Sequence[Sample]:
    """The data set, if it is one of samples.

    Raises:
        DataError: missing, empty, or of something else.
    """
    if dataset is None or not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise DataError(f"{name} must be a sequence of vantage.Sample, got {type(dataset).__name__}")
    if len(dataset) == 0:
        raise DataError(f"{name} is empty")
    if not isinstance(dataset[0], Sample):
        raise DataError(
            f"{name} must hold vantage.Sample, its first row is {type(dataset[0]).__name__}; see vantage.datasets.load"
        )
    return dataset


def check_truths(dataset: Sequence[Sample], reward: Reward | None = None) -> None:
    """Read every truth by the reward given, else its own; one that cannot be read would score 0 whatever is answered.

    Raises:
        ConfigError: a reward that does not exist.
        TruthError: a truth that its reward cannot read; names the row.
    """
    for sample in dataset:
        (reward or get_reward(sample.reward)).check(sample)


def anchor_columns(method: Method, dataset: Sequence[Sample]) -> tuple[Speaker, ...]:
    """Every speaker that the method wants for some sample, in order of first appearance.

    Raises:
        ConfigError: a sample that the method cannot work on; names the row.
    """
    columns: dict[Speaker, None] = {}
    seen: set[tuple[str, ...]] = set()
    for sample in dataset:
        names = tuple(sample.sources)
        if names not in seen:
            seen.add(names)
            try:
                columns.update(dict.fromkeys(method.speakers(names)))
            except ConfigError as error:
                raise ConfigError(f"row {sample.id!r}: {error}") from error
        if method.anchor_text == "truth":
            gold(sample)  # raises where there is no reasoning to write
    return tuple(columns)

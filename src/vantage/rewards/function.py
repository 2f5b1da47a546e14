"""A verifier as a reward function of TRL, for its own ``GRPOTrainer`` and for every trainer that calls functions so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

from vantage.errors import DataError
from vantage.rewards.base import Reward
from vantage.rewards.calling import call_many
from vantage.rewards.registry import get
from vantage.rewards.rows import KEYS, TRUTHS, completion_text, readable, sample_of
from vantage.samples import Sample


def reward_function(
    reward: str | Reward, *, asynchronous: bool = False, truth: str | None = None
) -> Callable[..., Any]:
    """A verifier as TRL calls reward functions: lists in, one number a completion out, ``None`` for an unscored one.

    Columns of the data set are read as rows (see ``vantage.rewards.rows``): ``answer`` for the truth, ``question``,
    ``image_size`` and so on. A ``sample`` column, which Vantage's own trainer hands over, stands for them all. The
    share of completions stopped at the wall limit is logged as ``rewards/NAME/timeouts``, and what the verifier wants
    logged under its own names, where the trainer takes metrics.

    Args:
        reward: the verifier or its name, or a weighted sum of names.
        asynchronous: give a coroutine function, which TRL runs beside others; the verifier then works in a thread.
        truth: the column that holds the truth, where it is none of ``answer``, ``truth``, ``solution`` and
            ``ground_truth``.

    Returns:
        A function whose ``__name__``, by which TRL logs, is the reward's name with ``_`` for what no identifier holds.

    Raises:
        ConfigError: there is no such reward.
    """
    verifier = get(reward) if isinstance(reward, str) else reward
    name = re.sub(r"\W+", "_", verifier.name).strip("_")
    name = name if name.isidentifier() else f"reward_{name}"

    def function(
        completions: Sequence[Any],
        prompts: Sequence[Any] | None = None,
        log_metric: Callable[[str, float], object] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        texts = [completion_text(completion) for completion in completions]
        scores = call_many([verifier] * len(texts), texts, _samples(verifier, len(texts), prompts, columns, truth))
        if log_metric is not None and scores:
            log_metric(f"rewards/{name}/timeouts", sum(score.timed_out for score in scores) / len(scores))
            for figure, part in verifier.logged.items():
                values = [score.parts[part] for score in scores if part in score.parts]
                if values:
                    log_metric(figure, sum(values) / len(values))
        return [None if score.reward is None else float(score.reward) for score in scores]

    async def coroutine(completions: Sequence[Any], **columns: Any) -> list[float | None]:
        return await asyncio.to_thread(function, completions, **columns)

    made: Callable[..., Any] = coroutine if asynchronous else function
    made.__name__ = made.__qualname__ = name
    made.__doc__ = f"Rewards of completions by the verifier {verifier.name!r}."
    return made


def _samples(
    verifier: Reward, n: int, prompts: Sequence[Any] | None, columns: dict[str, Any], truth: str | None
) -> list[Sample]:
    given = columns.get("sample")
    if given is not None and all(isinstance(sample, Sample) for sample in given):
        return list(given)
    own = [truth] if truth is not None else [key for key in TRUTHS if key in columns]
    if verifier.needs_truth and (not own or own[0] not in columns):
        wanted = repr(truth) if truth is not None else ", ".join(map(repr, TRUTHS))
        raise DataError(
            f"reward {verifier.name!r} needs the truth in a column {wanted}; there are "
            f"{', '.join(map(repr, sorted(columns))) or 'none'}"
        )
    taken = {key: columns[key] for key in KEYS if key in columns and (truth is None or key not in TRUTHS)}
    if truth is not None and truth in columns:
        taken["answer"] = columns[truth]
    for key, column in taken.items():
        if not isinstance(column, Sequence) or isinstance(column, str) or len(column) != n:
            raise DataError(f"column {key!r} is not a list of {n} entries, one a completion")
    if prompts is not None and len(prompts) != n:
        raise DataError(f"{len(prompts)} prompts came with {n} completions; there is one a completion")
    if taken.get("question") is None and prompts is not None:
        taken["question"] = [_asked(prompt) for prompt in prompts]
    rows = [{key: column[i] for key, column in taken.items()} for i in range(n)]
    needed = verifier.needs_truth
    return [
        readable(verifier, sample_of(row, f"completion {i} of the batch", needs_truth=needed))
        for i, row in enumerate(rows)
    ]


def _asked(prompt: Any) -> str | None:
    """The text of the last message of a prompt, which holds the options of a question that lists them."""
    try:
        return completion_text(prompt)
    except DataError:
        return None  # a prompt of token ids, say; the question may be left out

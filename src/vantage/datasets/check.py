"""A check of every row before hours are spent on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from vantage import groups
from vantage import rewards as registry
from vantage.errors import ConfigError, DataError, VantageError
from vantage.groups import FUSED, Origin
from vantage.rewards.base import Reward
from vantage.samples import MonoView, PromptStyle, Sample, view

if TYPE_CHECKING:
    from vantage.models import PromptMeter

SHOWN = 20
"""Problems that the error spells out; the rest are counted."""

_DOT = Image.new("RGB", (1, 1))


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check without problems found.

    Attributes:
        rows: how many rows there are.
        longest: tokens of the longest prompt; ``None`` without a processor.
        longest_row: its row.
    """

    rows: int
    longest: int | None = None
    longest_row: str = ""


def check(
    samples: Sequence[Sample],
    *,
    sources: Sequence[str] = (),
    rewards: Mapping[str, Reward] | None = None,
    processor: Any = None,
    window: int | None = None,
    completion: int = 0,
    style: PromptStyle | None = None,
    mono: MonoView | None = None,
    decode: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> Checked:
    """Check that every row can be asked and scored; nothing is repaired, skipped or shortened.

    Each row: its id is its own; the sources needed are there; every picture's header reads and stays under the limit
    on pixels; the truth is one that its reward reads. With a processor and a window: the prompt, text and pictures as
    the processor counts them, and the completion fit the window. Pictures are never truncated.

    Args:
        samples: the rows.
        sources: sources that every row must have.
        rewards: rewards by name that are used instead of the registered ones.
        processor: measures prompts; see ``vantage.models.load_processor``.
        window: the most tokens that a prompt and its completion may take together.
        completion: tokens kept for the completion.
        style: how a row becomes a prompt.
        mono: also measure every single source's prompt, shown that way, as anchors and evaluations need.
        decode: decode the pictures of every row, not of the first alone, which finds those cut short or of a mode whose
            meaning is unknown; slow.
        progress: called after each row with how many are done, and of how many.

    Raises:
        ConfigError: no rows, or a window without a processor.
        DataError: problems, the first ``SHOWN`` of them spelled out, each naming its row.
    """
    if not len(samples):
        raise ConfigError("there is no row to check")
    if processor is None and window is not None:
        raise ConfigError("a window can only be checked with a processor, which counts a prompt's tokens")
    meter = None
    if processor is not None:
        # Only here does a check need torch and transformers.
        from vantage.models import PromptMeter

        meter = PromptMeter(processor)
    problems: list[str] = []
    total = 0
    seen: set[str] = set()
    longest, longest_row = 0, ""
    for index in range(len(samples)):
        found: list[str] = []
        try:
            sample = samples[index]
        except VantageError as error:
            found.append(str(error))
        else:
            found += _row_problems(sample, sources, rewards, decode or index == 0)
            if sample.id in seen:
                found.append(f"row {sample.id!r}: another row has the same id")
            seen.add(sample.id)
            if meter is not None and not found:
                try:
                    length, origin = _longest_prompt(sample, meter, style or PromptStyle(), mono)
                except (VantageError, ValueError) as error:
                    found.append(f"row {sample.id!r}: the processor refuses its prompt ({error})")
                    length, origin = 0, FUSED
                if length > longest:
                    longest, longest_row = length, sample.id
                if window is not None and length + completion > window:
                    found.append(_too_long(sample, length, origin, window, completion))
        total += len(found)
        problems += found[: SHOWN - len(problems)]
        if progress is not None:
            progress(index + 1, len(samples))
    if total:
        more = f"\n... and {total - len(problems)} more" if total > len(problems) else ""
        noun = "problem" if total == 1 else "problems"
        raise DataError(f"{total} {noun} in {len(samples)} rows:\n" + "\n".join(problems) + more)
    return Checked(len(samples), None if meter is None else longest, longest_row)


def _row_problems(
    sample: Sample, sources: Sequence[str], rewards: Mapping[str, Reward] | None, decode: bool
) -> list[str]:
    found = [
        f"row {sample.id!r} has no source {name!r}; it has {', '.join(sample.sources)}"
        for name in sources
        if name not in sample.sources
    ]
    readable = True
    for name, source in sample.sources.items():
        try:
            source.size()
            if decode:
                source.load()
        except VantageError as error:
            readable = False
            found.append(f"row {sample.id!r}, source {name!r}: {error}")
    if not readable:
        # A truth in pixels is read with the picture's size, and would only repeat the problem.
        return found
    try:
        chosen = (rewards or {}).get(sample.reward) or registry.get(sample.reward)
        chosen.check(sample)
    except VantageError as error:
        text = str(error)
        found.append(text if repr(sample.id) in text else f"row {sample.id!r}: {text}")
    return found


def _longest_prompt(
    sample: Sample, meter: PromptMeter, style: PromptStyle, mono: MonoView | None
) -> tuple[int, Origin]:
    dots = dict.fromkeys(sample.sources, _DOT)
    sizes = {name: source.size() for name, source in sample.sources.items()}
    lengths: list[tuple[int, Origin]] = []
    for origin in (FUSED, *(map(groups.mono, sample.sources) if mono else ())):
        how: MonoView = mono or "fill"
        shown = [sizes[slot.source] for slot in view(sample, origin, how)]
        lengths.append((meter.length(style.messages(sample, origin, how, dots), shown), origin))
    return max(lengths, key=lambda found: found[0])


def _too_long(sample: Sample, length: int, origin: Origin, window: int, completion: int) -> str:
    kept = f" and {completion} are kept for the completion" if completion else ""
    asked = "" if origin == FUSED else f" for {origin}"
    pictures = ", ".join("{}x{}".format(*source.size()) for source in sample.sources.values())
    return (
        f"row {sample.id!r}: its prompt{asked} takes {length} tokens{kept}, more than the window of {window}; pictures "
        f"are never truncated, so let the processor make them smaller ({pictures}) or widen the window"
    )

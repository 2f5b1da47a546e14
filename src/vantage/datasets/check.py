"""A check of every row before hours are spent on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from PIL import Image

from vantage import groups
from vantage import rewards as registry
from vantage.datasets import marks
from vantage.datasets.reading import short
from vantage.errors import ConfigError, DataError, PictureError, VantageError
from vantage.groups import FUSED, Origin
from vantage.printing import printable
from vantage.rewards.base import Reward
from vantage.samples import MonoView, PromptStyle, Sample, view

if TYPE_CHECKING:
    from vantage.models import PromptMeter

LONGEST = 1000
"""Characters of the longest problem that is printed whole."""

SHOWN = 20
"""Problems that an error spells out; the rest are counted."""

_DOT = Image.new("RGB", (1, 1))

Readable = tuple[str, "Sample | VantageError"]
"""Where a row stands, and the row, or the error that says why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row.

    Attributes:
        where: the file and line, or where else the row stands; empty where only the row's id is known.
        reason: what is wrong.
    """

    where: str
    reason: str

    def __str__(self) -> str:
        """One line: what cannot be printed is escaped, and what is very long is shortened in its middle."""
        return one_line(self.reason if self.reason.startswith(self.where) else f"{self.where}: {self.reason}")


def one_line(text: str) -> str:
    """A text of any origin as a terminal can show it: control characters escaped, at most about ``LONGEST`` long."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST * 2 // 3]} ... {text[-LONGEST // 3 :]}"
    return printable(text)


@dataclass(slots=True)
class Survey:
    """What a walk over all rows found.

    Attributes:
        rows: how many rows there are, bad ones included.
        bad: how many of them have a problem.
        problems: every problem, in the order of rows.
        sources: how many rows have a source, by name.
        rewards: how many rows a reward checks, by name.
        lengths: tokens of the longest prompt of every good row; empty without a processor.
        longest_row: the row with the longest prompt.
    """

    rows: int = 0
    bad: int = 0
    problems: list[Problem] = field(default_factory=list)
    sources: Counter[str] = field(default_factory=Counter)
    rewards: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    longest_row: str = ""

    @property
    def longest(self) -> int | None:
        """Tokens of the longest prompt; ``None`` where none was measured."""
        return max(self.lengths, default=None)

    @property
    def typical(self) -> float | None:
        """Tokens of the median prompt; ``None`` where none was measured."""
        return median(self.lengths) if self.lengths else None

    def raise_for_problems(self) -> None:
        """Raise ``DataError`` with the first ``SHOWN`` problems and the number of all, if there are any."""
        raise_for(self.problems, self.rows)


def raise_for(problems: Sequence[Problem], rows: int) -> None:
    """Raise ``DataError`` with the first ``SHOWN`` problems and the number of all, if there are any."""
    if problems:
        more = f"\n... and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        noun = "problem" if len(problems) == 1 else "problems"
        shown = "\n".join(map(str, problems[:SHOWN]))
        raise DataError(f"{len(problems)} {noun} in {rows} rows:\n{shown}{more}")


def check(samples: Sequence[Sample], **asked: Any) -> Survey:
    """``survey``, with an error where it finds any problem.

    Raises:
        ConfigError: as ``survey``.
        DataError: rows with problems; names every row, the first ``SHOWN`` problems in full.
    """
    found = survey(_taken(samples), total=len(samples), **asked)
    found.raise_for_problems()
    return found


def _taken(samples: Sequence[Sample]) -> Iterable[Readable]:
    for index in range(len(samples)):
        try:
            yield "", samples[index]
        except VantageError as error:
            yield "", error


def survey(
    rows: Iterable[Readable],
    *,
    total: int | None = None,
    sources: Sequence[str] = (),
    rewards: Mapping[str, Reward] | None = None,
    processor: Any = None,
    window: int | None = None,
    completion: int = 0,
    style: PromptStyle | None = None,
    mono: MonoView | None = None,
    decode: bool = False,
    change: Callable[[Sample], Sample] | None = None,
    require: Callable[[Sample], object] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Survey:
    """Check that every row can be asked and scored; nothing is repaired, skipped or shortened.

    Each row: its id is its own; its question is not blank and marks no picture; the sources needed are there; every
    picture's header reads and stays under the limit on pixels; the truth is one that its reward reads. With a processor
    and a window: the prompt, text and pictures as the processor counts them, and the completion fit the window.
    Pictures are never truncated.

    Args:
        rows: the rows, each with where it stands; what cannot be read is one more problem.
        total: how many rows there are, for ``progress``.
        sources: sources that every row must have.
        rewards: rewards by name that are used instead of the registered ones.
        processor: measures prompts; see ``vantage.models.load_processor``.
        window: the most tokens that a prompt and its completion may take together.
        completion: tokens kept for the completion.
        style: how a row becomes a prompt.
        mono: also measure every single source's prompt, shown that way, as anchors and evaluations need.
        decode: decode the pictures of every row, not of the first alone, which finds those cut short or of a mode whose
            meaning is unknown; slow.
        change: made of every row before it is checked, such as ``vantage.models.measure_resized``.
        require: called with every row that can be read; an error of Vantage that it raises is one more problem.
        progress: called after each row with how many are done, and of how many.

    Raises:
        ConfigError: no rows, or a window without a processor.
    """
    if processor is None and window is not None:
        raise ConfigError("a window can only be checked with a processor, which counts a prompt's tokens")
    meter, told = None, None
    if processor is not None:
        # Only here does a check need torch and transformers.
        from vantage.models import PromptMeter

        meter, told = PromptMeter(processor), marks_of(processor)
    survey = Survey()
    seen: dict[str, str] = {}
    longest = 0
    for where, given in rows:
        found: list[str] = []
        try:
            row = given if change is None or isinstance(given, VantageError) else change(given)
        except VantageError as error:
            row = error
        if isinstance(row, VantageError):
            found.append(str(row))
        else:
            survey.sources.update(list(row.sources))
            survey.rewards[row.reward] += 1
            found += question_problems(row, told)
            found += _row_problems(row, sources, rewards, decode or survey.rows == 0)
            found += _required(row, require)
            if row.id in seen:
                first = f", at {seen[row.id]}" if seen[row.id] else ""
                found.append(f"row {row.id!r}: another row has the same id{first}")
            seen.setdefault(row.id, where)
            if meter is not None and not found:
                try:
                    length, origin = _longest_prompt(row, meter, style or PromptStyle(), mono)
                except (VantageError, ValueError, TypeError) as error:
                    found.append(f"row {row.id!r}: the processor refuses its prompt ({error})")
                else:
                    survey.lengths.append(length)
                    if length > longest:
                        longest, survey.longest_row = length, row.id
                    if window is not None and length + completion > window:
                        found.append(_too_long(row, length, origin, window, completion))
        survey.rows += 1
        survey.bad += bool(found)
        survey.problems += [Problem(where, reason) for reason in found]
        if progress is not None:
            progress(survey.rows, survey.rows if total is None else total)
    if not survey.rows:
        raise ConfigError("there is no row to check")
    return survey


def marks_of(processor: Any) -> dict[str, str]:
    """The texts in a question that a processor would not read as text, and what each would do instead."""
    tokenizer = getattr(processor, "tokenizer", None)
    found = dict.fromkeys(getattr(tokenizer, "all_special_tokens", None) or (), "would steer the model")
    for owner in (processor, tokenizer):
        for key in ("image_token", "video_token"):
            found[getattr(owner, key, None)] = "would count as one picture more"
    return {token: what for token, what in sorted(found.items(), key=str) if isinstance(token, str) and token}


def _required(row: Sample, require: Callable[[Sample], object] | None) -> list[str]:
    if require is None:
        return []
    try:
        require(row)
    except VantageError as error:
        return [str(error)]
    return []


def question_problems(sample: Sample, told: Mapping[str, str] | None) -> list[str]:
    """What is wrong with a question.

    Args:
        sample: whose question it is.
        told: what ``marks_of`` says of the processor that reads it; ``None`` where none does.
    """
    question = sample.question
    if not isinstance(question, str) or not question.strip():
        return [f"row {sample.id!r}: its question is a text that is not blank, not {short(question)}"]
    found = []
    if marks.count(question):
        found.append(
            f"row {sample.id!r}: its question marks a picture, as in {_around(question, '<image')}; pictures stand "
            "before the question, and the mark would count as one picture more"
        )
    for token, what in (told or {}).items():
        if token in question and not found:
            found.append(
                f"row {sample.id!r}: its question holds {token!r}, as in {_around(question, token)}, which {what}"
            )
    if told is not None:
        try:
            question.encode()
        except UnicodeEncodeError as error:
            found.append(f"row {sample.id!r}: its question is no valid Unicode, which a processor needs ({error})")
    return found


def _around(text: str, part: str) -> str:
    at = text.index(part)
    return short(text[max(0, at - 20) : at + 40])


def _row_problems(
    sample: Sample, sources: Sequence[str], rewards: Mapping[str, Reward] | None, decode: bool
) -> list[str]:
    found = [
        f"row {sample.id!r} has no source {name!r}; it has {', '.join(sample.sources)}"
        for name in sources
        if name not in sample.sources
    ]
    for name, source in sample.sources.items():
        try:
            source.size()
            if decode:
                source.load()
        except VantageError as error:
            found.append(f"row {sample.id!r}, source {name!r}: {error}")
    try:
        chosen = (rewards or {}).get(sample.reward) or registry.get(sample.reward)
        chosen.check(sample)
    except PictureError as error:
        if not found:  # boxes are read with the picture's size, and would only repeat the problem
            found.append(f"row {sample.id!r}: {error}")
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

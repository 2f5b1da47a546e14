"""Scoring a file of completions that were made elsewhere, line by line, with the verifiers of training."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from vantage.errors import ConfigError, DataError, RewardError, VantageError
from vantage.rewards.base import Reward, Score
from vantage.rewards.calling import call, call_many
from vantage.rewards.registry import get
from vantage.rewards.rows import completion_text, readable, sample_of
from vantage.samples import Sample

COLUMNS = ("reward", "correct", "formatted", "parts", "error", "timed_out")
"""What is added to a row."""

_ROWS = 128
"""Scored together, so that verifiers that work in several processes have enough to do ..."""

_BYTES = 16 << 20
"""... unless they are long: only so much is held in memory."""


_Z = 1.959963984540054  # a standard normal lies so near its mean in 95 % of cases


@dataclass(slots=True)
class Tally:
    """What was scored so far.

    Attributes:
        rows: lines that are not blank.
        scored: rows with a reward.
        unreadable: rows that could not be scored because of what they hold; the rest has no reward either because its
            verifier could not tell (``Score.reward`` is ``None``).
        correct, formatted, timed_out: how many were.
        mean, spread: of the rewards, and their sum of squared distances from it (Welford, 1962).
        problems: the first few messages of unreadable rows.
    """

    rows: int = 0
    scored: int = 0
    unreadable: int = 0
    correct: int = 0
    formatted: int = 0
    timed_out: int = 0
    mean: float = 0.0
    spread: float = 0.0
    problems: list[str] = field(default_factory=list)

    def add(self, score: Score | str) -> None:
        """Count a score, or the message of a row that could not be scored."""
        self.rows += 1
        if isinstance(score, str):
            self.unreadable += 1
            if len(self.problems) < 5:
                self.problems.append(score)
            return
        self.timed_out += score.timed_out
        if score.reward is None:
            return
        self.scored += 1
        self.correct += score.correct
        self.formatted += score.formatted
        distance = score.reward - self.mean
        self.mean += distance / self.scored
        self.spread += distance * (score.reward - self.mean)

    def share(self) -> tuple[float, float, float]:
        """The share of correct among scored rows, and its 95 % score interval (Wilson, 1927), rows independent."""
        n, p = self.scored, self.correct / self.scored
        middle, half = p + _Z**2 / (2 * n), _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return p, max((middle - half) / (1 + _Z**2 / n), 0.0), min((middle + half) / (1 + _Z**2 / n), 1.0)

    def margin(self) -> float | None:
        """Half of the mean's 95 % interval, rows independent; ``None`` below 30 rows, where it would be too narrow."""
        return _Z * math.sqrt(self.spread / (self.scored - 1) / self.scored) if self.scored >= 30 else None


@dataclass(slots=True)
class _Row:
    line: bytes
    blank: bool = False
    whole: bool = False  # the line is a JSON object, so that keys can be added to it
    text: str = ""
    sample: Sample | None = None
    reward: Reward | None = None
    score: Score | str = ""  # a message where there is no score


def score_lines(
    lines: Iterable[bytes], reward: str | None, *, name: str = "line", prefix: str = "", tally: Tally | None = None
) -> Iterator[bytes]:
    """Score JSON lines; each comes back in its place, as it was written, with the keys of ``COLUMNS`` added.

    A row holds ``completion``, a text or a conversation, and what ``vantage.rewards.rows`` reads. A line that cannot be
    scored has a reward of ``null`` and says why in ``error``; one that is no JSON object becomes the text ``line`` of
    an object that says so. Blank lines stay blank. About a hundred rows are held at a time.

    Args:
        lines: with or without their ends.
        reward: name of the verifier; ``None``: each row names its own under ``reward``.
        name: what errors call the file.
        prefix: put before the names of the new columns.
        tally: counts what was scored.

    Raises:
        ConfigError: there is no such reward.
        DataError: a row already has a column of that name, which would be lost.
    """
    if reward is not None:
        get(reward)
    chunk: list[_Row] = []
    size = 0
    for number, line in enumerate(lines, 1):
        row = _read(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, reward, f"{name}:{number}", prefix)
        chunk.append(row)
        size += len(line)
        if len(chunk) == _ROWS or size > _BYTES:
            yield from _scored(chunk, prefix, tally)
            chunk, size = [], 0
    yield from _scored(chunk, prefix, tally)


def _read(line: bytes, reward: str | None, where: str, prefix: str) -> _Row:
    line = line.rstrip(b"\r\n")
    row = _Row(line, blank=not line.strip())
    if row.blank:
        return row
    try:
        value = _JSON.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        row.score = f"{where}: not UTF-8 ({error})"
        return row
    except (ValueError, RecursionError) as error:
        row.score = f"{where}: not JSON ({error})"
        return row
    if not isinstance(value, dict):
        row.score = f"{where}: a row is an object, not {type(value).__name__}"
        return row
    row.whole = True
    taken = [prefix + column for column in COLUMNS if prefix + column in value]
    if taken:
        raise DataError(
            f"{where}: the row already has {taken[0]!r}, which scoring would write over; put something before the new "
            "names with a prefix (--prefix new_)"
        )
    try:
        row.reward = _verifier(value, reward, where)
        if "completion" not in value:
            raise DataError(f"{where}: no 'completion', the text that is scored")
        row.text = completion_text(value["completion"])
        row.sample = readable(row.reward, sample_of(value, where, json=True, needs_truth=row.reward.needs_truth))
    except VantageError as error:
        row.score = _told(error, where)
    return row


def _verifier(value: dict[str, Any], reward: str | None, where: str) -> Reward:
    if reward is not None:
        return get(reward)
    own = value.get("reward")
    if not isinstance(own, str):
        raise ConfigError(f"{where}: the row names no 'reward', and none was given for all (--reward)")
    return get(own)


def _scored(chunk: list[_Row], prefix: str, tally: Tally | None) -> Iterator[bytes]:
    ready = [(row, row.reward, row.sample) for row in chunk if row.reward is not None and row.sample is not None]
    try:
        scores: list[Score | str] = [
            *call_many([reward for _, reward, _ in ready], [row.text for row, _, _ in ready], [s for _, _, s in ready])
        ]
    except VantageError:
        # One of them cannot be scored; which one shows when each is scored by itself.
        scores = [_alone(reward, row.text, sample) for row, reward, sample in ready]
    for (row, _, _), score in zip(ready, scores, strict=True):
        row.score = score
    for row in chunk:
        if not row.blank and tally is not None:
            tally.add(row.score)
        yield row.line if row.blank else _written(row, prefix)


def _alone(reward: Reward, text: str, sample: Sample) -> Score | str:
    try:
        return call(reward, text, sample)
    except VantageError as error:
        return _told(error, sample.id)


def _told(error: VantageError, where: str) -> str:
    return str(error) if where in str(error) else f"{where}: {error}"


def _written(row: _Row, prefix: str) -> bytes:
    """The line with its new keys: added to its text, so that nothing in it is read and written anew."""
    score = row.score if isinstance(row.score, Score) else Score(None, error=row.score)
    parts = {key: _number(value, row, key) for key, value in score.parts.items()}
    reward = None if score.reward is None else float(score.reward)
    # What has no reward was not judged.
    correct, formatted = (None if reward is None else bool(flag) for flag in (score.correct, score.formatted))
    values = (reward, correct, formatted, parts, score.error, bool(score.timed_out))
    new = {prefix + column: value for column, value in zip(COLUMNS, values, strict=True)}
    if not row.whole:
        text = row.line.decode("utf-8", "surrogateescape")
        return json.dumps({"line": text, **new}, allow_nan=False).encode("ascii")
    head = row.line.strip().removesuffix(b"}").rstrip()
    comma = b"" if head.endswith(b"{") and len(head) == 1 else b", "
    return head + comma + json.dumps(new, allow_nan=False).encode("ascii").removeprefix(b"{")


def _number(value: Any, row: _Row, part: str) -> float | None:
    """A part as JSON has it, where what is not finite is null."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        where = row.sample.id if row.sample is not None else ""
        raise RewardError(f"row {where!r}: part {part!r} of its score is {value!r}, not a number") from error
    return number if math.isfinite(number) else None


def _integer(digits: str) -> int | float:
    # Python reads no integer of more digits, JSON has no such limit.
    return int(digits) if len(digits) <= 4300 else float(digits)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


# The constants are NaN and the infinities.
_JSON = json.JSONDecoder(parse_constant=_refuse, parse_int=_integer)

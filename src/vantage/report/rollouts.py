"""The groups of a report as a page's data: compact, bounded, and as many as there is room for."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vantage.report.folder import Line, RunFolder
from vantage.report.marks import Marks
from vantage.report.thumbnails import Pictures, drawn

LONGEST = 20_000
"""Characters of a text that are shown; of a longer one, its start and its end."""
MOST_MEMBERS, MOST_PICTURES, MOST_PARTS = 512, 32, 48
"""Of one group, of which more are counted and not shown."""
_ASKED_AT_ONCE = 256
_TOO_LARGE = 8
"""Groups without room one after the other, after which no further one is tried."""


@dataclass(slots=True)
class Table:
    """Values that occur again and again, each kept once; ``size`` counts the bytes that a page spends on them."""

    values: list[Any] = field(default_factory=list)
    size: int = 0
    _places: dict[str, int] = field(default_factory=dict)

    def place(self, value: Any) -> int:
        """Where a value stands; new ones are added."""
        key = json.dumps(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
            self.size += on_page(value)
        return self._places[key]

    def cut(self, length: int, size: int) -> None:
        """Let go of all but the first values, which take that size."""
        del self.values[length:]
        self._places = {key: place for key, place in self._places.items() if place < length}
        self.size = size


@dataclass(slots=True)
class Rollouts:
    """Groups as a page's data.

    Attributes:
        groups: those that are shown, by run and step.
        texts: every text of theirs.
        terms: every set of reward parts, ``[[name, value], ...]``.
        shown: how many groups of each run there are.
        pictures: theirs.
    """

    pictures: Pictures
    groups: list[dict[str, Any]] = field(default_factory=list)
    texts: Table = field(default_factory=Table)
    terms: Table = field(default_factory=Table)
    shown: dict[int, int] = field(default_factory=dict)
    unreadable: dict[int, int] = field(default_factory=dict)
    _spent: int = 0

    @property
    def size(self) -> int:
        """Bytes that they take."""
        return self._spent + self.texts.size + self.terms.size

    def add(self, index: int, line: Line, record: Mapping[str, Any], room: int) -> bool:
        """Add a group; ``False`` where all would then take more than that room, and nothing is added."""
        pictures, tables, spent = self.pictures, (self.texts, self.terms), self._spent
        known, sizes = len(pictures.thumbnails), [(len(table.values), table.size) for table in tables]
        group = self._group(index, line, record)
        new = pictures.thumbnails[known:]
        self._spent += on_page(group) + sum(on_page([each.uri, 99999, 99999, each.missing]) for each in new)
        if self.size > room:
            pictures.cut(known)
            for table, (length, size) in zip(tables, sizes, strict=True):
                table.cut(length, size)
            self._spent = spent
            return False
        self.groups.append(group)
        self.shown[index] = self.shown.get(index, 0) + 1
        return True

    def _group(self, index: int, line: Line, record: Mapping[str, Any]) -> dict[str, Any]:
        row, refs = str(record.get("id", "")), _mapping(record.get("pictures"))
        pictures: list[tuple[str, int]] = [
            (_short(name), self.pictures.add(index, row, str(name), str(ref)))
            for name, ref in list(refs.items())[:MOST_PICTURES]
        ]
        size = next((found for _, place in pictures if (found := self.pictures.thumbnails[place].size)), None)
        marks = Marks(record, size)
        members = [each for each in _list(record.get("members")) if isinstance(each, Mapping)]
        metadata = _mapping(record.get("metadata"))
        group = {
            "r": index,
            "s": line.step,
            "id": _short(row, 400),
            "q": self._text(record.get("question")),
            "t": self._text(_answer(record.get("truth"))),
            "task": _short(metadata.get("task", "")),
            "world": _short(metadata.get("world", "")),
            "about": _short(metadata.get("condition", "")),
            "reward": _short(record.get("reward", "")),
            "p": pictures,
            "b": _rounded(marks.truth),
            "pt": _rounded(marks.points),
            "m": [self._member(member, marks) for member in members[:MOST_MEMBERS]],
            "g": gain(members),
        }
        if marks.trouble:
            group["trouble"] = _short(marks.trouble, 300)
        left = len(members) - MOST_MEMBERS, len(refs) - MOST_PICTURES
        if max(left) > 0:
            group["left"] = [max(0, each) for each in left]
        return group

    def _member(self, member: Mapping[str, Any], marks: Marks) -> dict[str, Any]:
        text, said = _string(member.get("text")), _string(member.get("said"))
        parts = [[_short(name), _number(value)] for name, value in _mapping(member.get("parts")).items()]
        found: dict[str, Any] = {
            "o": _short(member.get("origin", "?"), 120),
            "x": self._text(text),
            "r": _number(member.get("reward")),
            "a": _number(member.get("advantage")),
            "c": _correct(member),
            "f": int(bool(member.get("formatted"))),
            "l": int(bool(member.get("trained"))),
            "p": self.terms.place(parts[:MOST_PARTS]),
        }
        more = {"e": member.get("error"), "y": said, "n": member.get("refused"), "d": member.get("placed")}
        found.update({key: self._text(value) for key, value in more.items() if value})
        if member.get("timed_out"):
            found["w"] = 1
        if boxes := marks.predicted(said or text):
            found["b"] = _rounded(boxes)
        return found

    def _text(self, value: object) -> int:
        return self.texts.place(bounded(_string(value)))

    def record(self) -> dict[str, Any]:
        """As a page takes it."""
        self.groups.sort(key=lambda group: (group["r"], group["s"]))
        return {
            "groups": self.groups,
            "texts": self.texts.values,
            "terms": self.terms.values,
            "pictures": [[each.uri, *(each.size or (0, 0)), each.missing] for each in self.pictures.thumbnails],
        }


def gather(runs: Sequence[RunFolder], room: int, progress: Callable[[int, int], None] = lambda *_: None) -> Rollouts:
    """Take groups, spread evenly over the steps of every run, until there is no room; one that is too large stays out.

    Args:
        runs: what was read.
        room: bytes.
        progress: called with the groups taken and in all.
    """
    data = {index: _data(run) for index, run in enumerate(runs)}
    found = Rollouts(Pictures(data))
    queue = _spread([run.lines for run in runs])
    missed = 0
    for start in range(0, len(queue), _ASKED_AT_ONCE):
        batch = queue[start : start + _ASKED_AT_ONCE]
        records = {}
        for index, run in enumerate(runs):
            lines = [line for own, line in batch if own == index]
            for line, record in run.groups(lines) if lines else ():
                records[index, line.start] = record
            # Rows of files are looked up together, as reading the data again takes a while.
            of_files = [
                str(record.get("id", ""))
                for line in lines
                if (record := records[index, line.start]) and not drawn(_mapping(record.get("pictures")).values())
            ]
            if of_files:
                found.pictures.find(index, of_files)
        for done, (index, line) in enumerate(batch, start=start + 1):
            record = records[index, line.start]
            if record is None:
                found.unreadable[index] = found.unreadable.get(index, 0) + 1
                continue
            missed = 0 if found.add(index, line, record, room) else missed + 1
            if missed == _TOO_LARGE:
                return found
            progress(done, len(queue))
    return found


def on_page(value: Any) -> int:
    """Bytes that a page spends on a value: what could be markup, as the brackets of ``<think>``, takes six each."""
    text = json.dumps(value, separators=(",", ":"))
    return len(text) + 1 + 5 * sum(map(text.count, "<>&"))


def _data(run: RunFolder) -> Sequence[object]:
    return [spec for part in ("train", "test") if (spec := run.setting("data", part)) is not None]


def _spread(lines: Sequence[Sequence[Line]]) -> list[tuple[int, Line]]:
    """Every run's groups in an order of which each beginning covers the steps evenly.

    First one of each step, steps far apart first, then the second of each, and so on.
    """
    ranked: list[tuple[int, int, int, Line]] = []
    for index, own in enumerate(lines):
        by_step: dict[int, list[Line]] = defaultdict(list)
        for line in own:
            by_step[line.step].append(line)
        order = _halves(len(by_step))
        for place, (_, of_step) in zip(order, sorted(by_step.items()), strict=True):
            ranked.extend((turn, place, index, line) for turn, line in enumerate(of_step))
    ranked.sort(key=lambda each: each[:3])
    return [(index, line) for _, _, index, line in ranked]


def _halves(n: int) -> list[int]:
    """The rank of each of n places in van der Corput's order, whose beginnings are spread evenly."""
    bits = max(1, (n - 1).bit_length())
    turned = sorted(range(n), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))
    ranks = [0] * n
    for rank, place in enumerate(turned):
        ranks[place] = rank
    return ranks


def gain(members: Iterable[Mapping[str, Any]]) -> float | None:
    """Mean reward of the fused members minus that of the single-source ones; ``None`` without either."""
    rewards: dict[str, list[float]] = {"fused": [], "mono": []}
    for member in members:
        kind, value = str(member.get("origin", "")).partition(":")[0], _number(member.get("reward"))
        if kind in rewards and value is not None:
            rewards[kind].append(value)
    if not all(rewards.values()):
        return None
    return _number(sum(rewards["fused"]) / len(rewards["fused"]) - sum(rewards["mono"]) / len(rewards["mono"]))


def bounded(text: str) -> str:
    """A text, or of one that is too long its start and its end with how much is left out between them."""
    if len(text) <= LONGEST:
        return text
    head, tail = LONGEST * 3 // 4, LONGEST // 4
    return f"{text[:head]}\n[... {len(text) - head - tail:,} characters are not shown ...]\n{text[-tail:]}"


def _correct(member: Mapping[str, Any]) -> int:
    """1 right, 0 wrong, -1 where there is no score."""
    scored = member.get("score") is not None or member.get("reward") is not None
    return int(bool(member.get("correct"))) if scored else -1


def _answer(truth: object) -> str:
    return truth if isinstance(truth, str) else json.dumps(truth, ensure_ascii=False)


def _string(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _short(value: object, most: int = 80) -> str:
    text = _string(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: object) -> float | int | None:
    """A finite number in five digits, which are more than a page shows."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return float(f"{number:.5g}") if math.isfinite(number) else None


def _rounded(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [[round(each, 4) if isinstance(each, float) else each for each in row] for row in rows]

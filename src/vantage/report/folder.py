"""A run's folder as a report reads it: whatever is there, also while the run is still being written."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vantage import yaml12
from vantage.errors import DataError
from vantage.evaluation import Evaluation
from vantage.printing import printable
from vantage.report.curves import Metrics, read_metrics

Answers = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Rows of an evaluation by question, then by origin."""

MOMENTS = ("before", "after")
LONGEST_LINE = 64 * 2**20
"""A group of more bytes is not read; no step writes one, and it would not fit a page."""

_STEP = re.compile(rb'^\{"step": ?(\d{1,15})[,}]')


@dataclass(frozen=True, slots=True)
class Line:
    """Where a group stands in ``rollouts.jsonl``."""

    step: int
    start: int
    length: int


@dataclass(slots=True)
class RunFolder:
    """What a run wrote.

    Attributes:
        path: the folder.
        name: how the report calls it.
        recipe: its settings; empty where there is no readable ``recipe.yaml``.
        metrics: ``None`` before its first step.
        lines: the groups of ``rollouts.jsonl``.
        evaluations: by moment, ``before`` and ``after``; those that are there.
        answers: the single answers of those evaluations.
        summary: of a finished run.
        notes: what is missing or could not be read; each is told.
    """

    path: Path
    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Metrics | None = None
    lines: Sequence[Line] = ()
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    answers: dict[str, Answers] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.summary)

    @property
    def reached(self) -> str:
        """How far it came: ``60``, or of a run that did not come to its end ``3 of 6``; empty before its first step."""
        steps, planned = 0 if self.metrics is None else int(self.metrics.step[-1]), self.setting("trainer", "max_steps")
        short = not self.finished and isinstance(planned, int) and planned > steps
        return "" if not steps else f"{steps:,} of {planned:,}" if short else f"{steps:,}"

    def setting(self, *keys: str) -> Any:
        """A setting of the recipe, ``None`` where it has none."""
        value: Any = self.recipe
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def groups(self, lines: Iterable[Line]) -> Iterator[tuple[Line, Mapping[str, Any] | None]]:
        """The groups of these lines; ``None`` for one that is no group."""
        with (self.path / "rollouts.jsonl").open("rb") as file:
            for line in lines:
                file.seek(line.start)
                yield line, _group(file.read(line.length))


def read(paths: Sequence[Path]) -> list[RunFolder]:
    """Read runs; one that is given twice is read once.

    Raises:
        DataError: no such folder, one that holds no run, or a run that has not taken a step.
    """
    distinct = list({path.resolve(): path for path in paths}.values())
    return [_read(path, name) for path, name in zip(distinct, _names(distinct), strict=True)]


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' names, with as many of the folders around them as tell them apart."""
    parts = [path.resolve().parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-depth:]) for each in parts]
        if len(set(names)) == len(names):
            break
    return [printable(name) for name in names]


def _read(path: Path, name: str) -> RunFolder:
    if not path.is_dir():
        raise DataError(_no_folder(path))
    files = [file for file in ("recipe.yaml", "metrics.jsonl", "rollouts.jsonl") if (path / file).is_file()]
    if not files:
        raise DataError(f"{path}: no run; its folder holds recipe.yaml, metrics.jsonl and rollouts.jsonl, this none")
    if files == ["recipe.yaml"]:
        raise DataError(f"{path}: this run has not taken a step yet, so there is nothing to report")
    run = RunFolder(path, name)
    run.recipe = _recipe(run)
    if "metrics.jsonl" in files and (path / "metrics.jsonl").stat().st_size:
        run.metrics = read_metrics(path / "metrics.jsonl")
    else:
        run.notes.append("no metrics.jsonl: there are no curves")
    if "rollouts.jsonl" in files:
        run.lines = list(_lines(run))
    else:
        run.notes.append("no rollouts.jsonl: there are no answers to look at")
    run.summary = _summary(run)
    for moment in MOMENTS:
        _evaluation(run, moment)
    return run


def _no_folder(path: Path) -> str:
    if path.exists():
        return f"{path}: a run is a folder, and this is a file"
    beside = [each.name for each in path.parent.iterdir() if each.is_dir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    meant = f"; did you mean {path.parent / near[0]}?" if near else ""
    return f"{path}: no such folder{meant}"


def _recipe(run: RunFolder) -> Mapping[str, Any]:
    """The recipe as plain values: nothing that it names is imported or checked, as the run itself did that."""
    try:
        found = yaml12.read((run.path / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        run.notes.append(f"recipe.yaml cannot be read ({_short(error)}): settings and pictures of files are missing")
        return {}
    return found if isinstance(found, Mapping) else {}


def _summary(run: RunFolder) -> Mapping[str, Any]:
    path = run.path / "summary.json"
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        run.notes.append(f"summary.json cannot be read ({_short(error)})")
        return {}
    return found if isinstance(found, Mapping) else {}


def _evaluation(run: RunFolder, moment: str) -> None:
    file = run.path / f"{moment}.json"
    if not file.exists():
        return
    try:
        run.evaluations[moment] = Evaluation.load(file)
    except DataError as error:
        run.notes.append(f"the evaluation {moment} training cannot be read: {_short(error)}")
        return
    try:
        run.answers[moment] = _answers(run.path / f"{moment}.jsonl")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        run.notes.append(f"{moment}.jsonl cannot be read ({_short(error)}): differences are not paired by question")


def _answers(path: Path) -> Answers:
    """Single answers by question and origin; of several reasoners, those of the first."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                row = json.loads(line)
                found.setdefault(str(row["id"]), {}).setdefault(str(row["origin"]), row)
    return found


def _lines(run: RunFolder) -> Iterator[Line]:
    """Where groups stand; the last line counts only where it was written to its end."""
    start, skipped = 0, 0
    with (run.path / "rollouts.jsonl").open("rb") as file:
        for raw in file:
            whole = raw.endswith(b"\n")
            if whole and raw.strip():
                step = _step(raw) if len(raw) <= LONGEST_LINE else None
                if step is None:
                    skipped += 1
                else:
                    yield Line(step, start, len(raw))
            start += len(raw)
    if skipped:
        run.notes.append(f"lines of rollouts.jsonl that are no groups, or too long, and left out: {skipped:,}")


def _step(raw: bytes) -> int | None:
    if found := _STEP.match(raw):
        return int(found[1])
    group = _group(raw)
    step = None if group is None else group.get("step", 0)
    return step if isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 10**15 else None


def _group(raw: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _short(error: BaseException) -> str:
    return printable(str(error).replace("\n", " "))[:300]

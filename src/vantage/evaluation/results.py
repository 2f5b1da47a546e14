"""What an evaluation found, and the file that keeps it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vantage.errors import ConfigError, DataError
from vantage.evaluation import statistics
from vantage.files import write_text
from vantage.groups import Origin


class Record(BaseModel):
    """What a file keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    kept_as: ClassVar[str] = "an evaluation"
    """What an error calls the content of its file."""

    def save(self, path: str | Path) -> None:
        """Write JSON, whole or not at all."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            DataError: no such file, or it holds something else; names the file and the field.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise DataError(f"{path}: cannot read {cls.kept_as} ({error.strerror})") from error
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the file"
            raise DataError(f"{path}: not {cls.kept_as}; {field}: {first['msg']}") from error


class Proportion(Record):
    """A share, 0..1, with its 95 % interval."""

    n: int = Field(ge=1)
    """How many were counted."""
    value: float = Field(ge=0, le=1)
    """The share."""
    low: float = Field(ge=0, le=1)
    """Lower end of the interval."""
    high: float = Field(ge=0, le=1)
    """Upper end of the interval."""

    @classmethod
    def of(cls, count: int, n: int) -> Proportion:
        """The share of ``count`` in ``n`` independent trials, with Wilson's interval.

        Raises:
            ConfigError: nothing was counted, or more than there are.
        """
        if n < 1 or not 0 <= count <= n:
            raise ConfigError(f"a share needs a count between 0 and n, and n of at least 1; got {count} of {n}")
        low, high = statistics.wilson(count, n)
        return cls(n=n, value=count / n, low=low, high=high)

    @classmethod
    def over(cls, right: Sequence[bool], scenes: Sequence[str]) -> Proportion:
        """The share that is right, with the interval over scenes; see ``vantage.evaluation.statistics.bootstrap``.

        Raises:
            ConfigError: nothing was counted.
        """
        if not right:
            return cls.of(0, 0)
        low, high = statistics.bootstrap(np.array(right, dtype=float)[:, None], scenes)
        value = sum(right) / len(right)
        ends = (float(low[0]), float(high[0])) if not math.isnan(low[0]) else (0.0, 1.0)  # one scene tells no spread
        return cls(n=len(right), value=value, low=min(ends[0], value), high=max(ends[1], value))


class Figures(Record):
    """What was counted over a set of samples; every share is over all of them, unreadable answers included."""

    n: int = Field(ge=1)
    """Samples."""
    fused: Proportion
    """Share answered right from all sources together."""
    sources: dict[str, Proportion]
    """Share answered right from one source alone, over the samples that have that source."""
    best_source: str
    """The source with the highest share; the earlier one on a tie, empty where no source was shown alone."""
    either: Proportion
    """Share that at least one source alone answers right: what perfect trust in the right source would reach."""
    format: Proportion
    """Share of the fused answers that are laid out as asked."""
    reward: float
    """Mean reward of the fused answers; 0 for one that could not be scored."""
    miou: float | None = None
    """Mean overlap with the true boxes, 0..1, of the fused answers to questions that ask for boxes; 0 for an answer
    without a readable box. ``None`` where no question asks for boxes."""
    unfinished: int = 0
    """Fused answers cut off by the limit on their length."""
    unscored: int = 0
    """Fused answers that the reward could not score, counted as wrong."""

    @property
    def fusion_gain(self) -> float:
        """Share of all sources together minus that of the best one: below 0, seeing more hurts; NaN without sources."""
        return self.fused.value - self.sources[self.best_source].value if self.sources else math.nan


class Evaluation(Figures):
    """A model on a data set."""

    model: str
    """How the model is called."""
    data: str
    """How the data are called."""
    tasks: dict[str, Figures] = {}
    """The same by kind of question; empty where the data name no kinds."""
    seconds: float = Field(ge=0)
    """Wall time."""
    settings: dict[str, Any] = {}
    """What the figures depend on: the prompt, the view of a single source, the limit on length."""


def figures(rows: Iterable[Mapping[str, Any]]) -> Figures:
    """Count what ``vantage.evaluation.evaluate`` returned as rows.

    Args:
        rows: one for each sample and view; see ``vantage.evaluation.evaluate.Row``.

    Raises:
        DataError: no fused row, a sample without one, or two rows of one sample and view.
    """
    by_sample: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        views = by_sample.setdefault(row["id"], {})
        if row["origin"] in views:
            raise DataError(f"row {row['id']!r} was answered twice as {row['origin']}; ids must be unique")
        views[row["origin"]] = row
    if not by_sample:
        raise DataError("nothing to count: the evaluation holds no answers")
    for name, views in by_sample.items():
        if "fused" not in views:
            raise DataError(f"row {name!r} has no answer from all its sources, only {', '.join(views)}")

    fused = [views["fused"] for views in by_sample.values()]
    scenes = [scene_in(row) for row in fused]
    right_by_source: dict[str, list[bool]] = {}
    scenes_by_source: dict[str, list[str]] = {}
    right_somewhere: list[bool] = []
    for views, scene in zip(by_sample.values(), scenes, strict=True):
        alone = {o.name: bool(row["correct"]) for o, row in _parsed(views) if o.kind == "mono"}
        for source, right in alone.items():
            right_by_source.setdefault(source, []).append(right)
            scenes_by_source.setdefault(source, []).append(scene)
        right_somewhere.append(any(alone.values()))
    sources = {name: Proportion.over(right, scenes_by_source[name]) for name, right in right_by_source.items()}
    n = len(fused)
    return Figures(
        n=n,
        fused=Proportion.over([bool(row["correct"]) for row in fused], scenes),
        sources=sources,
        best_source=max(sources, key=lambda name: sources[name].value, default=""),
        either=Proportion.over(right_somewhere, scenes),
        format=Proportion.over([bool(row["formatted"]) for row in fused], scenes),
        reward=sum(row["score"] or 0.0 for row in fused) / n,
        miou=_miou(
            fused, {row["reward"] for views in by_sample.values() for row in views.values() if iou_in(row) is not None}
        ),
        unfinished=sum(not row.get("finished", True) for row in fused),
        unscored=sum(row["score"] is None for row in fused),
    )


def _parsed(views: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[Origin, Mapping[str, Any]]]:
    return ((Origin.parse(name), row) for name, row in views.items())


def scene_in(row: Mapping[str, Any]) -> str:
    """The scene of an answer; rows that were written before scenes were named are each one of their own."""
    return row.get("scene") or f"id:{row['id']}"


def iou_in(row: Mapping[str, Any]) -> float | None:
    """The overlap that a row's reward measured; a weighted sum writes ``term/iou``."""
    return next((value for part, value in row["parts"].items() if part.rpartition("/")[2] == "iou"), None)


def _miou(fused: list[Mapping[str, Any]], box_rewards: set[str]) -> float | None:
    """Mean overlap over the rows of rewards that measure it, 0 where an answer gave nothing to measure."""
    overlaps = [iou_in(row) or 0.0 for row in fused if row["reward"] in box_rewards]
    return sum(overlaps) / len(overlaps) if overlaps else None

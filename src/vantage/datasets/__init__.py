"""Data sets: public ones, one's own rows, and the drawn worlds, all as sequences of samples."""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import islice
from typing import Any, Protocol

from vantage.datasets.check import Problem, Survey, check, raise_for, survey
from vantage.datasets.reading import RawRow
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, VantageError
from vantage.samples import MappedSamples, Sample

FILES = (
    "clevr-math",
    "geometry3k",
    "jsonl",
    "llvip",
    "mars",
    "mathverse",
    "mathvision",
    "mathvista",
    "msrs",
    "nlvr",
    "nuscenes",
    "ocr-vqa",
    "parquet",
    "reason-rft",
    "rgbd-7scenes",
    "spatialqa",
    "super-clevr",
    "trance",
    "virl39k",
)
"""Data sets that are read from files; each is a module of this package, with underscores for hyphens."""

_ALWAYS = frozenset({"name", "n", "seed", "sources"})
_WORLD_KEYS = _ALWAYS | {"split", "mix", "tasks"}


class Loader(Protocol):
    """A module of this package that reads one data set."""

    KEYS: frozenset[str]
    """Keys of ``DataSpec`` that it takes, besides ``name``, ``n``, ``seed`` and ``sources``."""

    @staticmethod
    def rows(spec: DataSpec) -> Iterable[RawRow]:
        """Every row as the files have it, in their order, each with where it stands.

        A row that cannot be read comes as the ``DataError`` that says why; a file that cannot be read raises.
        """

    @staticmethod
    def sample(row: Any, where: str, spec: DataSpec) -> Sample:
        """The sample that a row is.

        Raises:
            DataError: the row cannot be used; begins with ``where``.
        """


def names() -> list[str]:
    """Every name that ``load`` knows, sorted."""
    return sorted({*FILES, *_worlds()})


def loader(name: str) -> Loader:
    """The module that reads the data set of that name, one of ``FILES``."""
    return import_module(f"vantage.datasets.{name.replace('-', '_')}")  # type: ignore[return-value]  # checked by tests


def load(spec: str | DataSpec) -> Sequence[Sample]:
    """The samples of a data set; see ``vantage.datasets.spec`` for the text form.

    Samples of a Parquet file that holds its pictures keep them in memory, encoded.

    Raises:
        ConfigError: an unknown name or key (the known ones are listed), or a value that cannot work.
        DataError: rows that cannot be read, or that lack a source asked for; names each.
    """
    spec = DataSpec.parse(spec) if isinstance(spec, str) else spec
    world = _world(spec)
    if world is not None:
        return world
    samples: list[Sample] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    total = 0
    for where, row in read(spec):
        total += 1
        if isinstance(row, VantageError):
            problems.append(Problem(where, str(row)))
        elif row.id in seen:
            problems.append(Problem(where, f"two rows are called {row.id!r}; a row's id is unique"))
        else:
            seen.add(row.id)
            samples.append(row)
    raise_for(problems, total)
    return samples


def read(spec: str | DataSpec) -> Rows:
    """Every row of a data set with where it stands, as a sample or as the error that says why it is none.

    Rows are read when they are taken and not kept, unless a seed shuffles them.

    Raises:
        ConfigError: as ``load``; when rows are taken, for what only the files tell.
        DataError: when rows are taken: a file that cannot be read at all.
    """
    spec = DataSpec.parse(spec) if isinstance(spec, str) else spec
    world = _world(spec)
    if world is not None:
        return Rows(lambda: (("", i) for i in range(len(world))), lambda where, index: world[index], len(world))
    module = loader(spec.name)
    change = (lambda sample: sample) if spec.sources is None else _showing(spec.sources)

    def make(where: str, row: Any) -> Sample:
        return change(module.sample(row, where, spec))

    if spec.seed is None:
        return Rows(lambda: islice(module.rows(spec), spec.n), make)
    rows = list(module.rows(spec))
    random.Random(spec.seed).shuffle(rows)
    drawn = rows[: spec.n]
    return Rows(lambda: drawn, make, len(drawn))


class Rows:
    """Rows of a data set with where they stand; each becomes a sample, or an error, when it is taken.

    Attributes:
        total: how many rows there are; ``None`` where only reading them all would tell.
    """

    def __init__(
        self, rows: Callable[[], Iterable[RawRow]], make: Callable[[str, Any], Sample], total: int | None = None
    ) -> None:
        self._rows, self._make, self.total = rows, make, total

    def __iter__(self) -> Iterator[tuple[str, Sample | VantageError]]:
        for where, row in self._rows():
            if isinstance(row, VantageError):
                yield where, row
                continue
            try:
                made: Sample | VantageError = self._make(where, row)
            except VantageError as error:
                made = error
            yield where, made


def keys(name: str) -> list[str]:
    """The keys of ``DataSpec`` that the data set of that name takes, sorted.

    Raises:
        ConfigError: no such data set.
    """
    if name in FILES:
        return sorted((_ALWAYS | loader(name).KEYS) - {"name"})
    if name in _worlds():
        return sorted(_WORLD_KEYS - {"name"})
    raise _unknown(name)


def with_sources(samples: Sequence[Sample], sources: Sequence[str]) -> Sequence[Sample]:
    """A view that shows the named sources only, in that order.

    Raises:
        ConfigError: a source is named twice.
        DataError: when a row is taken that lacks one of them; names the row.
    """
    return MappedSamples(samples, _showing(sources))


def _showing(sources: Sequence[str]) -> Callable[[Sample], Sample]:
    if len(set(sources)) != len(sources):
        raise ConfigError(f"a source is named twice in {', '.join(sources)}")
    return lambda sample: replace(sample, sources={name: sample.source(name) for name in sources})


def _world(spec: DataSpec) -> Sequence[Sample] | None:
    """The samples of a drawn world; ``None`` for a data set on disk, whose keys have been checked."""
    if spec.sources is not None:
        _showing(spec.sources)
    if spec.name in FILES:
        _only(spec, _ALWAYS | loader(spec.name).KEYS)
        return None
    if spec.name not in _worlds():
        raise _unknown(spec.name)
    from vantage import worlds

    _only(spec, _WORLD_KEYS)
    given = {"split": spec.split, "n": spec.n, "mix": spec.mix, "seed": spec.seed, "tasks": spec.tasks}
    samples = worlds.get(spec.name).dataset(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    return samples if spec.sources is None else with_sources(samples, spec.sources)


def _unknown(name: str) -> ConfigError:
    kind = name.rpartition(".")[2]
    if "/" in name or kind in ("jsonl", "parquet"):
        of = kind if kind in ("jsonl", "parquet") else "NAME"
        return ConfigError(f"{name!r} is a path, and a data set goes by its name first: {of}:{name}")
    near = difflib.get_close_matches(name, names(), n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ";"
    return ConfigError(f"no data set is called {name!r}{meant} known: {', '.join(names())}")


def _worlds() -> tuple[str, ...]:
    from vantage import worlds

    return worlds.NAMES


def _only(spec: DataSpec, allowed: frozenset[str]) -> None:
    unused = sorted(spec.model_fields_set - allowed)
    if unused:
        takes = ", ".join(sorted(allowed - {"name"}))
        raise ConfigError(f"data set {spec.name!r} takes no {', '.join(map(repr, unused))}; it takes {takes}")


__all__ = [
    "FILES",
    "DataSpec",
    "Problem",
    "Rows",
    "Survey",
    "check",
    "keys",
    "load",
    "loader",
    "names",
    "read",
    "survey",
    "with_sources",
]

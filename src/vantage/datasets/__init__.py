"""Data sets: public ones, one's own rows, and the drawn worlds, all as sequences of samples."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Protocol

from vantage.datasets.check import check
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.samples import MappedSamples, Sample

FILES = ("jsonl", "llvip", "mars")
"""Data sets that are read from files; each is a module of this package."""

_ALWAYS = frozenset({"name", "n", "seed", "sources"})
_WORLD_KEYS = _ALWAYS | {"split", "mix", "tasks"}


class Loader(Protocol):
    """A module of this package that reads one data set."""

    KEYS: frozenset[str]
    """Keys of ``DataSpec`` that it takes, besides ``name``, ``n``, ``seed`` and ``sources``."""

    @staticmethod
    def load(spec: DataSpec) -> list[Sample]:
        """Every row, in the file's order."""


def names() -> list[str]:
    """Every name that ``load`` knows, sorted."""
    return sorted({*FILES, *_worlds()})


def load(spec: str | DataSpec) -> Sequence[Sample]:
    """The samples of a data set; see ``vantage.datasets.spec`` for the text form.

    Raises:
        ConfigError: an unknown name or key (the known ones are listed), or a value that cannot work.
        DataError: a row that cannot be read, or that lacks a source asked for; names the row.
    """
    spec = DataSpec.parse(spec) if isinstance(spec, str) else spec
    if spec.name in FILES:
        module: Loader = import_module(f"vantage.datasets.{spec.name}")  # type: ignore[assignment]  # checked by tests
        _only(spec, _ALWAYS | module.KEYS)
        samples: Sequence[Sample] = _some(module.load(spec), spec)
    elif spec.name in _worlds():
        from vantage import worlds

        _only(spec, _WORLD_KEYS)
        given = {"split": spec.split, "n": spec.n, "mix": spec.mix, "seed": spec.seed, "tasks": spec.tasks}
        samples = worlds.get(spec.name).dataset(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    else:
        raise ConfigError(f"no data set is called {spec.name!r}; known: {', '.join(names())}")
    if spec.sources is None:
        return samples
    shown = with_sources(samples, spec.sources)
    # Rows of files are at hand, so a row without a source is found now; drawn worlds stay undrawn.
    return list(shown) if isinstance(samples, list) else shown


def with_sources(samples: Sequence[Sample], sources: Sequence[str]) -> Sequence[Sample]:
    """A view that shows the named sources only, in that order.

    Raises:
        ConfigError: a source is named twice.
        DataError: when a row is taken that lacks one of them; names the row.
    """
    if len(set(sources)) != len(sources):
        raise ConfigError(f"a source is named twice in {', '.join(sources)}")
    return MappedSamples(
        samples, lambda sample: replace(sample, sources={name: sample.source(name) for name in sources})
    )


def _worlds() -> tuple[str, ...]:
    from vantage import worlds

    return worlds.NAMES


def _only(spec: DataSpec, allowed: frozenset[str]) -> None:
    unused = sorted(spec.model_fields_set - allowed)
    if unused:
        takes = ", ".join(sorted(allowed - {"name"}))
        raise ConfigError(f"data set {spec.name!r} takes no {', '.join(map(repr, unused))}; it takes {takes}")


def _some(samples: list[Sample], spec: DataSpec) -> list[Sample]:
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise DataError(f"data set {spec.name!r}: two rows are called {sample.id!r}; a row's id is unique")
        seen.add(sample.id)
    if spec.seed is not None:
        random.Random(spec.seed).shuffle(samples)
    return samples if spec.n is None else samples[: spec.n]


__all__ = ["DataSpec", "check", "load", "names", "with_sources"]

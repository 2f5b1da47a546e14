"""All that ``vantage eval`` asks of a model, in one pass that can be cut and go on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from vantage.errors import ConfigError, DataError
from vantage.evaluation.asking import Row, Speaker, Wanted, answered, both_views, checked
from vantage.evaluation.journal import Journal, Key
from vantage.evaluation.outcome import Results, results
from vantage.evaluation.robustness import WAYS, damaged, other_scene
from vantage.evaluation.scenes import scene_of
from vantage.generation import Prompt, every, prompts
from vantage.groups import FUSED, Origin
from vantage.samples import MonoView, PromptStyle, Sample


class Plan(NamedTuple):
    """What is asked about each sample.

    Attributes:
        style: how a sample becomes messages.
        mono: what stands in the other picture slots when some sources are shown.
        k: answers drawn from all sources, beside the greedy one.
        robustness: also ask with each source damaged in every way.
    """

    style: PromptStyle
    mono: MonoView = "fill"
    k: int = 0
    robustness: bool = False

    def keys(self, sample: Sample) -> list[Key]:
        """What is wanted about a sample, in order."""
        found: list[Key] = []
        for origin in every(sample):
            draws = (None, *range(self.k)) if origin == FUSED else (None,)
            found += [(sample.id, str(origin), "", draw) for draw in draws]
        if self.robustness:
            found += [(sample.id, str(FUSED), f"{way}:{name}", None) for name in sample.sources for way in WAYS]
        return found


def measure(
    speaker: Speaker,
    samples: Sequence[Sample],
    plan: Plan,
    *,
    batch_size: int = 64,
    model: str = "",
    data: str = "",
    settings: dict[str, Any] | None = None,
    keep: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Results, list[Row]]:
    """Ask all that a plan wants of every sample, and count.

    Args:
        speaker: who answers.
        samples: with unique ids.
        plan: what is asked about each.
        batch_size: answers wanted at once.
        model: how the results call the model.
        data: how they call the data.
        settings: what else decides the answers, plain JSON values by name.
        keep: file of answers, each written as it is made; a second call with the same arguments makes only those that
            are missing. Answers that failed are not kept.
        progress: told after each batch how many of how many answers are there.

    Returns:
        The results, and the rows that they count.

    Raises:
        ConfigError: a number below its least, or ``keep`` holds answers to something else.
        DataError: no samples, two of one id, or none of another scene to swap pictures with.
        PictureError: a sample's picture cannot be read.
        EndpointError: nobody answers at all.
    """
    if plan.k < 0 or batch_size < 1:
        raise ConfigError(f"k is at least 0 and batch_size at least 1; got {plan.k} and {batch_size}")
    samples = checked(samples)
    about, single = planned(samples, plan, model=model, data=data, settings=settings)
    keys = [key for sample in samples for key in plan.keys(sample)]
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(keep, about)) if keep is not None else None
        rows: dict[Key, Row] = dict(journal.rows) if journal is not None else {}
        seconds = journal.seconds if journal is not None else 0.0
        begun = time.perf_counter()
        if progress is not None:
            progress(len(rows), len(keys))
        for batch in answered(speaker, _wanted(samples, plan, rows, speaker.decodes), batch_size):
            took, begun = time.perf_counter() - begun, time.perf_counter()
            seconds += took
            fresh = {one.key: row for one, row in batch}
            if journal is not None:
                journal.add((row for row in fresh.values() if "failed" not in row), took)
            rows |= fresh
            if progress is not None:
                progress(len(rows), len(keys))
    ordered = [rows[key] for key in keys]
    seen = [
        view
        for row in ordered
        for view in (both_views(row, [single[row["id"]]]) if row["id"] in single and _plain(row) else [row])
    ]
    told = {key: value for key, value in about.items() if key not in ("model", "data")}
    found = results(seen, model=model, data=data, seconds=seconds, settings=told, versions=versions())
    return found, ordered


def planned(
    samples: Sequence[Sample], plan: Plan, *, model: str = "", data: str = "", settings: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """All that decides the answers, as a file of answers tells it, and the source of each sample that has one only.

    Raises:
        DataError: pictures of a source cannot be swapped: one scene alone has it.
    """
    asked = hashlib.sha256()
    single: dict[str, str] = {}
    scenes: dict[str, set[str]] = {}
    for sample in samples:
        for name in sample.sources:
            scenes.setdefault(name, set()).add(scene_of(sample))
        told = [sample.id, sample.question, sample.truth, sample.reward, list(sample.sources)]
        asked.update(json.dumps(told, default=str).encode())
        if len(sample.sources) == 1:
            single[sample.id] = next(iter(sample.sources))
    lonely = [name for name, found in scenes.items() if len(found) < 2]
    if plan.robustness and lonely:
        raise DataError(
            f"robustness swaps pictures with those of another scene, and only one scene has {', '.join(lonely)}; give "
            "more data, or leave robustness out"
        )
    about = {"model": model, "data": data, "questions": asked.hexdigest()[:16], **(settings or {}), **_told(plan)}
    return about, single


def _wanted(samples: Sequence[Sample], plan: Plan, there: dict[Key, Row], decode: bool) -> Iterator[Wanted]:
    """What is not there yet; each picture is decoded once for the views of its sample."""
    have = frozenset(there)
    for place, sample in enumerate(samples):
        missing = [key for key in plan.keys(sample) if key not in have]
        views = list(dict.fromkeys(Origin.parse(origin) for _, origin, damage, _ in missing if not damage))
        for prompt in _prompts(sample, plan, views, decode):
            for key in missing:
                if key[1:3] == (str(prompt.origin), ""):
                    yield Wanted(prompt, sample, key[3])
        for _, _, damage, _ in missing:
            if damage:
                way, _, source = damage.partition(":")
                donor = other_scene(samples, place, source) if way == "swap" else None
                for prompt in _prompts(damaged(sample, source, way, donor), plan, [FUSED], decode):
                    yield Wanted(prompt, sample, damage=damage)


def _prompts(sample: Sample, plan: Plan, views: Sequence[Origin], decode: bool) -> Iterator[Prompt]:
    if not decode:
        return (Prompt(sample, origin, ()) for origin in views)
    return prompts([sample], [plan.style], plan.mono, lambda _: views)


def _plain(row: Row) -> bool:
    return not row["damage"] and row["draw"] is None


def _told(plan: Plan) -> dict[str, Any]:
    style = plan.style
    return {
        "k": plan.k,
        "robustness": plan.robustness,
        "mono": plan.mono,
        "system": style.system,
        "label_sources": style.label_sources,
        "instruction": style.instruction,
    }


def versions() -> dict[str, str]:
    """Of Python and of what decides an answer."""
    found = {"python": platform.python_version()}
    for package in ("vantage-rl", "torch", "transformers", "pillow", "numpy"):
        found[package] = importlib.metadata.version(package)
    return found

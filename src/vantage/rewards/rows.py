"""Rows to score whose pictures are not at hand: what a file, a column of a data set or a trainer gives of a sample.

A row is a mapping. ``answer`` is the truth; without it ``truth``, ``solution`` or ``ground_truth`` is. The rest may be
left out: ``id``, ``question``, ``image_size`` and ``resized_size`` as [width, height], ``frame`` (what the model
writes boxes in), ``truth_frame`` (what the truth is written in), ``metadata``. Without ``frame``, predictions are in
the same numbers as the truth: nothing is converted and no size is needed; with it, the truth is in ``pixel`` unless
``truth_frame`` says otherwise. Other keys are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from json import loads
from typing import Any, NoReturn

from vantage.errors import DataError, TruthError
from vantage.rewards.base import Reward
from vantage.samples import Sample

TRUTHS = ("answer", "truth", "solution", "ground_truth")
"""The names under which a row may hold its truth."""

GEOMETRY = ("image_size", "resized_size", "frame", "truth_frame")
"""Keys of a row that say what numbers its boxes are in; the same keys inside ``metadata`` mean the same."""

KEYS = ("id", "question", "metadata", *TRUTHS, *GEOMETRY)
"""Every key that is looked at."""

_BOUNDLESS = {"image_size": (2**53, 2**53), "resized_size": (2**53, 2**53)}


class Unpictured(Sample):
    """A sample that was given without pictures; asking for one is a ``DataError``."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Nothing: a row like this has no sources to look at."""

    def source(self, name: str) -> NoReturn:
        """Raise ``DataError``: there are no pictures."""
        raise DataError(f"row {self.id!r} was given without pictures, so there is no source {name!r}")


def sample_of(row: Mapping[str, Any], where: str, *, json: bool = False, needs_truth: bool = True) -> Sample:
    """The sample that a row stands for.

    Args:
        row: see the module; ``None`` counts as absent, arrays become lists.
        where: names the row where it has no ``id``, and in errors, for example ``rows.jsonl:12``.
        json: the row was read from JSON, so that no arrays need to be looked for.
        needs_truth: a row without a truth is an error.

    Raises:
        DataError: no truth, two that differ, or a key of the wrong form; names the row and the key.
    """
    try:
        given = {key: row[key] if json else plain(row[key]) for key in KEYS if row.get(key) is not None}
    except RecursionError as error:
        raise DataError(f"{where}: lists inside lists, too deep to read") from error
    # A data set may keep a worked solution beside the answer.
    found = {key: given[key] for key in ((TRUTHS[0],) if TRUTHS[0] in given else TRUTHS) if key in given}
    truth = _one(where, found) if found or needs_truth else None
    metadata = _form(given, "metadata", (dict,), "an object", where) or {}
    for key in GEOMETRY:
        found = {key: given.get(key), f"metadata.{key}": metadata.get(key)}
        found = {at: value for at, value in found.items() if value is not None}
        if found:
            metadata = {**metadata, key: _one(where, found)}
    if metadata.get("frame") is None:
        same = metadata.get("truth_frame", "pixel")
        metadata = {**metadata, "frame": same, "truth_frame": same}
    metadata = {"truth_frame": "pixel", **metadata}
    row_id = _form(given, "id", (str, int), "a text or an integer", where)
    return Unpictured(
        id=where if row_id is None else str(row_id),
        question=_form(given, "question", (str,), "a text", where) or "",
        sources={},
        truth=truth,
        reward="",
        metadata=metadata,
    )


def readable(reward: Reward, sample: Sample) -> Sample:
    """The sample with a truth that the reward reads, checked as before training.

    Columns of a table hold one type, so that boxes often arrive as JSON text: where the reward cannot read the text
    itself, the list or object that it writes is taken. Where both sides are in the same frame and the size of the
    picture is not known, whether boxes lie inside it is not checked.

    Raises:
        TruthError, DataError: as ``Reward.check``.
    """
    try:
        _check(reward, sample)
    except TruthError:
        read = replace(sample, truth=_json(sample.truth))
        if read.truth is None:
            raise
        _check(reward, read)
        return read
    return sample


def completion_text(completion: Any) -> str:
    """The text of a completion: a text, or a conversation as TRL hands it over, whose last message counts.

    Raises:
        DataError: it is neither.
    """
    if isinstance(completion, str):
        return completion
    last = completion[-1] if isinstance(completion, (list, tuple)) and completion else None
    if isinstance(last, Mapping):
        content = last.get("content") or ""
        if isinstance(content, str):
            return content
        if isinstance(content, (list, tuple)) and all(isinstance(part, Mapping) for part in content):
            return "".join(str(part.get("text") or "") for part in content)
    raise DataError(f"a completion is a text or a list of chat messages, not {_short(completion)}")


def plain(value: Any) -> Any:
    """A value with arrays and tuples made lists, and numbers of NumPy made Python's, however deep they stand."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _check(reward: Reward, sample: Sample) -> None:
    frame, truth_frame = (sample.metadata.get(key) for key in ("frame", "truth_frame"))
    # "pixel" is what rewards take a truth to be in, or the model's own frame; either way they agree.
    if not sample.sources and frame == (truth_frame or "pixel"):
        sample = replace(sample, metadata={**_BOUNDLESS, **sample.metadata})
    reward.check(sample)


def _one(where: str, found: dict[str, Any]) -> Any:
    if not found:
        raise DataError(f"{where}: no truth; give it under 'answer' (or {', '.join(map(repr, TRUTHS[1:]))})")
    (name, value), *others = found.items()
    for other, differs in others:
        if value != differs:
            raise DataError(
                f"{where}: {name!r} is {_short(value)} and {other!r} is {_short(differs)}; they mean the same, so give "
                "one of them"
            )
    return value


def _form(given: dict[str, Any], key: str, types: tuple[type, ...], form: str, where: str) -> Any:
    value = given.get(key)
    if value is not None and (not isinstance(value, types) or isinstance(value, bool)):
        raise DataError(f"{where}: {key!r} is {form}, not {_short(value)}")
    return value


def _json(text: Any) -> Any:
    try:
        value = loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (list, dict)) else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

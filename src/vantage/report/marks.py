"""What is drawn on a picture: true boxes, predicted boxes and points, as shares of its width and height."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vantage.errors import ConfigError, DataError
from vantage.pictures import Source
from vantage.rewards import extract
from vantage.rewards.boxes import row_frames, truth_boxes
from vantage.rewards.detection import written_boxes
from vantage.rewards.extract import Box
from vantage.rewards.frames import Frame, span_of
from vantage.samples import Sample

MOST = 64
"""Boxes of one answer that are drawn."""


class Marks:
    """The boxes of a group's truth and answers.

    Nothing is drawn where the truth is no box, or where a frame or a size is missing; ``trouble`` then says why.

    Args:
        record: a group as ``rollouts.jsonl`` has it.
        size: width and height of its picture, where the row does not name it; ``None`` where it is not known.
    """

    def __init__(self, record: Mapping[str, Any], size: tuple[int, int] | None) -> None:
        metadata = record.get("metadata")
        metadata = dict(metadata) if isinstance(metadata, Mapping) else {}
        if size is not None:
            metadata.setdefault("image_size", list(size))
        self.points = _points(metadata.get("points"))
        self.truth: list[Box] = []
        self.trouble = ""
        self._spans: tuple[tuple[float, float], tuple[float, float]] | None = None
        if "frame" not in metadata and "truth_frame" not in metadata:
            return
        row = Sample(str(record.get("id", "")), "", {"picture": Source(b"")}, record.get("truth"), "", metadata)
        try:
            truth = truth_boxes(row)
        except DataError:
            return  # a frame stands beside truths of other kinds too
        try:
            # Of a row that names one frame only, each reward says what the truth's is: pixels, or the model's own.
            default = "pixel" if "grounding" in str(record.get("reward", "")) else None
            if "frame" not in metadata:
                row = replace(row, metadata={**metadata, "frame": metadata["truth_frame"]})
            frames: tuple[Frame, Frame] = row_frames(row, default)
            self._spans = span_of(row, frames[0]), span_of(row, frames[1])
            self.truth = _shares(truth, self._spans[1])
        except (DataError, ConfigError, ZeroDivisionError) as error:
            self._spans, self.trouble = None, str(error)

    def predicted(self, text: str) -> list[Box]:
        """The boxes that an answer names."""
        if self._spans is None or not text:
            return []
        answer = extract.answer(text)
        plain = None if answer is None else extract.plain_box(answer)
        found = [plain] if plain is not None else written_boxes(text) or []
        return _shares(found[:MOST], self._spans[0])


def _shares(boxes: Iterable[Box], span: tuple[float, float]) -> list[Box]:
    """Boxes that have an area inside the picture, cut off at its edges."""
    width, height = span
    shares = (
        tuple(min(1.0, max(0.0, edge)) for edge in (x1 / width, y1 / height, x2 / width, y2 / height))
        for x1, y1, x2, y2 in boxes
        if all(map(math.isfinite, (x1, y1, x2, y2)))
    )
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in shares if x1 < x2 and y1 < y2]


def _points(given: object) -> list[tuple[str, float, float]]:
    """Letters, and where they lie; nothing where the row has none of that form."""
    found = []
    for letter, place in given.items() if isinstance(given, Mapping) else ():
        if isinstance(place, Sequence) and len(place) == 2 and all(isinstance(part, (int, float)) for part in place):
            x, y = (float(part) for part in place)
            if 0 <= x <= 1 and 0 <= y <= 1:
                found.append((str(letter)[:3], x, y))
    return found

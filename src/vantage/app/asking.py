"""What happens on the page when a question is asked: every view answers in turn, and what it says grows."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from vantage.app.ways import Way
from vantage.errors import ConfigError, DataError, PictureError, VantageError
from vantage.generation import each, fused
from vantage.groups import Origin
from vantage.models import measure_resized
from vantage.pipeline import Answer, Stage
from vantage.rewards import extract
from vantage.rewards.boxes import truth_boxes
from vantage.rewards.extract import Box
from vantage.rewards.frames import frame_of, span_of
from vantage.samples import Sample

EVERY = 0.05
"""Seconds between two pictures of what is being said; a fast model would flood the browser."""

MOST_BOXES = 100
"""Boxes that are drawn; an answer may hold thousands."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Panel:
    """One view of the question and what came of it so far.

    Attributes:
        origin: which sources are seen.
        said: text by stage.
        answer: at the end.
        boxes: of the answer, as shares of the picture's width and height, at most ``MOST_BOXES``.
        note: what a reader must know of the boxes.
        error: what went wrong.
        live: it is being answered.
    """

    origin: Origin
    said: dict[Stage, str] = field(default_factory=dict)
    answer: Answer | None = None
    boxes: tuple[Box, ...] = ()
    note: str = ""
    error: str = ""
    live: bool = False


def origins(sample: Sample, compare: bool) -> tuple[Origin, ...]:
    """All sources together and, where they are to be compared, each alone."""
    return each(sample) if compare else fused(sample)


def ask(way: Way, sample: Sample, compare: bool) -> Iterator[list[Panel]]:
    """All panels, again and again as what is said grows; the last ones are final.

    Whoever leaves early stops the models. What goes wrong in one view is told in its panel, and the others go on.
    """
    panels = [Panel(origin) for origin in origins(sample, compare)]
    yield list(panels)
    for place, panel in enumerate(panels):
        shown = 0.0
        for grown in _one(way, sample, panel):
            panels[place] = grown
            if not grown.live or time.monotonic() - shown >= EVERY:
                shown = time.monotonic()
                yield list(panels)


def _one(way: Way, sample: Sample, panel: Panel) -> Iterator[Panel]:
    panel = replace(panel, live=True)
    yield panel
    try:
        for item in way.pipeline.stream(sample, way.parts, origin=panel.origin, reasoner=way.answering):
            if isinstance(item, Answer):
                boxes, note = found_boxes(item.final or "", way, sample)
                panel = replace(panel, answer=item, boxes=boxes, note=note, error=item.error, live=False)
            else:
                stage, piece = item
                panel = replace(panel, said={**panel.said, stage: panel.said.get(stage, "") + piece})
            yield panel
    except VantageError as error:
        yield replace(panel, error=str(error), live=False)
    except Exception as error:
        # Out of memory, or a fault of ours: the page says so, the log keeps the whole of it.
        logger.exception("a view could not be answered")
        yield replace(panel, error=f"{type(error).__name__}: {error}", live=False)


def with_frame(way: Way, sample: Sample) -> Sample:
    """The sample with the frame of the boxes that this model writes, where that is known and the sample has none."""
    if way.frame and "frame" not in sample.metadata:
        sample = replace(sample, metadata={**sample.metadata, "frame": way.frame})
    return measure_resized(sample, way.pipeline.processor)


def found_boxes(answer: str, way: Way, sample: Sample) -> tuple[tuple[Box, ...], str]:
    """Boxes of an answer as shares of the picture, and what a reader must know of them."""
    plain = extract.plain_box(answer)
    found = [plain] if plain is not None else extract.answer_boxes(answer) or []
    usable = [box for box in found if all(abs(edge) < 1e9 for edge in box)]  # not those that hold no four numbers
    if not usable:
        return (), ""
    try:
        width, height = span_of(with_frame(way, sample), frame_of(with_frame(way, sample)))
    except (DataError, ConfigError, PictureError):
        return (), "The answer has boxes, but not the frame of their coordinates; name it with --frame to see them."
    inside = [_share(box, width, height) for box in usable[:MOST_BOXES]]
    left_out = len(found) - len(inside)
    return tuple(inside), f"{left_out} more boxes are not drawn." if left_out else ""


def known_boxes(sample: Sample) -> tuple[Box, ...]:
    """The boxes of a drawn scene's truth as shares of the picture; none where its truth is of another kind."""
    if not isinstance(sample.truth, (list, tuple)) or "frame" not in sample.metadata:
        return ()
    width, height = span_of(sample, frame_of(sample))
    return tuple(_share(box, width, height) for box in truth_boxes(sample))


def _share(box: Box, width: float, height: float) -> Box:
    x1, y1, x2, y2 = box
    return tuple(min(1.0, max(0.0, edge)) for edge in (x1 / width, y1 / height, x2 / width, y2 / height))  # type: ignore[return-value]

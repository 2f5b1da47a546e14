"""What happens on the page when a question is asked: every view answers in turn, and what it says grows."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice

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

EVERY = 0.1
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


def ask(way: Way, sample: Sample, compare: bool) -> Generator[list[Panel], None, None]:
    """All panels, again and again as what is said grows; the last ones are final.

    They come, as they are, while nobody speaks too, so that whoever reads them may leave, which stops the models. What
    goes wrong in one view is told in its panel, and the others go on.
    """
    panels = [Panel(origin) for origin in origins(sample, compare)]
    yield list(panels)
    for place, panel in enumerate(panels):
        for panels[place] in _one(way, sample, panel):
            yield list(panels)


def _one(way: Way, sample: Sample, panel: Panel) -> Iterator[Panel]:
    panel = replace(panel, live=True)
    yield panel
    pieces: dict[Stage, list[str]] = {}
    shown = 0.0
    try:
        with closing(way.pipeline.stream(sample, way.parts, origin=panel.origin, reasoner=way.answering)) as stream:
            for item in stream:
                if not isinstance(item, Answer):
                    stage, piece = item
                    begins = stage not in pieces
                    pieces.setdefault(stage, []).append(piece)
                    # The end of a stage is shown as the next begins, which may be silent for minutes.
                    if not begins and time.monotonic() - shown < EVERY:
                        continue
                    shown = time.monotonic()
                panel = replace(panel, said={stage: "".join(parts) for stage, parts in pieces.items()})
                if isinstance(item, Answer):
                    boxes, note = found_boxes(item, way, sample)
                    panel = replace(panel, answer=item, boxes=boxes, note=note, error=item.error, live=False)
                yield panel
    except VantageError as error:
        yield replace(panel, error=str(error), live=False)
    except Exception as error:
        # Out of memory, or a fault of ours: the page says so, the log keeps the whole of it.
        logger.exception("a view could not be answered")
        yield replace(panel, error=f"{type(error).__name__}: {error}", live=False)


def with_frame(way: Way, sample: Sample) -> Sample:
    """The sample with the frame of the boxes that this model writes, where that is known; a truth keeps its own."""
    if way.frame:
        own = {"truth_frame": sample.metadata["frame"]} if "frame" in sample.metadata else {}
        sample = replace(sample, metadata={**own, **sample.metadata, "frame": way.frame})
    return measure_resized(sample, way.pipeline.processor)


def found_boxes(answer: Answer, way: Way, sample: Sample) -> tuple[tuple[Box, ...], str]:
    """Boxes of an answer as shares of the picture, and what a reader must know of them.

    They are those of the final answer, or of the whole reply where it states none.
    """
    reply = answer.tentative if answer.reasoning is None else answer.reasoning
    text = answer.final if answer.final is not None else extract.after_thought(reply or "").strip()
    plain = extract.plain_box(text)
    found = [plain] if plain is not None else extract.answer_boxes(text) or []
    if not found:
        return (), ""
    try:
        framed = with_frame(way, sample)
        if "frame" not in framed.metadata:
            return (), "The answer has boxes, but not the frame of their coordinates; name it with --frame to see them."
        width, height = span_of(framed, frame_of(framed))
    except (DataError, ConfigError, PictureError) as error:
        return (), f"The answer's boxes are not drawn: {error}"
    shares = (_share(box, width, height) for box in found)
    shown = (share for share in shares if share[0] < share[2] and share[1] < share[3])  # false of NaN too
    drawn = tuple(islice(shown, MOST_BOXES))
    left_out = len(found) - len(drawn)
    what = "1 box is" if left_out == 1 else f"{left_out:,} boxes are"
    why = f"outside the picture, without an area, or beyond {MOST_BOXES}"
    return drawn, f"{what} not drawn: {why}." if left_out else ""


def known_boxes(sample: Sample) -> tuple[Box, ...]:
    """The boxes of a drawn scene's truth as shares of the picture; none where its truth is of another kind."""
    if not isinstance(sample.truth, (list, tuple)) or "frame" not in sample.metadata:
        return ()
    width, height = span_of(sample, frame_of(sample, "truth_frame", sample.metadata["frame"]))
    return tuple(_share(box, width, height) for box in truth_boxes(sample))


def _share(box: Box, width: float, height: float) -> Box:
    x1, y1, x2, y2 = box
    return _inside(x1 / width), _inside(y1 / height), _inside(x2 / width), _inside(y2 / height)


def _inside(edge: float) -> float:
    return edge if math.isnan(edge) else min(1.0, max(0.0, edge))

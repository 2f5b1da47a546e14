"""Coordinate frames: which numbers a box is written in.

Qwen2.5-VL writes pixels of the picture *as its processor resized it*, Qwen3-VL writes 0..1000 relative to the picture,
data sets keep pixels of the original. Mixing them up costs a run and raises nothing, so a frame is always named and
never guessed. A row names two:

- ``metadata["frame"]``: the frame of what the model writes;
- ``metadata["truth_frame"]``: the frame of the truth; the default is the reward's to document.

Sizes are (width, height). A row's picture size is ``metadata["image_size"]``, else the header of its first source;
its resized size is ``metadata["resized_size"]`` (see ``vantage.models.with_resized_size``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from vantage.errors import ConfigError, DataError
from vantage.rewards.extract import Box
from vantage.samples import Sample

Size = tuple[int, int]

KNOWN = "'pixel' (of the original picture), 'resized' (by the processor), 'relative' (0..1000) or 'relative:N'"


@dataclass(frozen=True, slots=True)
class Frame:
    """A coordinate frame.

    Attributes:
        kind: ``pixel``, ``resized`` or ``relative``.
        extent: for ``relative``, the number that stands for the picture's full width and height.
    """

    kind: Literal["pixel", "resized", "relative"]
    extent: float = 1000.0

    @classmethod
    def parse(cls, text: str) -> Frame:
        """Read ``pixel``, ``resized``, ``relative`` or ``relative:N``, as ``str(frame)`` writes them.

        Raises:
            ConfigError: anything else, or an N that is not positive and finite.
        """
        if text in ("pixel", "resized", "relative"):
            return cls(text)  # type: ignore[arg-type]  # just checked
        kind, _, number = text.partition(":") if isinstance(text, str) else ("", "", "")
        if kind == "relative":
            try:
                extent = float(number)
            except ValueError:
                extent = math.nan
            if math.isfinite(extent) and extent > 0:
                return cls("relative", extent)
        raise ConfigError(f"{text!r} is no coordinate frame; a frame is {KNOWN}")

    def __str__(self) -> str:
        # repr() reads back as the same number; a whole one is written without its ".0".
        return self.kind if self.kind != "relative" else f"relative:{repr(float(self.extent)).removesuffix('.0')}"

    def to_pixels(self, box: Box, image_size: Size, resized_size: Size | None = None) -> Box:
        """A box of this frame in pixels of the original picture.

        Raises:
            DataError: the frame is ``resized`` and ``resized_size`` is not given.
        """
        return _rescale(box, self.span(image_size, resized_size), image_size)

    def from_pixels(self, box: Box, image_size: Size, resized_size: Size | None = None) -> Box:
        """A box in pixels of the original picture in this frame; the inverse of ``to_pixels``.

        Raises:
            DataError: as ``to_pixels``.
        """
        return _rescale(box, image_size, self.span(image_size, resized_size))

    def span(self, image_size: Size, resized_size: Size | None = None) -> tuple[float, float]:
        """The whole picture's width and height in this frame.

        Raises:
            DataError: as ``to_pixels``.
        """
        if self.kind == "relative":
            return self.extent, self.extent
        if self.kind == "pixel":
            return image_size
        if resized_size is None:
            raise DataError(
                "frame 'resized' needs metadata 'resized_size', the (width, height) to which the processor resizes the "
                "picture; vantage.models.with_resized_size adds it"
            )
        return resized_size


def frame_of(sample: Sample, key: str = "frame", default: str | None = None) -> Frame:
    """The frame that the row's metadata names under ``key``.

    Raises:
        DataError: no frame there and no default, or a frame that does not exist; names the row.
    """
    text = sample.metadata.get(key, default)
    if text is None:
        raise DataError(
            f"row {sample.id!r}: no coordinate frame in metadata[{key!r}]; a frame is never guessed, so name it, with "
            f"?{key}=pixel where a data set is named or as {key!r} in the row's metadata: {KNOWN}"
        )
    try:
        return Frame.parse(text)
    except ConfigError as error:
        raise DataError(f"row {sample.id!r}, metadata[{key!r}]: {error}") from error


def span_of(sample: Sample, frame: Frame) -> tuple[float, float]:
    """Width and height of the row's picture in that frame; the picture's header is read for ``pixel`` only.

    Raises:
        DataError: a size that the frame needs is missing or unreadable; names the row.
        PictureError: the first source's header cannot be read.
    """
    size = image_size(sample) if frame.kind == "pixel" else (0, 0)
    resized = _size(sample, "resized_size") if frame.kind == "resized" else None
    try:
        return frame.span(size, resized)
    except DataError as error:
        raise DataError(f"row {sample.id!r}: {error}") from error


def convert(boxes: Iterable[Box], sample: Sample, source: Frame, target: Frame) -> list[Box]:
    """The row's boxes from one frame to another. Equal frames need no size.

    Raises:
        DataError, PictureError: as ``span_of``.
    """
    if source == target:
        return list(boxes)
    spans = span_of(sample, source), span_of(sample, target)
    return [_rescale(box, *spans) for box in boxes]


def image_size(sample: Sample) -> Size:
    """Width and height of the row's picture: ``metadata["image_size"]``, else its first source's header.

    Raises:
        DataError: metadata that is no size, or no size for a row that was given without pictures.
        PictureError: the header cannot be read.
    """
    size = _size(sample, "image_size")
    if size is not None:
        return size
    if not sample.sources:
        raise DataError(
            f"row {sample.id!r}: the size of its picture is needed and there is no picture; give 'image_size' as "
            "[width, height] in pixels"
        )
    return next(iter(sample.sources.values())).size()


def _rescale(box: Box, source: tuple[float, float], target: tuple[float, float]) -> Box:
    (ws, hs), (wt, ht) = source, target
    return box[0] * wt / ws, box[1] * ht / hs, box[2] * wt / ws, box[3] * ht / hs


def _size(sample: Sample, key: str) -> Size | None:
    value: Any = sample.metadata.get(key)
    if value is None:
        return None
    integers = isinstance(value, (list, tuple)) and all(isinstance(x, int) and not isinstance(x, bool) for x in value)
    if integers and len(value) == 2 and min(value) > 0:
        return value[0], value[1]
    raise DataError(f"row {sample.id!r}: metadata[{key!r}] is a [width, height] of positive integers, not {value!r}")

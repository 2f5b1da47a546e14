"""Samples, their named sources, and the views through which a model sees them.

A sample is a question about one scene, the *named* pictures of that scene in order, the truth, and the name of the
reward that checks an answer. A view says which source each picture slot of the prompt shows:

- ``fused``: every slot its own source;
- ``mono(source)``: every slot shows that one source, so that the prompt's text and length do not change (MARS,
  arXiv 2605.25437), or, with ``drop``, only that source's slot remains.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

from PIL import ExifTags, Image, UnidentifiedImageError

from vantage.errors import DataError, PictureError
from vantage.groups import FUSED, Origin

MAX_PIXELS = 64_000_000
"""Pictures of more pixels are refused before they are decoded; a guard against decompression bombs."""

_EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by the EXIF orientation that a camera wrote; 5 to 8 swap width and height."""

MonoView = Literal["fill", "drop"]
"""How a single source is shown: ``fill`` puts it in every slot (the paper's way), ``drop`` keeps its slot only."""


@dataclass(frozen=True, slots=True)
class Source:
    """One picture of a scene, upright: an EXIF orientation is applied, as image viewers and OpenCV do.

    Args:
        image: a file, or a picture in memory.
        ref: how logs and reports name it; the path of a file unless given.
    """

    image: str | Path | Image.Image
    ref: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.image, (str, Path, Image.Image)):
            raise PictureError(f"a picture is a path or a PIL image, not {type(self.image).__name__}: {self.image!r}")
        if not self.ref:
            ref = "<picture in memory>" if isinstance(self.image, Image.Image) else str(self.image)
            object.__setattr__(self, "ref", ref)

    def size(self) -> tuple[int, int]:
        """Width and height in pixels, read from the file's header without decoding it.

        Raises:
            PictureError: the file is missing, is no picture, or holds more than ``MAX_PIXELS``.
        """
        with self._open() as image:
            width, height = image.size
            return (height, width) if _orientation(image) >= 5 else (width, height)

    def load(self) -> Image.Image:
        """Decode to 8-bit RGB at full size.

        Raises:
            PictureError: as ``size``, or the file is cut short, or its values are not 8-bit: how 16-bit or
                floating-point depth maps to grey levels is the data set's to say, never guessed here.
        """
        with self._open() as image:
            if image.mode not in _EIGHT_BIT:
                raise PictureError(
                    f"{self.ref}: mode {image.mode} is not 8-bit; say how its values become grey levels by converting "
                    "it before it enters a sample"
                )
            orientation = _orientation(image)
            try:
                loaded = image.convert("RGB") if image.mode != "RGB" else image.copy()
                return loaded.transpose(_UPRIGHT[orientation]) if orientation > 1 else loaded
            except (OSError, SyntaxError, ValueError) as error:
                raise PictureError(f"{self.ref}: the picture is corrupt or cut short ({error})") from error

    def _open(self) -> Image.Image:
        if isinstance(self.image, Image.Image):
            # A context manager closes what it is given, and this picture is the caller's.
            image = self.image.copy() if self.image.size[0] * self.image.size[1] <= MAX_PIXELS else self.image
        else:
            try:
                with warnings.catch_warnings():
                    # Pillow's own bomb warning comes at a size of its choosing; ours is an error at MAX_PIXELS.
                    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                    image = Image.open(self.image)
            except FileNotFoundError as error:
                raise PictureError(f"{self.ref}: no such file") from error
            except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
                raise PictureError(f"{self.ref}: not a readable picture ({error})") from error
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise PictureError(f"{self.ref}: {width}x{height} is more than {MAX_PIXELS:,} pixels; refused undecoded")
        return image


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 where there is none; read without decoding the picture."""
    if image.format == "TIFF":
        return 1  # Pillow turns TIFF itself
    # The method of the base class: that of PNG decodes the picture to look behind it.
    orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in _UPRIGHT else 1


@dataclass(frozen=True, slots=True)
class Sample:
    """A question whose answer can be checked, and the pictures that it is about.

    Args:
        id: unique in its data set; errors and logs name the row by it.
        question: what is asked, without picture placeholders.
        sources: name to picture, in the order in which the prompt shows them; at least one.
        truth: what the reward compares with; its form is the reward's to define.
        reward: name of the reward (see ``vantage.rewards``).
        metadata: anything else worth keeping; plain JSON values.

    Raises:
        DataError: no source, or a source without a name.
    """

    id: str
    question: str
    sources: Mapping[str, Source]
    truth: Any
    reward: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sources:
            raise DataError(f"row {self.id!r}: a sample needs at least one source, none given")
        for name in self.sources:
            if not isinstance(name, str) or not name.strip():
                raise DataError(f"row {self.id!r}: a source needs a name, got {name!r}")
        wrapped = {n: s if isinstance(s, Source) else Source(s) for n, s in self.sources.items()}
        object.__setattr__(self, "sources", wrapped)

    def picture(self, name: str) -> Image.Image:
        """The decoded picture of a source.

        Raises:
            DataError: the row has no such source.
            PictureError: it cannot be decoded; names the row and the source.
        """
        try:
            return self.source(name).load()
        except PictureError as error:
            raise PictureError(f"row {self.id!r}, source {name!r}: {error}") from error

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises:
            DataError: the row has no such source.
        """
        if name not in self.sources:
            raise DataError(f"row {self.id!r} has no source {name!r}; it has {', '.join(self.sources)}")
        return self.sources[name]


class MappedSamples(Sequence[Sample]):
    """A view of samples that changes each one when it is taken; nothing is drawn or read before.

    Args:
        samples: what is viewed.
        change: makes of a sample what the view shows.
    """

    def __init__(self, samples: Sequence[Sample], change: Callable[[Sample], Sample]) -> None:
        self._samples, self._change = samples, change

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return MappedSamples(self._samples[index], self._change)
        return self._change(self._samples[index])


@dataclass(frozen=True, slots=True)
class Slot:
    """One picture slot of a prompt: the label written beside it, and the source that it shows."""

    label: str
    source: str


def view(sample: Sample, origin: Origin = FUSED, mono: MonoView = "fill") -> tuple[Slot, ...]:
    """The picture slots of a sample's prompt as a member of that origin sees them.

    A guest sees what a fused member sees. Labels stay those of the fused prompt under ``fill``.

    Raises:
        DataError: the origin names a source that the row does not have.
    """
    if origin.kind != "mono":
        return tuple(Slot(name, name) for name in sample.sources)
    sample.source(origin.name)
    if mono == "drop":
        return (Slot(origin.name, origin.name),)
    return tuple(Slot(name, origin.name) for name in sample.sources)


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """How a sample becomes chat messages.

    Args:
        system: system message; none where empty.
        label_sources: write each source's name before its picture.
        instruction: text after the question, for example how the answer must be laid out.
    """

    system: str = ""
    label_sources: bool = False
    instruction: str = ""

    def messages(
        self,
        sample: Sample,
        origin: Origin = FUSED,
        mono: MonoView = "fill",
        pictures: Mapping[str, Image.Image] | None = None,
    ) -> list[dict[str, Any]]:
        """Chat messages with the pictures in their slots, ready for a processor's chat template.

        Args:
            sample: what is asked.
            origin: as whom; see ``view``.
            mono: how a single source is shown; see ``view``.
            pictures: already decoded pictures by source name; decoded here where missing.
        """
        content: list[dict[str, Any]] = []
        for slot in view(sample, origin, mono):
            if self.label_sources:
                content.append({"type": "text", "text": slot.label})
            known = pictures.get(slot.source) if pictures else None
            loaded = sample.picture(slot.source) if known is None else known
            content.append({"type": "image", "image": loaded})
        question = f"{sample.question}\n{self.instruction}" if self.instruction else sample.question
        content.append({"type": "text", "text": question})
        system = [{"role": "system", "content": [{"type": "text", "text": self.system}]}] if self.system else []
        return [*system, {"role": "user", "content": content}]

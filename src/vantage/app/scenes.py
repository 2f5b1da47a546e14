"""Drawn scenes to try the page on, and one's own pictures as a sample."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from vantage import worlds
from vantage.app.ways import Way
from vantage.errors import ConfigError, PictureError
from vantage.pictures import Source
from vantage.pictures.source import open_image
from vantage.samples import Sample

SLOTS = 4
"""Pictures that the page takes."""

DRAWN = 1000
"""Different scenes of each world before they come again."""


FIRST = 1
"""Number of the scene with which a page begins."""


SHOWN = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "AVIF")
"""Formats that browsers show."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What stands in one picture slot of the page.

    Attributes:
        name: of the source.
        path: of the uploaded file; ``None`` where the slot is empty.
        mapping: how more than 8 bits become grey; empty for none.
    """

    name: str
    path: str | None
    mapping: str = ""


def scene(way: Way, turn: int) -> Sample:
    """A drawn scene of the test split, another one at each turn, of each of the way's worlds in turn.

    A page begins with one in which people can be seen, not with a night without anybody.
    """
    world = way.worlds[turn % len(way.worlds)]
    return worlds.get(world).dataset(split="test", n=DRAWN)[(FIRST + turn // len(way.worlds)) % DRAWN]


def deep(path: str) -> bool:
    """Whether a file is a picture of more than 8 bits a channel, which is shown by a named mapping only."""
    try:
        Source(path).load()
    except PictureError:
        try:
            Source(path, mapping="high-byte").load()
        except PictureError:
            return False
        return True
    return False


def foreign(path: str) -> Image.Image | None:
    """The picture of a file that browsers do not show, such as a TIFF; ``None`` where they do, or nobody can."""
    try:
        picture = Source(path).load()
    except PictureError:
        return None
    with open_image(path) as header:
        return None if header.format in SHOWN else picture


def sample(slots: Sequence[Slot], question: str, drawn: str = "") -> Sample:
    """What is asked. A drawn scene keeps its truth as long as its question and its pictures are as they were.

    Args:
        slots: the page's, empty ones among them.
        question: what is asked.
        drawn: id of the scene that was drawn last; empty for none.

    Raises:
        ConfigError: no picture, no question, a picture without a name, or one name twice.
        PictureError: a picture that cannot be read; names its source.
    """
    filled = [replace(slot, name=slot.name.strip()) for slot in slots if slot.path is not None]
    if not filled:
        raise ConfigError("There is no picture yet: drop one into a frame, or let a scene be drawn.")
    if not question.strip():
        raise ConfigError("There is no question yet.")
    names = [slot.name for slot in filled]
    if not all(names):
        raise ConfigError(
            f"Picture {names.index('') + 1} has no name; say which source it is, such as rgb or infrared."
        )
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"Two pictures are called {name!r}; give each source a name of its own.")
    sources = {slot.name: Source(Path(slot.path or ""), ref=slot.name, mapping=slot.mapping) for slot in filled}
    for slot, source in zip(filled, sources.values(), strict=True):
        try:
            source.load()
        except PictureError as error:
            if not slot.mapping and deep(slot.path or ""):
                raise PictureError(
                    f"The picture {slot.name!r} has more than 8 bits a channel. Say under it how they are shown, as "
                    "depth or as heat: nobody guesses which."
                ) from error
            told = str(error).replace(
                f"{Path(slot.path or '').parent}{os.sep}", ""
            )  # where uploads lie tells nobody anything
            raise PictureError(f"The picture {slot.name!r} cannot be shown. {told}") from error
    known = worlds.find(drawn) if drawn else None
    if known is not None and _same(known, sources, question):
        return known
    return Sample("question", question.strip(), sources, truth=None, reward="")


def _same(known: Sample, sources: dict[str, Source], question: str) -> bool:
    if question.strip() != known.question or list(sources) != list(known.sources):
        return False
    return all(source.load().tobytes() == known.picture(name).tobytes() for name, source in sources.items())

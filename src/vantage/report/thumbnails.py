"""The pictures of a report: each once, small, found again from what the run's data are.

What ``rollouts.jsonl`` names is never opened. Drawn scenes are drawn again; pictures of files come from the data that
the run's recipe names, read as training read them, so that mappings and hashes hold and no other file is touched.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from PIL import Image

from vantage import datasets, worlds
from vantage.errors import DataError, PictureError, VantageError
from vantage.pictures import Source
from vantage.printing import printable
from vantage.samples import Sample

SIDE = 320
"""Longest side of a thumbnail, in pixels; smaller pictures stay as they are."""
QUALITY, TINY_QUALITY = 80, 92
TINY = 128
"""Pictures up to this side are kept in higher quality, as each of their pixels is seen when they are enlarged."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture as a page shows it.

    Attributes:
        uri: the picture itself, as a data URI; empty where there is none.
        size: width and height of the full picture.
        missing: why there is none.
    """

    uri: str = ""
    size: tuple[int, int] | None = None
    missing: str = ""


def thumbnail(source: Source) -> Thumbnail:
    """A small copy of a picture, or why there is none."""
    try:
        picture = source.load()
    except PictureError as error:
        return Thumbnail(missing=_told(error))
    size = picture.size
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=TINY_QUALITY if max(size) <= TINY else QUALITY, method=2)
    return Thumbnail(f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}", size)


@dataclass(slots=True)
class Pictures:
    """Finds the pictures of groups again.

    Args:
        data: what each run was trained on, as its recipe writes it.
    """

    data: Mapping[int, Sequence[object]]
    _samples: dict[tuple[int, str], Sample | str] = field(default_factory=dict)
    _made: dict[tuple[object, ...], int] = field(default_factory=dict)
    thumbnails: list[Thumbnail] = field(default_factory=list)

    def find(self, run: int, ids: Iterable[str], progress: Callable[[], None] = lambda: None) -> None:
        """Look these rows up in the run's data, which are read once, and no further than needed."""
        wanted = {name for name in ids if (run, name) not in self._samples}
        trouble = "the run's recipe names no data that can be read"
        for spec in self.data.get(run, ()):
            if not wanted:
                return
            try:
                for _, row in datasets.read(_spec(spec)):
                    progress()
                    if isinstance(row, Sample) and row.id in wanted:
                        wanted.discard(row.id)
                        self._samples[run, row.id] = row
                        if not wanted:
                            break
                trouble = f"no such row in {spec}"
            except (VantageError, OSError) as error:
                trouble = _told(error)
        for name in wanted:
            self._samples[run, name] = trouble

    def add(self, run: int, row: str, source: str, ref: str) -> int:
        """The number of a picture of a row; it is made when it is first asked for."""
        key = (ref,) if ref.startswith("world:") else (run, row, source, ref)
        if key not in self._made:
            self._made[key] = len(self.thumbnails)
            self.thumbnails.append(self._make(run, row, source, ref))
        return self._made[key]

    def cut(self, length: int) -> None:
        """Let go of all but the first pictures."""
        del self.thumbnails[length:]
        self._made = {key: place for key, place in self._made.items() if place < length}

    def _make(self, run: int, row: str, source: str, ref: str) -> Thumbnail:
        try:
            sample = _scene(ref.partition("#")[0]) if ref.startswith("world:") else self._samples[run, row]
            if isinstance(sample, str):
                return Thumbnail(missing=sample)
            found = sample.source(ref.rpartition("#")[2] if ref.startswith("world:") else source)
        except (VantageError, ValueError) as error:
            return Thumbnail(missing=_told(error))
        if found.ref != ref:
            return Thumbnail(missing=f"the data now have another picture here, {printable(found.ref)[:200]}")
        return thumbnail(found)


def drawn(refs: Iterable[object]) -> bool:
    """Whether pictures are drawn from their references alone."""
    return all(isinstance(ref, str) and ref.startswith("world:") for ref in refs)


@lru_cache(maxsize=8)
def _scene(name: str) -> Sample:
    """A drawn scene; its pictures are asked for one after the other."""
    return worlds.find(name)


def _spec(given: object) -> datasets.DataSpec:
    if isinstance(given, str):
        return datasets.DataSpec.parse(given)
    if isinstance(given, Mapping):
        return datasets.DataSpec(**{str(key): value for key, value in given.items()})
    raise DataError(f"the recipe's data are a line or settings, not {type(given).__name__}")


def _told(error: BaseException) -> str:
    return printable(str(error).replace("\n", " "))[:300]

"""What happens to the answer when one source is damaged: pictures made worse on purpose, the same way every time.

The truth stays that of the sample as it was. What is drawn by chance depends on the sample's id and the source alone;
whose picture a swap shows depends on which samples there are, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from vantage.errors import ConfigError, DataError
from vantage.evaluation.scenes import scene_of
from vantage.pictures import Source
from vantage.samples import Sample

SIGMA = 64.0
"""Of the noise, in grey levels of 255."""
OFFSET = 1 / 8
"""Of the shift, as a share of width and of height."""

Pixels = np.ndarray
"""(height, width, 3), uint8."""


def blank(pixels: Pixels, dice: np.random.Generator) -> Pixels:
    """One grey, the mean of the picture."""
    return np.full_like(pixels, round(float(pixels.mean())))


def noise(pixels: Pixels, dice: np.random.Generator) -> Pixels:
    """Gaussian noise on every value, cut to 0..255."""
    noisy = pixels + SIGMA * dice.standard_normal(pixels.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


def shift(pixels: Pixels, dice: np.random.Generator) -> Pixels:
    """An eighth to the left or right and an eighth up or down; what comes into view has the picture's mean colour."""
    height, width = pixels.shape[:2]
    down, right = (int(sign) * max(1, round(OFFSET * side)) for sign, side in zip(
        dice.choice((-1, 1), size=2), (height, width), strict=True
    ))  # fmt: skip
    moved = np.empty_like(pixels)
    moved[:] = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    moved[_part(down, height), _part(right, width)] = pixels[_part(-down, height), _part(-right, width)]
    return moved


def _part(by: int, length: int) -> slice:
    return slice(max(0, by), length + min(0, by))


PICTURE: Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "blank": blank,
    "noise": noise,
    "shift": shift,
}
WAYS = ("blank", "noise", "swap", "shift")
"""``swap`` shows what that source shows of another scene."""


def damaged(sample: Sample, source: str, way: str, donor: Sample | None = None) -> Sample:
    """The sample with one source damaged; its id, question and truth stay.

    Args:
        sample: as it was.
        source: which of its sources.
        way: one of ``WAYS``.
        donor: of another scene, whose picture ``swap`` shows, in the size of the one that it replaces.

    Raises:
        ConfigError: no such way, or a swap without a donor.
        DataError: the sample, or the donor, has no such source.
        PictureError: its picture cannot be read.
    """
    if way not in WAYS or (way == "swap") != (donor is not None):
        raise ConfigError(f"a source is damaged by {', '.join(WAYS)}, the swap alone with a donor; got {way!r}")
    picture = sample.picture(source)
    if donor is not None:
        shown = donor.picture(source)
        made = shown if shown.size == picture.size else shown.resize(picture.size, Image.Resampling.BICUBIC)
    else:
        dice = np.random.default_rng(_number(f"{way}/{sample.id!a}/{source!a}"))
        made = Image.fromarray(PICTURE[way](np.asarray(picture), dice))
    worse = Source(made, ref=f"{sample.source(source).ref} ({way})")
    return replace(sample, sources={**sample.sources, source: worse})


def every_damage(samples: Sequence[Sample], place: int) -> Iterator[tuple[str, Sample]]:
    """A sample damaged in every way at each of its sources, with the name of what was done: ``blank:rgb``.

    Raises:
        DataError: nothing to swap with: no sample of another scene has that source.
    """
    sample = samples[place]
    for source in sample.sources:
        for way in WAYS:
            donor = other_scene(samples, place, source) if way == "swap" else None
            yield f"{way}:{source}", damaged(sample, source, way, donor)


def other_scene(samples: Sequence[Sample], place: int, source: str) -> Sample:
    """A sample of another scene that has that source, the same one every time.

    Raises:
        DataError: there is none.
    """
    sample, n = samples[place], len(samples)
    start = _number(f"swap/{sample.id!a}/{source!a}") % n
    own = scene_of(sample)
    for step in range(n):
        other: Any = samples[(start + step) % n]
        if source in other.sources and scene_of(other) != own:
            return other
    raise DataError(
        f"row {sample.id!r}: pictures of source {source!r} are swapped with those of another scene, and no other scene "
        "has that source; give more data, or leave robustness out"
    )


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")

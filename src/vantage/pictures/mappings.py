"""How measurements become pictures: depth and heat of more than 8 bits as 8-bit RGB, by a named mapping.

A vision-language model reads 8-bit pictures. How millimetres or sensor counts become grey levels changes what can be
seen, so it is named and never guessed:

| name | for | a pixel becomes |
|---|---|---|
| ``depth`` | distance | grey, near is bright, linear in the distance from near to far |
| ``depth-inverse`` | distance | grey, near is bright, linear in 1/distance, which keeps detail near the camera |
| ``depth-channels`` | whole millimetres below 65,536 | red 4 (d // 1024), green 8 (d // 32 mod 32), blue 8 (d mod 32) |
| ``thermal`` | heat | grey, hot is bright, linear between this picture's 1st and 99th percentile |
| ``thermal:LOW-HIGH`` | heat | grey, hot is bright, linear from LOW to HIGH, the same for every picture |
| ``high-byte`` | 16-bit pictures | the upper eight of the sixteen bits: grey, or colours of a picture in colour |

``depth`` and ``depth-inverse`` take a range too, ``depth:500-8000``, in the file's own units; 300-10000 unless given,
which suits indoor cameras that write millimetres. What lies nearer or farther gets the grey of the range's end. Holes,
where the sensor measured nothing (0, 65535, not finite), are black, and nothing that was measured is: its grey is 1 at
least. ``depth-channels`` holds whole millimetres without loss, as SpatialBot (Cai et al. 2024, arXiv 2406.13642) does.

Pictures that have 8 bits already are left as they are, whatever mapping is named.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vantage.errors import ConfigError

MAPPINGS = ("depth", "depth-inverse", "depth-channels", "thermal", "high-byte")
"""Names of mappings."""

HOLE = 65535
"""Written by depth cameras, as 0 is, where they measured nothing."""

_RANGED = ("depth", "depth-inverse", "thermal")
_RANGE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)-(\d{1,9}(?:\.\d{1,9})?)", re.ASCII)
_PERCENTILES = (1, 99)


@dataclass(frozen=True, slots=True)
class GreyMapping:
    """A mapping of measurements to 8-bit RGB.

    Attributes:
        name: one of ``MAPPINGS``.
        low, high: the range of values that is shown, in the picture's units; ``None``: the mapping's own.
    """

    name: str
    low: float | None = None
    high: float | None = None

    @classmethod
    def parse(cls, text: str) -> GreyMapping:
        """Read ``NAME`` or ``NAME:LOW-HIGH``, as ``str(mapping)`` writes it.

        Raises:
            ConfigError: an unknown name, or a range that is none or that the mapping does not take.
        """
        name, colon, span = text.partition(":")
        if name not in MAPPINGS:
            raise ConfigError(f"{text!r} is no mapping of pictures; known: {', '.join(MAPPINGS)}")
        if not colon:
            return cls(name)
        found = _RANGE.fullmatch(span)
        if name not in _RANGED or found is None:
            raise ConfigError(f"{text!r} is no mapping; a range is LOW-HIGH and goes with {', '.join(_RANGED)}")
        low, high = float(found.group(1)), float(found.group(2))
        if low >= high or (name == "depth-inverse" and low <= 0):
            raise ConfigError(f"{text!r}: the range must rise, and that of depth-inverse begin above 0")
        return cls(name, low, high)

    def __str__(self) -> str:
        return self.name if self.low is None or self.high is None else f"{self.name}:{self.low:.9g}-{self.high:.9g}"

    def __call__(self, image: Image.Image) -> Image.Image:
        """A picture of one channel as 8-bit RGB of the same size."""
        values_H_W = np.asarray(image, dtype=np.float64)
        if self.name == "depth-channels":
            return Image.fromarray(_channels(values_H_W))
        if self.name == "high-byte":
            grey_H_W = np.clip(np.nan_to_num(values_H_W) // 256, 0, 255)
        elif self.name == "thermal":
            grey_H_W = self._thermal(values_H_W)
        else:
            grey_H_W = self._depth(values_H_W)
        return Image.fromarray(np.rint(grey_H_W).astype(np.uint8)).convert("RGB")

    def _depth(self, values_H_W: np.ndarray) -> np.ndarray:
        near, far = (300.0, 10000.0) if self.low is None or self.high is None else (self.low, self.high)
        hole_H_W = ~np.isfinite(values_H_W) | (values_H_W <= 0) | (values_H_W == HOLE)
        distance_H_W = np.clip(np.where(hole_H_W, far, values_H_W), near, far)
        if self.name == "depth-inverse":
            distance_H_W, near, far = -1 / distance_H_W, -1 / near, -1 / far
        return np.where(hole_H_W, 0.0, 1 + 254 * (far - distance_H_W) / (far - near))

    def _thermal(self, values_H_W: np.ndarray) -> np.ndarray:
        low, high = self.low, self.high
        measured = values_H_W[np.isfinite(values_H_W)]
        if low is None or high is None:
            low, high = np.percentile(measured, _PERCENTILES).tolist() if measured.size else (0.0, 0.0)
        # A picture of one value has no contrast to show.
        scale = 255 / (high - low) if high > low else 0.0
        return np.clip((np.nan_to_num(values_H_W, nan=low, posinf=high, neginf=low) - low) * scale, 0, 255)


def _channels(values_H_W: np.ndarray) -> np.ndarray:
    finite_H_W = np.nan_to_num(values_H_W, nan=0, posinf=0, neginf=0)
    whole_H_W = np.clip(np.where(finite_H_W == HOLE, 0, finite_H_W), 0, math.inf).astype(np.int64) % 65536
    return np.stack([whole_H_W // 1024 * 4, whole_H_W // 32 % 32 * 8, whole_H_W % 32 * 8], axis=-1).astype(np.uint8)

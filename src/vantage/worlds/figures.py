"""Coloured figures that stand in cells, and their names; and others that share neither shape nor colour with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np

from vantage.worlds import canvas
from vantage.worlds.canvas import SIDE, Mask
from vantage.worlds.dice import Dice

COLORS: Mapping[str, tuple[int, int, int]] = {
    "red": (220, 45, 40),
    "green": (45, 165, 60),
    "blue": (50, 90, 225),
    "yellow": (235, 205, 45),
}
OTHER_COLORS: Mapping[str, tuple[int, int, int]] = {
    "purple": (150, 50, 190),
    "orange": (245, 130, 25),
    "cyan": (60, 215, 220),
    "white": (242, 242, 240),
}
SHAPES = canvas.SHAPES
OTHER_SHAPES = ("diamond", "ring", "bar", "heart")
PLURALS = {
    "circle": "circles",
    "square": "squares",
    "triangle": "triangles",
    "cross": "crosses",
    "diamond": "diamonds",
    "ring": "rings",
    "bar": "bars",
    "heart": "hearts",
}

_SHADE = np.linspace(0.88, 1.12, SIDE, dtype=np.float32)[:, None, None]


def pairs(colors: Iterable[str], shapes: Iterable[str]) -> tuple[str, ...]:
    """Every colour with every shape, such as ``red circle``."""
    shapes = tuple(shapes)
    return tuple(f"{color} {shape}" for color in colors for shape in shapes)


@cache
def figure(shape: str, radius: float) -> Mask:
    """A filled figure in a square of 20 pixels, its middle in the middle; bool (20, 20), to be left as it is."""
    if shape in ("circle", "square", "triangle"):
        return canvas.shape(shape, radius)
    y, x = (np.mgrid[0:20, 0:20] - 9.5).astype(np.float32)
    across, down = np.abs(x), np.abs(y)
    if shape == "cross":  # thin enough to be told from a circle when it is small
        return (np.minimum(across, down) <= radius * 0.3) & (np.maximum(across, down) <= radius)
    if shape == "diamond":
        return across + down <= radius * 1.15
    if shape == "ring":
        square = x * x + y * y
        return (square <= radius * radius) & (square >= (radius * 0.5) ** 2)
    if shape == "bar":
        return (across <= radius) & (down <= radius * 0.42)
    lobes = (across - radius * 0.47) ** 2 + (y + radius * 0.38) ** 2 <= (radius * 0.56) ** 2
    return lobes | ((across <= (radius - y) * 0.62) & (y >= -radius * 0.3) & (y <= radius))


def at(mask: Mask, x: float, y: float) -> Mask:
    """The figure on an empty picture with its middle at (x, y); bool (64, 64)."""
    return canvas.place(mask, round(x - 9.5), round(y - 9.5))


def ground(dice: Dice) -> np.ndarray:
    """A grey table top, darker towards the far edge; float32 (64, 64, 3)."""
    tone = np.array([dice.uniform(85, 105) for _ in range(3)], np.float32)
    return np.broadcast_to(_SHADE * tone, (SIDE, SIDE, 3)).copy()

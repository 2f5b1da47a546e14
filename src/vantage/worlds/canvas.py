"""Sprites and the grid on which the worlds draw them.

Pictures are 64x64 pixels, four cells of 16 pixels a side; cells are named like a map, column letter then row number,
``A1`` top left, ``D4`` bottom right.
"""

from __future__ import annotations

import numpy as np

SIDE = 64
GRID = 4
CELL = SIDE // GRID
CELLS = tuple(f"{column}{row}" for row in range(1, GRID + 1) for column in "ABCD")
"""Cell names in reading order."""

Mask = np.ndarray
"""A sprite: bool, (height, width)."""


def cell_corner(cell: str) -> tuple[int, int]:
    """Left and top pixel of a cell."""
    row, column = divmod(CELLS.index(cell), GRID)
    return column * CELL, row * CELL


def place(mask: Mask, x: int, y: int) -> Mask:
    """The sprite on an empty picture with its top left corner at (x, y), cut at the border; bool (64, 64)."""
    out = np.zeros((SIDE, SIDE), bool)
    left, top = max(0, x), max(0, y)
    right, bottom = min(SIDE, x + mask.shape[1]), min(SIDE, y + mask.shape[0])
    if left < right and top < bottom:
        out[top:bottom, left:right] = mask[top - y : bottom - y, left - x : right - x]
    return out


def pixels(picture: np.ndarray) -> np.ndarray:
    """Grey levels as 8-bit pixels."""
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


_y, _x = np.mgrid[0:CELL, 0:CELL].astype(np.float32)
_from_middle = np.abs(_x - 7.5)

HEAD: Mask = (_y - 3.5) ** 2 + (_x - 7.5) ** 2 <= 5.5
TORSO: Mask = (_y >= 6) & (_y < 11) & (_from_middle <= 3)
LEGS: Mask = (_y >= 11) & (_y < 15) & (_from_middle >= 0.9) & (_from_middle <= 3)
PERSON: Mask = HEAD | TORSO | LEGS
LAMP_HEAD: Mask = (_y >= 1) & (_y < 6) & (_from_middle <= 4.5)
LAMP_POST: Mask = (_y >= 6) & (_y < 15) & (_from_middle <= 0.6)
BUSH: Mask = (_y - 10) ** 2 + (_x - 7.5) ** 2 <= 22

SHAPES = ("circle", "square", "triangle", "cross")


def shape(kind: str, radius: float, hollow: bool = False) -> Mask:
    """A geometric figure in a square of 20 pixels; hollow keeps an outline of about two pixels."""
    y, x = (np.mgrid[0:20, 0:20] - 9.5).astype(np.float32)
    mask = _filled(kind, x, y, radius)
    if hollow:
        # What is left when the figure is worn away from all four sides twice is its inside.
        inside = mask.copy()
        for _ in range(2):
            worn = inside.copy()
            for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
                worn &= np.roll(inside, step, axis)
            inside = worn
        mask = mask & ~inside
    return mask


def _filled(kind: str, x: np.ndarray, y: np.ndarray, radius: float) -> Mask:
    if kind == "circle":
        return x * x + y * y <= radius * radius
    if kind == "square":
        return (np.abs(x) <= radius) & (np.abs(y) <= radius)
    if kind == "triangle":
        return (np.abs(x) <= (y + radius) * 0.55) & (np.abs(y) <= radius)
    arm = max(1.0, radius * 0.38)
    return ((np.abs(y) <= arm) & (np.abs(x) <= radius)) | ((np.abs(x) <= arm) & (np.abs(y) <= radius))

"""Letters and digits as sprites, drawn here so that pages look the same on every machine."""

from __future__ import annotations

import numpy as np

from vantage.worlds.canvas import CELL, Mask

_DIGITS = {
    "0": ".###. #...# #..## #.#.# ##..# #...# .###.",
    "1": "..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###.",
    "2": ".###. #...# ....# ...#. ..#.. .#... #####",
    "3": "##### ...#. ..#.. ...#. ....# #...# .###.",
    "4": "...#. ..##. .#.#. #..#. ##### ...#. ...#.",
    "5": "##### #.... ####. ....# ....# #...# .###.",
    "6": "..##. .#... #.... ####. #...# #...# .###.",
    "7": "##### ....# ...#. ..#.. .#... .#... .#...",
    "8": ".###. #...# #...# .###. #...# #...# .###.",
    "9": ".###. #...# #...# .#### ....# ...#. .##..",
}
_LETTERS = {
    "a": ".##. #..# #..# #### #..# #..#",
    "b": "###. #..# ###. #..# #..# ###.",
    "c": ".### #... #... #... #... .###",
    "d": "###. #..# #..# #..# #..# ###.",
    "e": "#### #... ###. #... #... ####",
    "f": "#### #... ###. #... #... #...",
    "g": ".### #... #.## #..# #..# .###",
    "i": "#### .##. .##. .##. .##. ####",
    "n": "#..# ##.# ##.# #.## #.## #..#",
    "o": ".##. #..# #..# #..# #..# .##.",
    "p": "###. #..# #..# ###. #... #...",
    "t": "#### .##. .##. .##. .##. .##.",
    "u": "#..# #..# #..# #..# #..# .##.",
}


def _bitmap(rows: str) -> Mask:
    return np.array([[mark == "#" for mark in row] for row in rows.split()])


def digit(character: str) -> Mask:
    """A digit, two pixels a stroke; bool (14, 10)."""
    return _bitmap(_DIGITS[character]).repeat(2, 0).repeat(2, 1)


def word(letters: str) -> Mask:
    """A word of lower-case letters, narrow enough that three fit a cell; bool (12, 5 a letter less 1)."""
    gap = np.zeros((12, 1), bool)
    parts = [part for letter in letters for part in (_bitmap(_LETTERS[letter]).repeat(2, 0), gap)]
    return np.concatenate(parts[:-1], axis=1)


STRIKE: Mask = np.abs(np.subtract.outer(np.arange(CELL)[::-1], np.arange(CELL))) <= 1
"""A line across a cell, from its lower left to its upper right corner."""

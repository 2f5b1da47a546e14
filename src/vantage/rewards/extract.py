"""Reading what a model wrote: tagged blocks, fenced JSON, boxes, plain numbers, the content of a LaTeX box.

Model output is untrusted. Every function here is total: for any text it returns, in time linear in the text's length,
and raises nothing. It is also strict: two blocks where one is asked for are as unreadable as none, because choosing
between them would reward hedging.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

THINK = "think"
ANSWER = "answer"

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in some coordinate frame (see ``vantage.rewards.frames``)."""

INVALID: Box = (math.nan, math.nan, math.nan, math.nan)
"""Stands for an entry that is no box. It overlaps nothing but still counts as a prediction."""

_FENCE = "```"
_NUMBER = re.compile(r"[+-]?(?:\d{1,24}(?:\.\d{0,24})?|\.\d{1,24})", re.ASCII)
_SEPARATORS = str.maketrans(dict.fromkeys("[](),;", " "))
_MAX_NUMBERS_TEXT = 400
_BOX = ("\\boxed", "\\fbox")
_OPENING = re.compile(r"\s*\{")
_BARE = re.compile(r"[^\S\n]+([^\s{}$\\]+)")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def block(text: str, tag: str) -> str | None:
    """The content of the one ``<tag>`` block, stripped; ``None`` unless there is exactly one and it is not blank.

    Exactly one means one opening and one closing tag in the whole text, in that order.
    """
    opening, closing = f"<{tag}>", f"</{tag}>"
    if text.count(opening) != 1 or text.count(closing) != 1:
        return None
    start, end = text.index(opening) + len(opening), text.index(closing)
    # An end before the start gives an empty slice, hence None.
    return text[start:end].strip() or None


def laid_out(text: str) -> bool:
    """Whether there is exactly one non-blank ``<think>`` and one non-blank ``<answer>`` block, in that order."""
    if block(text, THINK) is None or block(text, ANSWER) is None:
        return False
    return text.index(f"</{THINK}>") < text.index(f"<{ANSWER}>")


def json_block(text: str) -> str | None:
    """The content of the one ```` ```json ```` fence; ``None`` unless there is exactly one, closed and not blank."""
    opening = f"{_FENCE}json"
    if text.count(opening) != 1:
        return None
    start = text.index(opening) + len(opening)
    end = text.find(_FENCE, start)
    return (text[start:end].strip() or None) if end >= 0 else None


def boxes(text: str) -> list[Box] | None:
    """The boxes of a JSON list of ``{"bbox_2d": [x1, y1, x2, y2], ...}``, or of one such object.

    An entry that holds no four finite numbers becomes ``INVALID``, so that it counts as a prediction and matches
    nothing. ``None`` where the text is not such JSON at all. Labels are not compared.
    """
    try:
        # Integers become floats at once: Python refuses to read integers of more than 4,300 digits.
        value = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return None
    return [(four_numbers(item.get("bbox_2d")) or INVALID) if isinstance(item, dict) else INVALID for item in value]


def answer_boxes(answer: str) -> list[Box] | None:
    """The boxes of an answer: those of its one JSON fence, or of the whole answer where it holds no fence."""
    return boxes(answer) if _FENCE not in answer else boxes(json_block(answer) or "")


def four_numbers(value: Any) -> Box | None:
    """Four finite numbers as a box; ``None`` for anything else (booleans are no numbers)."""
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    if not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in value):
        return None
    try:
        x1, y1, x2, y2 = (float(x) for x in value)
    except OverflowError:
        return None
    return (x1, y1, x2, y2) if all(map(math.isfinite, (x1, y1, x2, y2))) else None


def plain_box(text: str) -> Box | None:
    """A box written as four numbers, ``2 1 4 5``, ``2, 1, 4, 5`` or ``[2, 1, 4, 5]``; ``None`` for anything else."""
    if len(text) > _MAX_NUMBERS_TEXT:
        return None
    words = text.translate(_SEPARATORS).split()
    if len(words) != 4 or not all(_NUMBER.fullmatch(word) for word in words):
        return None
    return four_numbers([float(word) for word in words])


def normalise(text: str) -> str:
    """Case folded, white space collapsed, full stops, commas, colons and semicolons at the end dropped.

    An exclamation mark stays: 5! is not 5.
    """
    return " ".join(text.casefold().split()).rstrip(".,;:。 ")


def boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed`` or ``\fbox``, stripped; ``None`` where there is none, or it is blank or open.

    Braces inside must balance (``\{`` and ``\}`` are characters). ``\boxed 5`` is read up to the next white space.
    """
    start = max(_after_last(text, command) for command in _BOX)
    if start < 0:
        return None
    brace = _OPENING.match(text, start)
    if brace is None:
        bare = _BARE.match(text, start)
        return bare.group(1) if bare else None
    depth = 1
    for found in _BRACE.finditer(text, brace.end()):
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        if depth == 0:
            return text[brace.end() : found.start()].strip() or None
    return None


def _after_last(text: str, command: str) -> int:
    r"""Where the last ``command`` ends, -1 without one; the start of a longer one (``\boxedx``) is none."""
    end = len(text)
    while (start := text.rfind(command, 0, end)) >= 0:
        after = start + len(command)
        if not (text[after : after + 1].isascii() and text[after : after + 1].isalpha()):
            return after
        end = start
    return -1

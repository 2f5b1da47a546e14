"""Reading what a model wrote: the answer outside the thought, what a text is without what sets it off, JSON, boxes.

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
_JSON = json.JSONDecoder(parse_int=float)
"""Integers become floats at once: Python refuses to read integers of more than 4,300 digits."""
_NUMBERS = (int, float)
_OPENING = re.compile(r"\s*\{")
_BARE = re.compile(r"[^\S\n]+([^\s{}$\\]+)")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BOX_START = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_KEYS = ("bbox_2d", "bbox", "box")
_LANGUAGE = re.compile(r"[A-Za-z]{0,12}")

_AROUND = (
    ("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("__", "__"), ("*", "*"),
    ("```", "```"), ("`", "`"), ('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), (r"\text{", "}"), (r"\textbf{", "}"),
    (r"\mathrm{", "}"),
)  # fmt: skip
_POINTS = ".,;:。 "
_EXCLAIMED = re.compile(r"(?:[^\W\d_]+[ '’-])*[^\W\d_]{2,}!")
_MONEY = re.compile(r"\\?\$ ?(?=\.?\d)")


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


def answer(text: str) -> str | None:
    """The content of the one ``<answer>`` block; ``None`` as for ``block``, and where it lies inside the thought.

    Inside means that the nearest tag of a thought before it opens one, or the nearest behind it closes one: the prompt
    may have opened the thought already. A thought that is cut off has no end.
    """
    content = block(text, ANSWER)
    if content is None:
        return None
    start = text.index(f"<{ANSWER}>")
    opening, closing = f"<{THINK}>", f"</{THINK}>"
    if text.rfind(opening, 0, start) > text.rfind(closing, 0, start):
        return None
    end = text.find(closing, start)
    return content if end < 0 or 0 <= text.find(opening, start) < end else None


def no_answer(text: str) -> str:
    """Why ``answer`` finds none."""
    if block(text, ANSWER) is not None:
        return "the answer block lies inside the thought"
    return f"not exactly one {ANSWER} block"


def after_thought(text: str) -> str:
    """What stands behind the last ``</think>``: all of it without a thought, nothing where a thought is cut off."""
    closing = f"</{THINK}>"
    end = text.rfind(closing)
    if text.rfind(f"<{THINK}>") > end:
        return ""
    return text[end + len(closing) :] if end >= 0 else text


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


def fenced(text: str) -> str | None:
    """The content of the one fence, of any language; ``None`` unless there is exactly one, closed and not blank."""
    if text.count(_FENCE) != 2:
        return None
    content = text.split(_FENCE)[1]
    language = _LANGUAGE.match(content)
    return content[language.end() if language else 0 :].strip() or None


def boxes(text: str, *, free: bool = False) -> list[Box] | None:
    """The boxes of a JSON list of ``{"bbox_2d": [x1, y1, x2, y2], ...}``, or of one such object.

    An entry that holds no four finite numbers becomes ``INVALID``, so that it counts as a prediction and matches
    nothing. ``None`` where the text is not such JSON at all. Labels are not compared.

    Args:
        text: what is read.
        free: read ``bbox`` and ``box`` as ``bbox_2d``, the first that an entry has, and bare ``[x1, y1, x2, y2]`` too.
    """
    try:
        value = _JSON.decode(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) or (free and four_numbers(value) is not None):
        value = [value]
    if not isinstance(value, list):
        return None
    return [four_numbers(_coordinates(item, free)) or INVALID for item in value]


def answer_boxes(answer: str) -> list[Box] | None:
    """The boxes of an answer: those of its one JSON fence, or of the whole answer where it holds no fence."""
    return boxes(answer) if _FENCE not in answer else boxes(json_block(answer) or "")


def _coordinates(item: Any, free: bool) -> Any:
    if not isinstance(item, dict):
        return item if free else None
    return item.get(next((key for key in _KEYS if key in item), "")) if free else item.get("bbox_2d")


def four_numbers(value: Any) -> Box | None:
    """Four finite numbers as a box; ``None`` for anything else (booleans are no numbers)."""
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    a, b, c, d = value
    for x in value:
        if type(x) not in _NUMBERS and (not isinstance(x, (int, float)) or isinstance(x, bool)):
            return None
    try:
        box = float(a), float(b), float(c), float(d)
    except OverflowError:
        return None
    # A sum of finite numbers may be infinite, and then each is looked at.
    return box if math.isfinite(sum(box)) or all(map(math.isfinite, box)) else None


def plain_box(text: str) -> Box | None:
    """A box written as four numbers, ``2 1 4 5``, ``2, 1, 4, 5`` or ``[2, 1, 4, 5]``; ``None`` for anything else."""
    if len(text) > _MAX_NUMBERS_TEXT:
        return None
    words = text.translate(_SEPARATORS).split()
    if len(words) != 4 or not all(_NUMBER.fullmatch(word) for word in words):
        return None
    return four_numbers([float(word) for word in words])


def unwrapped(text: str) -> str:
    r"""A text without what only sets it off, white space collapsed.

    Taken away are ``$``, ``\(``, ``\[``, ``\boxed{}``, ``\text{}``, ``**``, ``__``, backticks and quotes around the
    whole, full stops, commas, colons and semicolons at the end, the dollar of ``$5``, and one exclamation mark behind
    words, since 5! is not 5.
    """
    text = " ".join(text.split())
    while text and not (text[0].isalnum() and text[-1].isalnum()):
        before = text
        text = text.rstrip(_POINTS)
        if text != before and text.endswith("\\") and not text.endswith("\\\\"):
            text = text[:-1]  # a space of LaTeX, as in "5\,"
        if text.endswith("!") and len(text) <= _MAX_NUMBERS_TEXT and _EXCLAIMED.fullmatch(text):
            text = text[:-1]
        for opening, closing in _AROUND:
            if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening + closing):
                inner = text[len(opening) : -len(closing)]
                text = text if opening in inner or closing in inner else inner.strip()
        if text.startswith((r"\boxed{", r"\fbox{")) and text.endswith("}"):
            inner = text[text.index("{") + 1 : -1].strip()
            text = inner if boxed(text) == inner else text
        if text.count("$") == 1 and (dollar := _MONEY.match(text)):
            text = text[dollar.end() :]
        elif text.count("$") == 1 and text.endswith("$") and text[0].isdigit():
            text = text[:-1].rstrip("\\ ")
        if text == before:
            break
    return text


def normalise(text: str) -> str:
    """Case folded and ``unwrapped``."""
    return unwrapped(text.casefold())


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


def boxes_differ(text: str) -> bool:
    """Whether a text holds LaTeX boxes of different contents; a box around a box is one."""
    starts = [found.start() for found in _BOX_START.finditer(text)] if "\\" in text else []
    if len(starts) < 2:
        return False
    first: str | None = None
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        content = boxed(text[start:end])
        if content is not None and first is not None and unwrapped(content) != unwrapped(first):
            return True
        first = first if first is not None else content
    return False


def _after_last(text: str, command: str) -> int:
    r"""Where the last ``command`` ends, -1 without one; the start of a longer one (``\boxedx``) is none."""
    end = len(text)
    while (start := text.rfind(command, 0, end)) >= 0:
        after = start + len(command)
        if not (text[after : after + 1].isascii() and text[after : after + 1].isalpha()):
            return after
        end = start
    return -1

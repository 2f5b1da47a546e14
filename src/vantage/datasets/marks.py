"""Marks for pictures in questions, such as ``<image>`` and ``<image 2>``, which a prompt here does not have.

The pictures of a sample stand before its question, and a processor would count a mark as one picture more.
"""

from __future__ import annotations

import re

_MARK = re.compile(r"<image ?(\d{0,3})>")


def count(text: str) -> int:
    """How many marks a text has."""
    return len(_MARK.findall(text))


def unmark(text: str) -> str:
    """A question without its marks.

    A mark that only says where a picture goes is dropped: one without a number, and any at the beginning or the end of
    a line. A numbered one within a sentence refers to a picture: ``Is <image 2> darker?`` becomes ``Is picture 2
    darker?``.
    """
    lines = (_line(line) if "<image" in line else line for line in text.split("\n"))
    return "\n".join(line for line in lines if line is not None).strip()


def _line(line: str) -> str | None:
    pieces = _MARK.split(line)
    texts, numbers = pieces[::2], pieces[1::2]
    if not any(text.strip() for text in texts):
        return None
    first = next(i for i, text in enumerate(texts) if text.strip())
    last = next(i for i in range(len(texts) - 1, -1, -1) if texts[i].strip())
    read = texts[first].lstrip()
    for number, after in zip(numbers[first:last], texts[first + 1 : last + 1], strict=True):
        if number:
            read += f"picture {number}{after}"
        else:
            read = f"{read.rstrip()} {after.lstrip()}"
    return read.rstrip()

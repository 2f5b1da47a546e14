"""Texts of any origin on a terminal, which obeys what it is sent."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """A text whose control characters, and halves of surrogate pairs, are written as escapes.

    Args:
        text: from anywhere.
        keep: characters that stay as they are, such as line ends.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode() for each in text
    )

"""What a model wrote, as people read it: its thought by itself, without the tags that set the parts off."""

from __future__ import annotations

from vantage.rewards import extract
from vantage.worlds.captions import TAG

_NAMES = (extract.ANSWER, TAG)


def parts(text: str, live: bool = False) -> tuple[str, str]:
    """The thought, empty without one, and what is said besides.

    Tags are left out where they are as they should be, one pair of each. Others stay: they may be why there is
    no answer.

    Args:
        text: what was written.
        live: it goes on, so that a tag may yet be closed.
    """
    thought, rest = _thought(text)
    for name in _NAMES:
        rest = _without(rest, name, live)
    return thought.strip(), rest.strip()


def _thought(text: str) -> tuple[str, str]:
    """As ``extract.after_thought`` tells them apart: an open thought has no end, and a prompt may have opened it."""
    opening, closing = f"<{extract.THINK}>", f"</{extract.THINK}>"
    if text.count(opening) > 1 or text.count(closing) > 1:
        return "", text
    before, opens, inside = text.partition(opening)
    if not opens:
        thought, closes, rest = text.partition(closing)
        return (thought, rest) if closes else ("", text)
    if before.strip():
        return "", text
    thought, _, rest = inside.partition(closing)
    return thought, rest


def _without(text: str, name: str, live: bool) -> str:
    """The text without the tags of that name, where there is one block of them."""
    opening, closing = f"<{name}>", f"</{name}>"
    before, opens, inside = text.partition(opening)
    content, closes, after = inside.partition(closing)
    if not opens or not (closes or live) or closing in before + after or opening in inside:
        return text
    return before + content + after

"""The exact reader: answers from a caption whatever the caption says, and ``unknown`` where it does not say.

It is the upper reference of every reasoner of the drawn world: what it gets wrong, the caption had wrong or left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vantage.rewards import extract
from vantage.worlds import captions
from vantage.worlds.canvas import CELLS

if TYPE_CHECKING:
    from vantage.endpoints import Endpoint

NAME = "exact-reader"
UNKNOWN = "unknown"

_QUESTION = re.compile(r"(?:How many|Is there|In which) [A-Za-z ]{1,40}\?")


def facts(caption: str) -> dict[str, list[str]] | None:
    """What a caption says: for each kind that it mentions, the cells of all of them.

    ``None`` unless there is exactly one ``<cap>`` block, and in it nothing but kinds, each once and each followed by
    ``none`` or by cells, each once. A caption that says two things of one kind is no caption, because choosing between
    them would reward hedging.
    """
    inside = extract.block(caption, captions.TAG)
    if inside is None:
        return None
    said: dict[str, list[str]] = {}
    cells: list[str] = []
    expected = "kind"
    for word in inside.split():
        if word in captions.KINDS and expected != "place" and word not in said:
            said[word] = cells = []
            expected = "place"
        elif word in CELLS and expected in ("place", "cell or kind") and word not in cells:
            cells.append(word)
            expected = "cell or kind"
        elif word == "none" and expected == "place":
            expected = "kind"
        else:
            return None
    return said if expected != "place" else None


def explain(caption: str, question: str, careful: bool = False) -> tuple[str, str]:
    """What a caption says of the kind that a question is about, and the answer.

    Both end in ``unknown`` where the caption does not say. ``careful``: where a half is asked about, also which of the
    cells lie in it.
    """
    asked, said = captions.parse(question), facts(caption)
    if asked is None:
        return UNKNOWN, UNKNOWN
    if said is None or asked.kind not in said:
        return f"{asked.kind} {UNKNOWN}", UNKNOWN
    cells = said[asked.kind]
    answer, evidence = captions.answer(asked, cells)
    step = evidence if careful and asked.half else []
    return " ".join((asked.kind, *(cells or ["none"]), *step)), answer


def read(caption: str, question: str) -> str:
    """The answer that a caption gives to a question of ``night-captions``, or ``unknown``."""
    return explain(caption, question)[1]


def reply(messages: Sequence[Mapping[str, Any]], careful: bool = True) -> str:
    """Answer a chat as a reasoner does: the one caption and the last question in it, whatever words stand around."""
    text = "\n".join(_text(message["content"]) for message in messages if message["role"] != "assistant")
    questions = [found for found in _QUESTION.findall(text) if captions.parse(found)]
    said, answer = explain(text, questions[-1] if questions else "", careful)
    return f"<think> {said} </think> <answer> {answer} </answer>"


def reader_endpoint() -> Endpoint:
    """The exact reader where a reasoner is expected."""
    from vantage.endpoints import FunctionEndpoint

    return FunctionEndpoint(NAME, reply)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)

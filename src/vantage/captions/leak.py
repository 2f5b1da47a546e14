r"""Whether a caption states an answer instead of describing what there is.

Two things are told apart. A caption *states* an answer, right or wrong, where it says so: ``\boxed{}``, ``<answer>``,
"the answer is", a sentence that is nothing but an accepted answer, or that begins with "Yes," where yes or no is asked.
It *mentions* the truth where the truth occurs in it as a whole word or number, which a good description of what is
asked for often does: a caption may well say that the car is red. So mentions are measured, and never punished.

All in time linear in the caption's length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from vantage.rewards import extract, numerals
from vantage.rewards.text import alternatives, choices
from vantage.samples import Sample

Span = tuple[int, int]

_PHRASE = re.compile(
    r"\b(?:answer|(?:correct|right) (?:option|choice))\b[*_]{0,3}"
    r"(?: to (?:the|this|that|your) (?:question|problem))?(?:,? (?:then|thus|hence|therefore),?)?"
    r"(?: (?:is|would be|should be|must be|will be)\b| ?[:=])[*_\s]{0,10}+"
    r"(?!not\b|un(?:known|clear|certain)|to be\b)\S{1,40}",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s{0,8}\{?|\\.|[{}]", re.DOTALL)
_TAG = re.compile(rf"<(/?){extract.ANSWER}>", re.IGNORECASE)
_BETWEEN = re.compile(r"(?<=[.!?])\s+|\n")
_ITEM = re.compile(r"\W{0,4}(?:\d{1,3}|[A-Za-z])[.)]")
_POLAR = re.compile(r"\W{0,4}(?:yes|no|true|false)(?:[,;:.!]|\W{0,4}$)", re.IGNORECASE)
_POLES = frozenset(("yes", "no", "true", "false"))
_NUMBER = re.compile(r"(?<!\w)[-\u2212]?(?:\d+(?:,\d{3}(?!\d))*(?:\.\d+)?|\.\d+)|[^\W\d_]+")
_LETTER = r"(?:\({0}\)|\b{0}[.):]|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer) {0}\b)"
_AROUND = 24
"""Characters that may set an answer off, or make it longer: a bullet, quotes, a box, digits behind the point."""
_LONGEST_NUMBER = 100
_BULLET = re.compile(r"[-•–]\s+")
_SET_OFF = " \t\r*_\"'`()[]"


def states(caption: str, sample: Sample) -> bool:
    """Whether a caption states an answer to the sample's question."""
    return next(_statements(caption, sample), None) is not None


def mentions(caption: str, sample: Sample) -> bool:
    """Whether the truth, or the text of the option that it names, occurs in a caption as a whole word or number.

    False where the truth is neither text nor number, such as boxes.
    """
    flat = " ".join(caption.casefold().split())
    numbers: set[str] | None = None
    for text in _accepted(sample):
        number = _number(text)
        if number is not None:
            numbers = _numbers(flat) if numbers is None else numbers
            if number in numbers:
                return True
        elif len(text) == 1 and text.isalpha():  # a letter of an option; "a" is also a word
            if re.search(_LETTER.format(text.upper()), caption):
                return True
        elif _occurs(text, flat):
            return True
    return False


def stripped(caption: str, sample: Sample) -> str:
    """A caption without the sentences that state an answer."""
    spans = sorted(_statements(caption, sample))
    if not spans:
        return caption
    kept, place = [], 0
    for start, end in _sentences(caption):
        while place < len(spans) and spans[place][1] <= start:
            place += 1
        if place == len(spans) or spans[place][0] >= end:
            kept.append((start, end))
    text, last = "", 0
    for start, end in kept:
        gap = caption[last:start]  # with what was left out, where it is more than white space
        text += (gap if gap.isspace() else "\n" if "\n" in gap else " ") + caption[start:end]
        last = end
    return text.strip()


def _statements(caption: str, sample: Sample) -> Iterator[Span]:
    """Where a caption states an answer; spans may overlap, and come in no order."""
    yield from ((found.start(), found.end()) for found in _PHRASE.finditer(caption))
    yield from _tagged(caption)
    yield from _boxes(caption)
    accepted = set(_accepted(sample))
    numbers = {number for text in accepted if (number := _number(text)) is not None}
    polar = bool(accepted & _POLES)
    longest = max(map(len, accepted), default=0) + _AROUND
    for start, end in _sentences(caption):
        if polar and _POLAR.match(caption, start, end):
            yield start, end
        elif end - start <= longest:
            bullet = _BULLET.match(caption, start, end)
            sentence = caption[bullet.end() if bullet else start : end]
            bare = extract.normalise(sentence.strip(_SET_OFF)).strip(_SET_OFF)
            if bare and (bare in accepted or _number(bare) in numbers):
                yield start, end


def _accepted(sample: Sample) -> list[str]:
    found = alternatives(sample.truth)
    if any(len(text) == 1 and text.isalpha() for text in found):
        options = choices(sample.question)
        found = [*found, *(options[text] for text in found if text in options)]
    return [text for text in dict.fromkeys(found) if text]


def _tagged(text: str) -> Iterator[Span]:
    """From an opening tag to its closing one, or to the end."""
    start: int | None = None
    for tag in _TAG.finditer(text):
        if tag.group(1):
            yield (tag.start() if start is None else start), tag.end()
            start = None
        elif start is None:
            start = tag.start()
    if start is not None:
        yield start, len(text)


def _boxes(text: str) -> Iterator[Span]:
    """The outermost boxes; of one that is never closed, its command."""
    start, depth, open_at = -1, 0, -1
    for found in _BOXED.finditer(text):
        token = found.group()
        if token.startswith(("\\boxed", "\\fbox")):
            braced = token.endswith("{")
            if start < 0 and braced:
                start, depth, open_at = found.start(), 0, found.end()
            elif start < 0:
                yield found.start(), found.end()
            depth += braced
        elif start >= 0:
            depth += {"{": 1, "}": -1}.get(token, 0)
            if depth == 0:
                yield start, found.end()
                start = -1
    if start >= 0:
        yield start, open_at


def _sentences(text: str) -> Iterator[Span]:
    """Sentences and lines, without the white space between them; the number of an item belongs to what follows it."""
    start = 0
    for gap in _BETWEEN.finditer(text):
        if "\n" not in gap.group() and _ITEM.fullmatch(text, start, gap.start()):
            continue
        if text[start : gap.start()].strip():
            yield start, gap.start()
        start = gap.end()
    if text[start:].strip():
        yield start, len(text)


@lru_cache(maxsize=4096)
def _number(text: str) -> str | None:
    number = numerals.plain(text)
    return numerals.whole(text) if number is None else number


def _numbers(text: str) -> set[str]:
    tokens = {token for token in _NUMBER.findall(text) if len(token) <= _LONGEST_NUMBER}
    return {number for token in tokens if (number := _number(token)) is not None}


def _occurs(word: str, text: str) -> bool:
    """Whether a word, or several, stand in a text and are no part of longer ones."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        before, after = text[max(start - 1, 0) : start], text[end : end + 1]
        if not (before.isalnum() and word[0].isalnum()) and not (after.isalnum() and word[-1].isalnum()):
            return True
        start = text.find(word, start + 1)
    return False

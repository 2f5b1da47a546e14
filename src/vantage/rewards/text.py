"""Short texts and choices: when an answer agrees with a truth. ``answer`` and ``mars-vqa`` share it."""

from __future__ import annotations

import re
from typing import Any

from vantage.errors import TruthError
from vantage.rewards import extract, numerals
from vantage.samples import Sample

_OR = re.compile(" or ", re.IGNORECASE)
_OPTION = re.compile(r"\(?([A-Za-z])(?:[).:]*|[).:]+ (.+))")
_CHOICE_LIST = re.compile(r"\[\s*(A[.):][^\[\]]*)\]")
_CHOICE = re.compile(r"(?:^|,\s*)([A-Z])[.):]\s*")
_CHOICE_LINE = re.compile(r"\s*\(?([A-Z])[.):]\s*(\S.*)")
_AFTER_WORD = re.compile(r"\b(?:options?|choices?) ?:\s*(.*)", re.IGNORECASE)
_IN_LINE = re.compile(r"(?<!\S)\(?([A-Z])[.):]\s+")
_IN_BRACKETS = re.compile(r"(?<!\S)\(([A-Z])\)\s*")
_ARTICLE = re.compile(r"A (?!or\b|and\b)(?=[a-z]{2})")
_LETTER_NAMED = re.compile(
    r"(?<![\w'’])[A-H](?![\w'’])|(?<![\w'’])[a-h](?=[).:](?:\s|$)|$)|(?:\b(?:or|and|nor)\b|[,/&;]) ?\(?[a-h](?![\w'’])"
)
"""The letter of another option, for texts without known options: a capital alone, one marked, or one joined by "or"."""


def offered(truth: Any) -> list[list[str]]:
    """What each entry of a truth accepts, unwrapped; an entry that is no text and no number accepts nothing.

    The text ``"two or 2"`` offers itself, ``two`` and ``2``; but ``x=1 or x=2`` names both roots and stays whole, and
    so does what a bracket holds together. An entry of a *list* is taken as it stands, so that a list of one, ``["Do or
    Die"]``, keeps a title whole. What stands inside ``<answer>`` tags counts as their content.
    """
    if isinstance(truth, (list, tuple)):
        return [_stated(entry) for entry in truth]
    stated = _stated(truth)
    parts = _OR.split(stated[0]) if stated else []
    if len(parts) < 2 or "=" in stated[0] or not all(map(_closed, parts)):
        return [stated]
    return [[*stated, *map(extract.unwrapped, parts)]]


def alternatives(truth: Any) -> list[str]:
    """The answers that a truth accepts, normalised, empty ones dropped."""
    taken = (extract.normalise(text) for texts in offered(truth) for text in texts)
    return [text for text in dict.fromkeys(taken) if text]


def choices(question: str) -> dict[str, str]:
    """The options of a question: lower-case letter to normalised text.

    They are listed as ``[A. one, B. two]``; one a line from A on, as ``A. one``, ``B) two`` or ``(C) three``; or in one
    line, as ``(A) one (B) two`` anywhere and ``A. one B. two`` behind ``Options:`` or ``Choices:``.
    """
    found = _CHOICE_LIST.search(question)
    if found is not None:
        pairs = _split(_CHOICE, found[1])
    else:
        rows = question.splitlines()
        lines = map(_CHOICE_LINE.fullmatch, rows)
        listed = [(line[1], line[2]) for line in lines if line is not None]
        behind = (_split(_IN_LINE, word[1]) for word in _AFTER_WORD.finditer(question))
        within = (_split(_IN_BRACKETS, row) for row in rows)
        pairs = next((pairs for pairs in (listed, *behind, *within) if _in_order(pairs)), [])
    return {letter.lower(): extract.normalise(text) for letter, text in pairs}


def agree(answer: str, truth: Any, question: str = "") -> bool:
    """Whether an answer equals one that the truth accepts: as a text, a plain number (``5.0`` and ``5``) or an option.

    Texts are compared as ``extract.normalise`` makes them; see ``chooses`` for options.
    """
    given, taken = extract.normalise(answer), alternatives(truth)
    if not given or given in taken:
        return bool(given)
    number = numerals.plain(given)
    if number is not None and number in map(numerals.plain, taken):
        return True
    return any(chooses(answer, text, question) for text in taken)


def chooses(answer: str, truth: str, question: str = "") -> bool:
    """Whether an answer names the option that a truth names: ``B``, ``(B)``, ``B.`` or ``B. its text``.

    The option's text is known from the truth or from the question. ``B``, ``(b)``, ``B. its text`` and its text alone
    agree; the letter with another text does not. Where no text is known, ``B. any text`` agrees if that text names no
    other letter.
    """
    wanted, raw = _OPTION.fullmatch(extract.unwrapped(truth)), extract.unwrapped(answer)
    if wanted is None:
        return False
    letter, options, given = wanted[1].lower(), choices(question), extract.normalise(raw)
    texts = {text for text in (extract.normalise(wanted[2] or ""), options.get(letter)) if text}
    named = _OPTION.fullmatch(raw)
    if named is not None and named[1].lower() == letter:
        if not named[2] or extract.normalise(named[2]) in texts:
            return True
        return not texts and not options and not _LETTER_NAMED.search(_ARTICLE.sub("", named[2], count=1))
    if named is not None and not named[2] and named[1].lower() in options:
        return False  # the letter of another option, even where the text of the right one reads like it
    return given in texts and list(options.values()).count(given) < 2


def check(sample: Sample, reward: str) -> None:
    """Check that a row's truth accepts some answer.

    Raises:
        TruthError: it is no non-empty text, no finite number and no list of them; names the row and the reward.
    """
    truth, entries = sample.truth, offered(sample.truth)
    if not entries or not all(texts and extract.normalise(texts[0]) for texts in entries):
        raise TruthError(
            f"row {sample.id!r}: reward {reward!r} compares with a non-empty text, a number or a list of them, "
            f"not {shown(truth)}"
        )


def shown(value: Any) -> str:
    """A value as an error message shows it: at most 80 characters, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python refuses to write very long integers, and very deep lists
        return f"<{type(value).__name__} too long or too deep to show>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _stated(entry: Any) -> list[str]:
    text = numerals.written(entry)
    return [] if text is None else [extract.unwrapped(extract.answer(text) or text)]


def _closed(text: str) -> bool:
    return bool(text.strip()) and all(text.count(a) == text.count(b) for a, b in ("()", "[]", "{}"))


def _split(mark: re.Pattern[str], line: str) -> list[tuple[str, str]]:
    pieces = mark.split(line)
    return list(zip(pieces[1::2], pieces[2::2], strict=True))


def _in_order(pairs: list[tuple[str, str]]) -> bool:
    """A sentence may begin with "I." or "A."; options begin with A, go on in order and are at least two."""
    return len(pairs) > 1 and [letter for letter, _ in pairs] == [chr(ord("A") + i) for i in range(len(pairs))]

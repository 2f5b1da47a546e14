"""Short texts and choices: when an answer agrees with a truth. ``answer`` and ``mars-vqa`` share it."""

from __future__ import annotations

import re
from typing import Any

from vantage.errors import TruthError
from vantage.rewards import extract, numerals
from vantage.samples import Sample

_LETTER = re.compile(r"\(?([a-z])(?:[).:]+)?")
_LETTER_AND_TEXT = re.compile(r"\(?([a-z])[).:]+ (.+)")
_CHOICE_LIST = re.compile(r"\[\s*(A[.):][^\[\]]*)\]")
_CHOICE = re.compile(r"(?:^|,\s*)([A-Z])[.):]\s*")
_CHOICE_LINE = re.compile(r"\s*\(?([A-Z])[.):]\s*(\S.*)")


def alternatives(truth: Any) -> list[str]:
    """The answers that a truth accepts, normalised; a list accepts what each of its entries does."""
    if isinstance(truth, (list, tuple)):
        return [text for entry in truth for text in accepted(entry)]
    return accepted(truth)


def accepted(entry: Any) -> list[str]:
    """What one text or number accepts, normalised, empty ones dropped; nothing for anything else.

    ``"two or 2"`` accepts itself, ``two`` and ``2``; a text inside ``<answer>`` tags counts as its content.
    """
    text = numerals.written(entry)
    if text is None:
        return []
    whole = extract.normalise(extract.block(text, extract.ANSWER) or text)
    return [text for text in dict.fromkeys([whole, *map(extract.normalise, whole.split(" or "))]) if text]


def choices(question: str) -> dict[str, str]:
    """The options of a question: lower-case letter to normalised text.

    They are listed as ``[A. one, B. two]``, or one a line from A on, as ``A. one``, ``B) two`` or ``(C) three``.
    """
    found = _CHOICE_LIST.search(question)
    if found is not None:
        pieces = _CHOICE.split(found.group(1))
        pairs = list(zip(pieces[1::2], pieces[2::2], strict=True))
    else:
        lines = map(_CHOICE_LINE.fullmatch, question.splitlines())
        pairs = [(line[1], line[2]) for line in lines if line is not None]
        # A sentence may begin with "I." or "A."; options begin with A, go on in order and are at least two.
        if len(pairs) < 2 or [letter for letter, _ in pairs] != [chr(ord("A") + i) for i in range(len(pairs))]:
            return {}
    return {letter.lower(): extract.normalise(text) for letter, text in pairs}


def agree(answer: str, truth: Any, question: str = "") -> bool:
    """Whether an answer equals one that the truth accepts, after normalisation.

    Where the truth is the letter of an option that the question lists, ``D``, ``(D)``, ``D.``, ``D. its text`` and its
    text alone agree; the letter with the text of another option does not.
    """
    given, taken = extract.normalise(answer), alternatives(truth)
    if not given:
        return False
    if given in taken:
        return True
    for letter in (text for text in taken if len(text) == 1 and "a" <= text <= "z"):
        bare = _LETTER.fullmatch(given)
        if bare is not None and bare.group(1) == letter:
            return True
        options = choices(question)
        named = _LETTER_AND_TEXT.fullmatch(given)
        if named is not None and named.group(1) == letter and named.group(2) == options.get(letter):
            return True
        if given == options.get(letter) and list(options.values()).count(given) == 1:
            return True
    return False


def check(sample: Sample, reward: str) -> None:
    """Check that a row's truth accepts some answer.

    Raises:
        TruthError: it is no non-empty text, no finite number and no list of them; names the row and the reward.
    """
    truth = sample.truth
    entries = truth if isinstance(truth, (list, tuple)) else [truth]
    if not entries or not all(map(accepted, entries)):
        raise TruthError(
            f"row {sample.id!r}: reward {reward!r} compares with a non-empty text, a number or a list of them, "
            f"not {shown(truth)}"
        )


def shown(value: Any) -> str:
    """A value as an error message shows it: at most 80 characters, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python refuses to write very long integers, and very deep lists
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."

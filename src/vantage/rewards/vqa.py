"""``mars-vqa``: a short answer compared with the truth (MARS, arXiv 2605.25437).

Deviations from the public code, which gives full marks to an empty answer and to any substring of the truth ("e" for
"yes"), and crashes on a completion or a truth without tags:

1. answers agree only where they are equal after normalisation; a part of the truth, or a truth with words around it,
   earns nothing;
2. a truth may be tagged or not.
"""

from __future__ import annotations

import re
from typing import Any

from vantage.errors import TruthError
from vantage.rewards import extract
from vantage.rewards.base import Reward, Score
from vantage.rewards.format import mars_format
from vantage.samples import Sample

_LETTER = re.compile(r"\(?([a-z])(?:[).:]+)?")
_LETTER_AND_TEXT = re.compile(r"\(?([a-z])[).:]+ (.+)")
_CHOICE_LIST = re.compile(r"\[\s*(A[.):][^\]]*)\]")
_CHOICE = re.compile(r"(?:^|,\s*)([A-Z])[.):]\s*")


def alternatives(truth: Any) -> list[str]:
    """The answers that a truth accepts, normalised, empty ones dropped.

    ``"two or 2"`` accepts ``two`` and ``2`` (and itself); a list accepts each of its entries; a truth inside
    ``<answer>`` tags counts as its content.
    """
    if isinstance(truth, (list, tuple)):
        return [text for entry in truth for text in alternatives(entry)]
    if isinstance(truth, bool) or not isinstance(truth, (str, int)):
        return []
    text = str(truth)
    whole = extract.normalise(extract.block(text, extract.ANSWER) or text)
    return [text for text in dict.fromkeys([whole, *map(extract.normalise, whole.split(" or "))]) if text]


def choices(question: str) -> dict[str, str]:
    """The options of a question that lists them as ``[A. one, B. two]``: lower-case letter to normalised text."""
    found = _CHOICE_LIST.search(question)
    if found is None:
        return {}
    pieces = _CHOICE.split(found.group(1))
    return {letter.lower(): extract.normalise(text) for letter, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def agree(answer: str, truth: Any, question: str = "") -> bool:
    """Whether an answer equals one that the truth accepts, after normalisation.

    Where the truth is the letter of an option that the question lists, ``D``, ``(D)``, ``D.``, ``D. its text`` and its
    text alone agree; the letter with the text of another option does not.
    """
    given, accepted = extract.normalise(answer), alternatives(truth)
    if not given:
        return False
    if given in accepted:
        return True
    for letter in (text for text in accepted if len(text) == 1 and "a" <= text <= "z"):
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


class MarsVqa(Reward):
    """Format (at most 0.5) plus 1 if the answers agree; see ``agree``.

    ``parts``: the format terms ``think`` and ``answer``, and ``accuracy``, 0 or 1.
    """

    name = "mars-vqa"
    low = 0.0
    high = 1.5

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion; a text that cannot be read scores its format terms."""
        terms = mars_format(completion)
        answer = extract.block(completion, extract.ANSWER)
        right = answer is not None and agree(answer, sample.truth, sample.question)
        return Score(
            reward=sum(terms.values()) + float(right),
            correct=right,
            formatted=all(terms.values()),
            parts={**terms, "accuracy": float(right)},
            error="" if answer is not None else "not exactly one answer block",
        )

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is a non-empty text, an integer, or a list of them."""
        if not alternatives(sample.truth):
            raise TruthError(
                f"row {sample.id!r}: reward 'mars-vqa' compares with a non-empty text, an integer or a list of them, "
                f"not {sample.truth!r}"
            )

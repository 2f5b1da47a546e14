r"""``math``: a mathematical answer that equals the truth, by the rules of math-verify, under a wall limit.

What counts as equal is math-verify's verdict on both sides as LaTeX: ``\frac{1}{2}``, ``1/2`` and ``0.5``; ``50\%`` and
both 50 and 0.5; ``x=5`` and 5; decimals up to the sixth place. Numbers as people write them are compared here, to the
same verdict. Deviations from math-verify:

1. the whole answer is read: no number is looked for among words, since that would reward hedging;
2. words are compared as words, without regard to case and spaces: to math-verify *on* and *no* are the same product of
   letters;
3. a text equals itself even where math-verify cannot read it;
4. a plus sign before a number changes nothing: of ``+1,234`` math-verify makes the set of 1 and 234;
5. what is very long or very deep is no answer, and says so;
6. signs of Unicode are read: ``2√3``, ``60°``, ``x²``, ``π``.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import Any

from vantage.errors import TruthError
from vantage.rewards import extract
from vantage.rewards.base import Reward, Score
from vantage.rewards.guard import Outcome, shared
from vantage.samples import Sample

LONGEST = 2000
"""Characters beyond which a text is no answer."""
DEEPEST = 40
"""Brackets within brackets beyond which a text is no answer; the parser's time grows steeply with them."""
SHORT = 200
"""Characters up to which a line without tags and box may be the answer itself."""

_NUMBER = re.compile(r"([+\-−]?)(\d{1,9}|[1-9]\d{0,2}(?:,\d{3}){1,2})(\.\d{1,6})?", re.ASCII)
_FRACTION = re.compile(r"([+\-−]?)(?:(\d{1,9})/(\d{1,9})|\\[dt]?frac\{(\d{1,9})\}\{(\d{1,9})\})", re.ASCII)
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"))
_SIGNS = str.maketrans(
    {
        "°": r"^\circ ", "²": "^2 ", "³": "^3 ", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ",
        "÷": r"\div ", "−": "-", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ",
        "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ",
    }
)  # fmt: skip
_ROOT = re.compile(r"√ ?(?:\{([^{}]*)\}|\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-z]))")
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|operatorname)\s*\{([^{}\\]*)\}")
_OPTION = re.compile(r"\(?([A-Za-z])[).:]*")


def equal_many(pairs: Sequence[tuple[str, str]]) -> list[Outcome]:
    """Whether answers equal truths, in parallel and within the limits of ``vantage.rewards.guard``.

    Args:
        pairs: truth and answer; not symmetric, as math-verify is not.

    Returns:
        One outcome per pair, its ``value`` true or false; false with an ``error`` where it could not be found out.
    """
    found: dict[tuple[str, str], Outcome] = {}
    asked: list[tuple[str, str]] = []
    for pair in dict.fromkeys(pairs):
        truth, answer = pair
        if max(len(truth), len(answer)) > LONGEST:
            found[pair] = Outcome(False, f"of {max(map(len, pair)):,} characters, more than {LONGEST:,}: no answer")
        elif (verdict := _plainly_equal(clean(truth), clean(answer))) is not None:
            found[pair] = Outcome(verdict)
        elif max(map(_depth, pair)) > DEEPEST:
            found[pair] = Outcome(False, f"brackets more than {DEEPEST} deep: no answer")
        else:
            asked.append(pair)
    answers = shared().map("vantage.rewards.equality:equal", [tuple(map(clean, pair)) for pair in asked])
    for pair, outcome in zip(asked, answers, strict=True):
        known = outcome.value is not None
        found[pair] = outcome if known else Outcome(False, outcome.error, outcome.timed_out, outcome.seconds)
    return [found[pair] for pair in pairs]


def clean(text: str) -> str:
    r"""A text in LaTeX, without what only sets it off: white space, ``$``, ``\(``, ``\[``, ``**``, a box, a full stop.

    Signs of Unicode become LaTeX: ``2√3`` is ``2\sqrt{3}``, ``50°`` is ``50^\circ``.
    """
    if not text.isascii():
        text = _ROOT.sub(lambda root: rf"\sqrt{{{root.group(1) or root.group(2) or root.group(3)}}}", text)
        text = text.translate(_SIGNS)
    while True:
        before = text
        text = " ".join(text.split()).rstrip(".")
        for opening, closing in _DELIMITERS:
            inner = text[len(opening) : -len(closing)]
            if text.startswith(opening) and text.endswith(closing) and opening not in inner and closing not in inner:
                text = inner
        if text.startswith((r"\boxed{", r"\fbox{")) and text.endswith("}"):
            inner = text[text.index("{") + 1 : -1].strip()
            text = inner if extract.boxed(text) == inner else text
        if text == before:
            return text


def accepted(sample: Sample, reward: str) -> list[str]:
    """The answers that a row's truth accepts: those of a list, or one; without tags, box and dollars around them.

    Raises:
        TruthError: an entry is neither a number nor a text, or blank, or too long.
    """
    entries = sample.truth if isinstance(sample.truth, (list, tuple)) else [sample.truth]
    texts = [_truth(entry) for entry in entries]
    if not texts or not all(texts):
        try:
            shown = repr(sample.truth)
        except ValueError:
            shown = "a number too long to show"
        raise TruthError(
            f"row {sample.id!r}: reward {reward!r} compares with a number, a text of at most {LONGEST:,} characters "
            f"that is not blank, or a list of them, not {shown if len(shown) <= 80 else shown[:77] + '...'}"
        )
    return texts


class Equality(Reward):
    """1 if what ``read`` finds in a completion equals an answer that the truth accepts, else 0.

    ``parts``: ``accuracy``, 0 or 1.
    """

    low = 0.0
    high = 1.0

    @abstractmethod
    def read(self, completion: str) -> tuple[str | None, str]:
        """The answer that a completion gives, or ``None`` and why."""

    def laid_out(self, completion: str) -> bool:
        """Whether a completion is laid out as asked."""
        return extract.laid_out(completion)

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion; several at once, with ``score_many``, are faster."""
        return self.score_many([completion], [sample])[0]

    def score_many(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Score]:
        """Score several completions in parallel. Raises only what ``check`` finds."""
        rows = []
        pairs: list[tuple[str, str]] = []
        for completion, sample in zip(completions, samples, strict=True):
            answer, error = self.read(completion)
            truths = accepted(sample, self.name)
            mine = [(truth, answer) for truth in truths] if answer is not None else []
            rows.append((self.laid_out(completion), error, mine))
            pairs += mine
        verdicts = dict(zip(pairs, equal_many(pairs), strict=True))
        return [_score(formatted, error, [verdicts[pair] for pair in mine]) for formatted, error, mine in rows]

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is a number, a text that is not blank, or a list of them."""
        accepted(sample, self.name)


class Math(Equality):
    r"""1 if the answer equals the truth, else 0; see ``vantage.rewards.mathematics`` for what is equal.

    The answer is the last ``\boxed{}`` of the one ``<answer>`` block, or that block where it holds none. Without
    exactly one block it is the last box of the text; without tags and box the text itself, if it is one line of at most
    200 characters. ``formatted``: a thought and an answer block, in that order.
    """

    name = "math"

    def read(self, completion: str) -> tuple[str | None, str]:
        """The answer that a completion gives, or ``None`` and why."""
        answer = extract.block(completion, extract.ANSWER)
        box = extract.boxed(completion if answer is None else answer)
        if box is not None or answer is not None:
            return box if box is not None else answer, ""
        tagged = f"<{extract.ANSWER}>" in completion or f"</{extract.ANSWER}>" in completion
        line = completion.strip()
        if tagged or "\\boxed" in completion or len(line) > SHORT or len(line.splitlines()) != 1:
            return None, "neither exactly one answer block nor a closed box, and not a short line"
        return line, ""


def _score(formatted: bool, error: str, verdicts: list[Outcome]) -> Score:
    right = any(outcome.value for outcome in verdicts)
    failed = next((outcome for outcome in verdicts if outcome.error), None)
    if failed is not None and not right:
        error = failed.error
    return Score(
        reward=float(right),
        correct=right,
        formatted=formatted,
        parts={"accuracy": float(right)},
        error=error,
        timed_out=not right and any(outcome.timed_out for outcome in verdicts),
    )


def _truth(entry: Any) -> str:
    """A truth as text, empty where it is none."""
    if isinstance(entry, bool) or not isinstance(entry, (str, int, float)):
        return ""
    if isinstance(entry, float):
        return format(Decimal(repr(entry)), "f") if math.isfinite(entry) else ""
    if isinstance(entry, int):
        return str(entry) if entry.bit_length() < LONGEST else ""  # Python refuses to write very long ones
    if len(entry) > LONGEST:
        return ""
    inner = extract.block(entry, extract.ANSWER) or entry
    return clean(extract.boxed(inner) or inner)


def _plainly_equal(truth: str, answer: str) -> bool | None:
    """The verdict where both sides are plain numbers or words, or one text; ``None`` elsewhere."""
    if not truth or not answer or truth == answer:
        return bool(truth) and truth == answer
    one, other = _number(truth), _number(answer)
    if one is not None and other is not None:
        # math-verify rounds a fraction that is compared with a decimal.
        rounded = ("." in truth) != ("." in answer)
        return True if one == other else None if rounded and (one + other).denominator > 1 else False
    words = _word(truth), _word(answer)
    return words[0] == words[1] if None not in words else None


def _depth(text: str) -> int:
    steps = ((character in "([{") - (character in ")]}") for character in text)
    return max(accumulate(steps), default=0)


def _number(text: str) -> Fraction | None:
    if (found := _NUMBER.fullmatch(text)) is not None:
        sign, whole, decimals = found.groups()
        value = Fraction(whole.replace(",", "") + (decimals or ""))
    elif (found := _FRACTION.fullmatch(text)) is not None:
        sign, above, below = (group for group in found.groups() if group is not None)
        if not int(below):
            return None
        value = Fraction(int(above), int(below))
    else:
        return None
    return value if sign in ("", "+") else -value


def _word(text: str) -> str | None:
    text = _TEXT.sub(r"\1", text) if text.startswith("\\") else text
    option = _OPTION.fullmatch(text.strip())
    word = option.group(1) if option else text.replace(" ", "")
    return word.casefold() if word.isalpha() else None

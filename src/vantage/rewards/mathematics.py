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
6. signs of Unicode are read: ``2√3``, ``60°``, ``x²``, ``10²³``, ``½``, ``π``;
7. ``$5`` is 5, and ``1e3`` 1000, where math-verify makes a product of it;
8. where a truth names an option, ``B`` or ``B. 5``, options are compared as ``text.chooses`` has it;
9. a text with `` or `` offers its parts as well; see ``text.offered``.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

from vantage.errors import TruthError
from vantage.rewards import extract
from vantage.rewards import text as texts
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
_DELIMITER = re.compile(r"(?<!\\)(?:\$\$?|\\[()\[\]])")
_SCIENTIFIC = re.compile(r"([+-]?\d{1,9}(?:\.\d{1,6})?)[eE]([+-]?\d{1,2})", re.ASCII)
_SIGNS = str.maketrans(
    {
        "°": r"^\circ ", "º": r"^\circ ", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
        "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ",
        "÷": r"\div ", "−": "-", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ",
        "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ",
    }
)  # fmt: skip
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_ROOT = re.compile(r"√ ?(?:\{([^{}]*)\}|\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-z]))")
_TAG = re.compile(rf"</?{extract.ANSWER}>", re.IGNORECASE)
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
            found[pair] = Outcome(False, f"the {_longer(pair, len)} characters, more than {LONGEST:,}")
        elif (verdict := _plainly_equal(clean(truth), clean(answer))) is not None:
            found[pair] = Outcome(verdict)
        elif max(map(_depth, pair)) > DEEPEST:
            found[pair] = Outcome(False, f"the {_longer(pair, _depth)} brackets open at once, more than {DEEPEST} deep")
        else:
            asked.append(pair)
    answers = shared().map("vantage.rewards.equality:equal", [tuple(map(clean, pair)) for pair in asked])
    for pair, outcome in zip(asked, answers, strict=True):
        known = outcome.value is not None
        found[pair] = outcome if known else Outcome(False, outcome.error, outcome.timed_out, outcome.seconds)
    return [found[pair] for pair in pairs]


def clean(text: str) -> str:
    r"""A text in LaTeX, without what only sets it off; see ``extract.unwrapped``.

    Signs of Unicode become LaTeX, ``2√3`` ``2\sqrt{3}``, ``50°`` ``50^\circ``; ``1e3`` becomes 1000. Different
    formulas become one text, since of ``$5$ $6$`` math-verify would take the last.
    """
    if not text.isascii():
        text = _ROOT.sub(lambda root: rf"\sqrt{{{root.group(1) or root.group(2) or root.group(3)}}}", text)
        text = _RAISED.sub(lambda run: f"^{{{run[0].translate(_LOWERED)}}} ", text).translate(_SIGNS)
    text = extract.unwrapped(text)
    if ("$" in text or "\\" in text) and len({formula.strip() for formula in _DELIMITER.split(text)[1::2]}) > 1:
        text = " ".join(_DELIMITER.sub(" ", text).split())
    return f"{Decimal(text):f}" if _SCIENTIFIC.fullmatch(text) else text


def accepted(sample: Sample, reward: str) -> list[str]:
    """The answers that a row's truth accepts, see ``text.offered``; without tags, box and dollars around them.

    Raises:
        TruthError: an entry is neither a number nor a text, or blank, or too long.
    """
    found = [[_truth(entry) for entry in entries] for entries in texts.offered(sample.truth)]
    if not found or not all(entries and all(entries) for entries in found):
        raise TruthError(
            f"row {sample.id!r}: reward {reward!r} compares with a number, a text of at most {LONGEST:,} characters "
            f"that is not blank, or a list of them, not {texts.shown(sample.truth)}"
        )
    return [entry for entries in found for entry in entries]


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
        rows: list[tuple[bool, str, bool, list[tuple[str, str]]]] = []
        for completion, sample in zip(completions, samples, strict=True):
            answer, error = self.read(completion)
            truths, mine, chosen = accepted(sample, self.name), list[tuple[str, str]](), False
            if answer is not None:
                chosen = len(answer) <= LONGEST and any(texts.chooses(answer, each, sample.question) for each in truths)
                mine = [] if chosen else [(truth, answer) for truth in truths]
            rows.append((self.laid_out(completion), error, chosen, mine))
        pairs = [pair for *_, mine in rows for pair in mine]
        verdicts = dict(zip(pairs, equal_many(pairs), strict=True))
        return [_score(laid, error, chosen, [verdicts[pair] for pair in mine]) for laid, error, chosen, mine in rows]

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is a number, a text that is not blank, or a list of them."""
        accepted(sample, self.name)


class Math(Equality):
    r"""1 if the answer equals the truth, else 0; see ``vantage.rewards.mathematics`` for what is equal.

    The answer is the ``\boxed{}`` of the one ``<answer>`` block, or that block where it holds none; boxes in it that
    differ are none. Without exactly one block outside the thought it is the last box behind the thought; without tags
    and box what stands behind the thought, if it is one line of at most 200 characters. ``formatted``: a thought and
    an answer block, in that order.
    """

    name = "math"

    def read(self, completion: str) -> tuple[str | None, str]:
        """The answer that a completion gives, or ``None`` and why."""
        answer = extract.answer(completion)
        if answer is not None:
            if extract.boxes_differ(answer):
                return None, "boxes of different contents in one answer block"
            return extract.boxed(answer) or answer, ""
        said = extract.after_thought(completion)
        if (box := extract.boxed(said)) is not None:
            return box, ""
        line = said.strip()
        if _TAG.search(completion):
            return None, f"{extract.no_answer(completion)}, and no closed box behind the thought"
        if not line and completion.strip():
            return None, "nothing stands behind the thought"
        if "\\boxed" in said or len(line) > SHORT or len(line.splitlines()) != 1:
            return None, "no answer block, no closed box, and not a short line"
        return line, ""


def _score(formatted: bool, error: str, chosen: bool, verdicts: list[Outcome]) -> Score:
    right = chosen or any(outcome.value for outcome in verdicts)
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


def _truth(text: str) -> str:
    """A truth in LaTeX, empty where it is none."""
    return clean(extract.boxed(text) or text) if len(text) <= LONGEST else ""


def _longer(pair: tuple[str, str], measure: Callable[[str], int]) -> str:
    """Which of truth and answer has more of something, and how much."""
    name, most = max(zip(("truth", "answer"), map(measure, pair), strict=True), key=lambda side: side[1])
    return f"{name} has {most:,}"


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

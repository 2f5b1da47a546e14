r"""``reason-rft-transformation``: what was changed between two pictures, as ``func(object, value)`` (Reason-RFT).

Deviations from the public code, which matches greedily and reads neither answers of several lines nor hyphenated
values:

1. white space, underscores (also ``\_``), quotes, brackets and letter case do not matter, nor a hyphen between letters,
   so that ``front-left`` is ``front_left``; ``object 3`` and ``obj_3`` are 3; an answer may have several lines;
2. partial matches are those of the best one-to-one matching, so that no order of the triples earns more than another;
3. exactly one ``<answer>`` block outside the thought is read; without it nothing is.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Set
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from vantage.errors import TruthError
from vantage.rewards import extract, numerals, text
from vantage.rewards.base import Reward, Score
from vantage.rewards.format import reading_error
from vantage.samples import Sample

Triple = tuple[str, str, str]
"""Function, object and value, each normalised."""

SHARED_TWO = 0.5
"""What a prediction earns that names the function and the object, or the function and the value."""

SHARED_FUNCTION = 0.25
"""What a prediction earns that names the function only."""

MOST_TRUTH = 64
"""Triples that a truth may hold; the public data has at most four."""

# A word takes the bracket behind it along, so that every character is looked at once.
_MARKS = re.compile(r"\w+(?: ?\()?|\(+|\)+")
_HYPHENS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"))
_OBJECT = re.compile(r"(?:object|obj) ?#?([0-9]+)")
_BETWEEN_WORDS = re.compile(r"[\s_,'\"`()\[\]]+|(?<=[^\W\d_])-(?=[^\W\d_])")


def triples(text: str) -> list[Triple]:
    """Every ``func(object, value)`` of a text, in order; what stands around them is not read.

    The function's name touches its bracket, or holds an underscore and stands a space before it. A value may itself
    stand in brackets, ``move(3, (front-left, 2))``; a call within a call begins anew, so that one left open costs
    itself only.
    """
    found: list[Triple] = []
    function, start, depth = "", 0, 0
    text = text.replace("\\_", "_") if text.isascii() else text.replace("\\_", "_").translate(_HYPHENS)
    for mark in _MARKS.finditer(text):
        token = mark[0]
        if token[0] == ")":
            if function and len(token) >= depth:
                first, _, rest = text[start : mark.start() + depth - 1].partition(",")
                triple = (function, _object(first), _normal(rest))
                found += [triple] if all(triple) else []
                function = ""
            depth -= len(token)
        elif token[0] == "(":
            depth += len(token)
        elif token[-2:] == " (" and (function or "_" not in token):
            depth += 1  # words before a bracket, not a call
        elif token[-1] == "(":
            function, start, depth = token[:-1].rstrip().casefold(), mark.end(), 1
    return found


def credit(predicted: Set[Triple], truth: Set[Triple]) -> float:
    """What the best one-to-one matching of predictions with truths earns, 0..len(truth).

    1 for equal triples, 0.5 for the same function and object or the same function and value, 0.25 for the same
    function alone. Equal triples are matched first: no matching that parts them earns more, as both would earn at
    most 0.5 elsewhere.
    """
    equal = predicted & truth
    given: defaultdict[str, list[Triple]] = defaultdict(list)
    wanted: defaultdict[str, list[Triple]] = defaultdict(list)
    for triple in predicted - equal:
        given[triple[0]].append(triple)
    for triple in truth - equal:
        wanted[triple[0]].append(triple)
    return len(equal) + sum(_partial(given[function], triples) for function, triples in wanted.items())


class ReasonRftTransformation(Reward):
    """``credit / max(predicted, true) * unique / total`` over the triples of the one ``<answer>`` block, 0..1.

    Triples are compared as sets: ``predicted`` and ``true`` count different ones, and repeating one costs by the last
    factor. The truth is a text, a list of texts, or a list of ``[function, object, value]``, at most 64 triples and at
    least one: where nothing changed there is nothing to match. ``correct``: both sets are equal. ``formatted``: exactly
    one non-empty ``<think>`` block before exactly one non-empty ``<answer>`` block. ``parts``: ``accuracy``, the
    reward; ``exact``, how many triples are right; the counts ``triples``, with repetitions, and ``truth_triples``.
    """

    name = "reason-rft-transformation"
    low = 0.0
    high = 1.0

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion. Raises only what ``check`` finds: a truth that is no triples."""
        truth = self._truth(sample)
        answer = extract.answer(completion)
        written = [] if answer is None else triples(answer)
        predicted = set(written)
        reward = 0.0
        if written:
            share = self._credit(predicted, truth) / max(len(predicted), len(truth))
            reward = share * len(predicted) / len(written)
        return Score(
            reward=reward,
            correct=predicted == truth,
            formatted=extract.laid_out(completion),
            parts={
                "accuracy": reward,
                "exact": float(len(predicted & truth)),
                "triples": float(len(written)),
                "truth_triples": float(len(truth)),
            },
            error=reading_error(completion, answer, bool(written), "a list of func(object, value)"),
        )

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is triples, at least one and at most 64."""
        self._truth(sample)

    @staticmethod
    def _credit(predicted: Set[Triple], truth: Set[Triple]) -> float:
        return credit(predicted, truth)

    def _truth(self, sample: Sample) -> set[Triple]:
        truth = sample.truth
        entries = [truth] if isinstance(truth, str) else truth if isinstance(truth, (list, tuple)) else []
        found = [_entry(entry) for entry in entries]
        together = {triple for triples in found for triple in triples}
        if not found or not all(found) or len(together) > MOST_TRUTH:
            raise TruthError(
                f"row {sample.id!r}: reward {self.name!r} compares with 1 to {MOST_TRUTH} changes, each a text "
                f"'func(object, value)' or a list [function, object, value], not {text.shown(truth)}"
            )
        return together


class ReasonRftTransformationExact(ReasonRftTransformation):
    """As ``ReasonRftTransformation``, but only equal triples earn."""

    name = "reason-rft-transformation-exact"

    @staticmethod
    def _credit(predicted: Set[Triple], truth: Set[Triple]) -> float:
        return float(len(predicted & truth))


def _normal(text: str) -> str:
    text = text.strip().casefold() if text.isascii() else text.translate(_HYPHENS).strip().casefold()
    return text if text.isalnum() else _BETWEEN_WORDS.sub(" ", text).strip()  # one word needs no search; twice as fast


def _object(text: str) -> str:
    name = _normal(text)
    numbered = _OBJECT.fullmatch(name) if name[:3] == "obj" else None
    return numbered[1] if numbered else name


def _entry(entry: Any) -> list[Triple]:
    """The triples of one entry of a truth; none where it cannot be read."""
    if isinstance(entry, str):
        return triples(extract.answer(entry) or entry)
    if not isinstance(entry, (list, tuple)) or len(entry) != 3:
        return []
    function, obj, value = entry
    values = value if isinstance(value, (list, tuple)) else [value]
    words = [numerals.written(word) for word in (function, obj, *values)]
    if not isinstance(function, str) or not all(words):
        return []
    triple = (function.strip().casefold(), _object(str(words[1])), _normal(" ".join(map(str, words[2:]))))
    return [triple] if all(triple) else []


def _partial(given: Collection[Triple], wanted: Collection[Triple]) -> float:
    """The most that predictions of one function earn from truths of it, none of them equal."""
    objects = {triple[1]: code for code, triple in enumerate(wanted)}
    values = {triple[2]: code for code, triple in enumerate(wanted)}

    def codes(side: Iterable[Triple]) -> list[tuple[int, int]]:
        return [(objects.get(triple[1], -1), values.get(triple[2], -1)) for triple in side]

    # Predictions of the same codes can stand in for each other, and no more of them than truths are ever matched: a
    # hundred thousand shrink to a few without changing what is earned.
    kept = [code for code, count in Counter(codes(given)).items() for _ in range(min(count, len(wanted)))]
    if not kept:
        return 0.0
    given_P_2, wanted_T_2 = np.asarray(kept), np.asarray(codes(wanted))
    shared_P_T = (given_P_2[:, None, :] == wanted_T_2[None, :, :]).any(-1)
    earned_P_T = np.where(shared_P_T, SHARED_TWO, SHARED_FUNCTION)
    return float(earned_P_T[linear_sum_assignment(earned_P_T, maximize=True)].sum())

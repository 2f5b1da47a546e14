"""Equality of two mathematical answers by math-verify; imported in the workers of ``vantage.rewards.guard`` only.

math-verify's own time limits are off, because they rest on exceptions that do not reach code in C: the guard's limit
holds.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from antlr4.atn.PredictionMode import PredictionMode  # type: ignore[import-untyped]
from latex2sympy2_extended import latex2sympy2  # type: ignore[import-untyped]
from math_verify import ExprExtractionConfig, LatexExtractionConfig, grader, parse, verify
from sympy import Basic, Float, expand  # type: ignore[import-untyped]

_LATEX = [LatexExtractionConfig()]
_PLAIN = [ExprExtractionConfig()]
_DELIMITED = re.compile(r"(?<!\\)\$|\\\(|\\\[")
_SUM = re.compile(r"[\d.\s+\-*/^()]+", re.ASCII)

logging.getLogger("math_verify").setLevel(logging.CRITICAL)


class _TwoStage(latex2sympy2.PSParser):  # type: ignore[misc]
    """The LaTeX parser, which tries ANTLR's quick prediction first and its complete one where that fails.

    Quick prediction gives the tree of the complete one or a syntax error (the ANTLR book's two-stage parsing). On
    tuples, intervals and equations it takes a tenth of the time.
    """

    def math(self) -> Any:
        self._interp.predictionMode = PredictionMode.SLL
        try:
            return super().math()
        except Exception:  # noqa: BLE001 - the parser's error listener raises nothing more precise
            self.reset()
            self._interp.predictionMode = PredictionMode.LL
            return super().math()


_simplified = grader.sympy_symbolic_eq


def _symbolic(one: Any, other: Any) -> bool:
    """Whether ``simplify`` makes the difference of two expressions 0, found sooner where numbers or ``expand`` tell."""
    if isinstance(one, Basic) and isinstance(other, Basic):
        try:
            difference = one - other
            if all(_far_from_zero(difference, step) for step in _STEPS):
                return False
            if expand(difference) == 0:
                return True
        except (ArithmeticError, AttributeError, NotImplementedError, TypeError, ValueError):
            pass  # not of numbers; math-verify's own way tells
    return bool(_simplified(one, other))


def _far_from_zero(difference: Any, step: str) -> bool:
    """Whether an expression is clearly not 0 with positive values of its symbols; two such points tell."""
    symbols = sorted(difference.free_symbols, key=str)
    if any(symbol.is_integer for symbol in symbols):
        return False
    point = {symbol: Float(step) * (1 + number / 7) for number, symbol in enumerate(symbols)}
    value = complex(difference.subs(point).evalf(15))
    return 1e-6 < abs(value) < 1e12


_STEPS = ("0.73914", "1.8393")

# Of this process, which does nothing but compare.
latex2sympy2.PSParser = _TwoStage
grader.sympy_symbolic_eq = _symbolic


def equal(truth: str, answer: str) -> bool:
    """Whether an answer equals a truth by the rules of math-verify, which are not symmetric."""
    return bool(verify(list(_parsed(truth)), list(_parsed(answer)), timeout_seconds=None))


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Any, ...]:
    r"""The expression that a text is as a whole, and the text.

    A text without ``$`` is put between two, so that all of it is read: of the bare ``\frac{3}{4}\sqrt{2}`` math-verify
    would take the fraction alone, and of bare words the last number among them.
    """
    whole = text if _DELIMITED.search(text) else f"${text}$"
    found = parse(whole, _LATEX, parsing_timeout=None)
    if all(isinstance(entry, str) for entry in found) and _SUM.fullmatch(text):
        found = parse(text, _PLAIN, parsing_timeout=None) or found  # 2**3 is no LaTeX
    return tuple(found)


# The parser learns its grammar as it reads; what most answers need is learnt before a clock runs.
for _text in (
    r"\frac{3}{4}\sqrt{2}",
    "(1,2]",
    r"\{1,-2\}",
    "2x^2+1=3",
    r"5\text{ cm}",
    r"x\le 3",
    "1,2",
    r"50\%",
    "ab",
):
    equal(_text, "-1.5")

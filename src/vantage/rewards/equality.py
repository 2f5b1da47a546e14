"""Equality of two mathematical answers by math-verify; imported in the workers of ``vantage.rewards.guard`` only.

math-verify's own time limits are off, because they rest on exceptions that do not reach code in C: the guard's limit
holds.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from itertools import combinations
from typing import Any

from antlr4 import Token  # type: ignore[import-untyped]
from antlr4.atn.PredictionMode import PredictionMode  # type: ignore[import-untyped]
from latex2sympy2_extended import latex2sympy2  # type: ignore[import-untyped]
from math_verify import ExprExtractionConfig, LatexExtractionConfig, grader, parse, verify
from sympy import Basic, Eq, Float, Poly, expand  # type: ignore[import-untyped]
from sympy.polys.polyerrors import BasePolynomialError  # type: ignore[import-untyped]

_LATEX = [LatexExtractionConfig()]
_PLAIN = [ExprExtractionConfig()]
_DELIMITED = re.compile(r"(?<!\\)\$|\\\(|\\\[")
_SUM = re.compile(r"[\d.\s+\-*/^()]+", re.ASCII)

logging.getLogger("math_verify").setLevel(logging.CRITICAL)


class _TwoStage(latex2sympy2.PSParser):  # type: ignore[misc]
    """The LaTeX parser, which tries ANTLR's quick prediction first and its complete one where that fails.

    Quick prediction gives the tree of the complete one or a syntax error (the ANTLR book's two-stage parsing), in a
    tenth of the time. The one place where it fails on what people write, whether a power or an index is followed by the
    other, is seen from the tokens.
    """

    def math(self) -> Any:
        quick, predict = True, self._interp.adaptivePredict

        def predicted(tokens: Any, decision: int, context: Any) -> int:
            seen = self._script(tokens) if quick and decision == _SCRIPT else 0
            return seen or predict(tokens, decision, context)

        self._interp.adaptivePredict = predicted
        self._interp.predictionMode = PredictionMode.SLL
        try:
            return super().math()
        except Exception:  # noqa: BLE001 - the parser's error listener raises nothing more precise
            quick = False
            self.reset()
            self._interp.predictionMode = PredictionMode.LL
            return super().math()

    def _script(self, tokens: Any) -> int:
        """Which alternative of the rule ``atom_expr`` stands next; 0 where no token tells."""
        first, place, depth = tokens.LA(1), 2, 0
        if first not in (self.CARET, self.UNDERSCORE):
            return 0
        while place == 2 or depth > 0:
            token = tokens.LA(place)
            if token == Token.EOF:
                return 0
            depth += (token == self.L_BRACE) - (token == self.R_BRACE)
            place += 1
        if first == self.CARET:
            return 1 if tokens.LA(place) == self.UNDERSCORE else 4
        return 2 if tokens.LA(place) == self.CARET else 3


_SCRIPT = 43
"""Number of that decision in the grammar of latex2sympy2_extended; another one costs time and changes nothing."""


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


_solved = grader.sympy_solve_and_compare


def _solve(one: Any, other: Any, *precision: int) -> bool:
    """Whether two relations have one solution; lines that are clearly different are told without solving."""
    if isinstance(one, Eq) and isinstance(other, Eq) and one.free_symbols == other.free_symbols:
        lines = [_line(relation) for relation in (one, other)]
        if lines[0] is not None and lines[1] is not None:
            # One line has all determinants 0; what may be rounding is left to math-verify.
            clear = 1e-3 * max(map(abs, lines[0])) * max(map(abs, lines[1]))
            columns = zip(*lines, strict=True)
            if any(abs(a * d - b * c) > clear for (a, c), (b, d) in combinations(columns, 2)):
                return False
    return bool(_solved(one, other, *precision))


def _line(relation: Any) -> list[float] | None:
    """The coefficients of a linear equation with numbers, the constant last; ``None`` for any other."""
    symbols = sorted(relation.free_symbols, key=str)
    try:
        polynomial = Poly(relation.lhs - relation.rhs, *symbols)
        if polynomial.total_degree() != 1:
            return None
        return [float(polynomial.coeff_monomial(symbol)) for symbol in (*symbols, 1)]
    except (ArithmeticError, AttributeError, BasePolynomialError, TypeError, ValueError):
        return None


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
grader.sympy_solve_and_compare = _solve


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

"""Reading one number from a short text, without ever choosing between two.

Model output is untrusted: every function here is total and takes time linear in the text's length.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from vantage.rewards import extract

_WORDS = """
    zero one two three four five six seven eight nine ten
    eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
"""
_NUMBER_OF_WORD = {word: str(number) for number, word in enumerate(_WORDS.split())}

# No pattern below can match one text in two ways, so that a match takes linear time.
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)"
_PLAIN = re.compile(rf"([+-]?)({_DIGITS}(?=\.|$)|(?=\.[0-9]))(?:\.([0-9]*))?")
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?) ?(?:(?P<over>{_DECIMAL}) ?/ ?(?P<under>{_DECIMAL})"
    rf"|\\[dt]?frac\{{(?P<upper>{_DECIMAL})\}}\{{(?P<lower>{_DECIMAL})\}}"
    rf"|(?P<number>{_DECIMAL}(?:e[+-]?[0-9]{{1,20}})?))"
)
_BEFORE = re.compile(r"[^=≈0-9.,+*/^-]{0,40}[=≈] ?")
"""``=`` or ``≈`` after a name, ``x =``, ``\\angle ABC =``, or none; nothing in which a number or a sum could stand."""

_UNITS = (
    "mm|cm|dm|m|km|millimeters?|millimetres?|centimeters?|centimetres?|meters?|metres?|kilometers?|kilometres?|"
    "in|inch|inches|ft|foot|feet|yd|yards?|mi|miles?|units?|deg|degrees?|rad|radians?|°|%|percent"
)
_AFTER = re.compile(rf" ?(?:(?:square|sq|cubic|cu)\.? )?(?:{_UNITS})(?: ?(?:\^ ?[23]|[²³]))?")

_MINUS = str.maketrans({"\N{MINUS SIGN}": "-", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " "})
_LATEX = (
    ("\\approx", "≈"),
    ("\\%", "%"),
    ("^{\\circ}", "°"),
    ("^\\circ", "°"),
    ("\\degree", "°"),
    ("º", "°"),
    ("½", "\\frac{1}{2}"),
    ("¼", "\\frac{1}{4}"),
    ("¾", "\\frac{3}{4}"),
    ("\\,", " "),
    ("\\ ", " "),
)
_TEXT = re.compile(r"\\(?:text|mathrm|textrm) ?\{([^{}]*)\}")


def read(text: str) -> float | None:
    r"""The finite number that a text states; ``None`` where it states none, or more than one.

    Read are integers, decimals, ``1,234``, ``1.5e-3``, signs (also U+2212), fractions ``3/4`` and ``\frac{3}{4}``;
    around them what ``extract.unwrapped`` takes away; before them one name, ``x =``, or ``≈``; after them one unit of
    length, area, volume or angle, or a percent sign. A unit is dropped, never converted: 50% reads as 50.
    """
    text = _unwrapped(text)
    name = _BEFORE.match(text)
    start = name.end() if name else 0
    number = _NUMBER.match(text, start)
    if number is None or not (number.end() == len(text) or _AFTER.fullmatch(text, number.end())):
        return None
    over, under = number["over"] or number["upper"], number["under"] or number["lower"]
    value = _float(number["number"]) if over is None else _float(over)
    if under is not None:
        value = value / _float(under) if _float(under) else math.nan
    return (-value if number["sign"] == "-" else value) if math.isfinite(value) else None


def plain(text: str) -> str | None:
    """The digits of a number written plainly, such that equal numbers give equal text; ``None`` for anything else.

    ``5``, ``5.0``, ``+5.`` and ``005`` give ``5``; ``1,234.50`` gives ``1234.5``; ``-0`` gives ``0``. Exact for any
    number of digits.
    """
    found = _PLAIN.fullmatch(extract.normalise(text).translate(_MINUS))
    if found is None:
        return None
    whole, part = found[2].replace(",", "").lstrip("0") or "0", (found[3] or "").rstrip("0")
    digits = f"{whole}.{part}" if part else whole
    return f"-{digits}" if found[1] == "-" and digits != "0" else digits


def whole(text: str) -> str | None:
    """As ``plain`` for whole numbers, also those written as a word from ``zero`` to ``twenty``."""
    word = _NUMBER_OF_WORD.get(extract.normalise(text))
    digits = plain(text) if word is None else word
    return digits if digits is not None and "." not in digits else None


def written(value: Any) -> str | None:
    """A text, or a finite number as plain digits; ``None`` for anything else (booleans are no numbers)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    # Decimals print any number of digits, which Python's integers refuse.
    return f"{Decimal(repr(value) if isinstance(value, float) else value):f}"


def _unwrapped(text: str) -> str:
    text = extract.normalise(text).translate(_MINUS)
    for old, new in _LATEX:
        text = text.replace(old, new)
    return extract.unwrapped(_TEXT.sub(r"\1", extract.unwrapped(text)))


def _float(digits: str) -> float:
    return float(digits.replace(",", ""))

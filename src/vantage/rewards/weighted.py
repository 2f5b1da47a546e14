"""Weighted sums of rewards, ``reason-rft-accuracy + 0.5*reason-rft-format``, wherever a reward's name may stand."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real

from vantage.errors import ConfigError
from vantage.rewards import registry
from vantage.rewards.base import Reward, Score
from vantage.rewards.calling import call_many
from vantage.samples import Sample

_BETWEEN_TERMS = re.compile(r"(\+|\s-\s)")


def parse(line: str) -> Weighted:
    """Read ``name + 0.5*name - 0.2*name``; a term without a weight has weight 1.

    Raises:
        ConfigError: a term of another form, a name that is not known or stands twice, or a weight that cannot be.
    """
    pieces = ["+", *_BETWEEN_TERMS.split(line)]
    weights: dict[str, float] = {}
    for sign, term in zip(pieces[::2], pieces[1::2], strict=True):
        number, times, name = term.rpartition("*")
        try:
            weight = float(number) if times else 1.0
        except ValueError:
            weight = math.nan
        name = name.strip()
        if not name or math.isnan(weight):
            raise ConfigError(
                f"{line!r}: {term.strip()!r} is no term; a sum of rewards is written 'name + 0.5*name - 0.2*name'"
            )
        if name in weights:
            raise ConfigError(f"{line!r}: {name!r} stands there twice; give it one weight")
        weights[name] = -weight if sign.strip() == "-" else weight
    return Weighted(weights)


class Weighted(Reward):
    """``sum_k w_k r_k`` over named rewards that read the same truth; a negative weight makes a penalty.

    ``correct`` is that of the *first* term, so put the verifier of the answer first. ``formatted`` where every term
    finds it so. ``parts``: each term's reward, before its weight, under the term's name, and the term's own parts as
    ``name/part``. Errors are joined. Where one term is unscored, so is the sum.

    Args:
        weights: the terms, in order, and their weights.

    Raises:
        ConfigError: no term, a name that is not known or is itself a sum, or a weight that is zero or not finite.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        if not weights:
            raise ConfigError("a weighted sum of rewards needs at least one term")
        for name, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, Real) or not math.isfinite(weight) or not weight:
                raise ConfigError(f"reward {name!r}: a weight is a finite number other than 0, not {weight!r}")
        self.weights = {name: float(weight) for name, weight in weights.items()}
        self.terms = {name: registry.get(name) for name in self.weights}
        for name, term in self.terms.items():
            if isinstance(term, Weighted):
                raise ConfigError(f"{name!r} is itself a sum of rewards; name its terms one by one")
        ends = [
            sorted((weight * getattr(term, "low", -math.inf), weight * getattr(term, "high", math.inf)))
            for weight, term in zip(self.weights.values(), self.terms.values(), strict=True)
        ]
        self.needs_truth = any(getattr(term, "needs_truth", True) for term in self.terms.values())
        self.low, self.high = sum(low for low, _ in ends), sum(high for _, high in ends)
        self.name = "".join(map(_written, self.weights, self.weights.values(), range(len(self.weights))))

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion; see ``score_many``."""
        return self.score_many([completion], [sample])[0]

    def score_many(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Score]:
        """Score several completions; every term is handed all of them at once."""
        by_term = [call_many([term] * len(samples), completions, samples) for term in self.terms.values()]
        return [self._sum(dict(zip(self.terms, scores, strict=True))) for scores in zip(*by_term, strict=True)]

    def check(self, sample: Sample) -> None:
        """Raise what the first term raises that cannot read the row's truth."""
        for term in self.terms.values():
            term.check(sample)

    def _sum(self, scores: Mapping[str, Score]) -> Score:
        total = 0.0
        unscored = False
        parts: dict[str, float] = {}
        for name, score in scores.items():
            if score.reward is None:
                unscored = True
            else:
                total += self.weights[name] * score.reward
                parts[name] = float(score.reward)
            parts |= {f"{name}/{part}": value for part, value in score.parts.items()}
        return Score(
            reward=None if unscored else total,
            correct=next(iter(scores.values())).correct,
            formatted=all(score.formatted for score in scores.values()),
            parts=parts,
            error="; ".join(f"{name}: {score.error}" for name, score in scores.items() if score.error),
            timed_out=any(score.timed_out for score in scores.values()),
            said="\n".join(score.said for score in scores.values() if score.said),
        )


def _written(name: str, weight: float, place: int) -> str:
    """A term as ``parse`` reads it at that place of the line."""
    # repr() reads back as the same number; an exponent's plus would read as that of the sum.
    number = repr(abs(weight)).removesuffix(".0").replace("e+", "e")
    term = name if number == "1" else f"{number}*{name}"
    if place:
        return f" - {term}" if weight < 0 else f" + {term}"
    return term if weight > 0 else f"-{number}*{name}"

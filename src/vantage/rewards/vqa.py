"""``mars-vqa``: a short answer compared with the truth (MARS, arXiv 2605.25437).

Deviations from the public code, which gives full marks to an empty answer and to any substring of the truth ("e" for
"yes"), and crashes on a completion or a truth without tags:

1. answers agree only where they are equal after normalisation; a part of the truth, or a truth with words around it,
   earns nothing;
2. a truth may be tagged or not;
3. plain numbers are compared as numbers, ``5.0`` and ``5``, and options by letter or text;
4. an answer that lies inside the thought is none.
"""

from __future__ import annotations

from vantage.rewards import extract, text
from vantage.rewards.base import Reward, Score
from vantage.rewards.format import mars_format, reading_error
from vantage.samples import Sample


class MarsVqa(Reward):
    """Format (at most 0.5) plus 1 if the answers agree; see ``vantage.rewards.text.agree``.

    ``formatted``: both format terms, the thought before the answer. ``parts``: the format terms ``think`` and
    ``answer``, and ``accuracy``, 0 or 1.
    """

    name = "mars-vqa"
    low = 0.0
    high = 1.5

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion; a text that cannot be read scores its format terms."""
        terms = mars_format(completion)
        answer = extract.answer(completion)
        right = answer is not None and text.agree(answer, sample.truth, sample.question)
        return Score(
            reward=sum(terms.values()) + float(right),
            correct=right,
            formatted=extract.laid_out(completion),
            parts={**terms, "accuracy": float(right)},
            error=reading_error(completion, answer, True, "readable"),
        )

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is a non-empty text, a number, or a list of them."""
        text.check(sample, self.name)

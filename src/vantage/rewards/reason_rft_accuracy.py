"""``reason-rft-accuracy``: the text of the ``<answer>`` block (Reason-RFT, whose rewards Vision-EKIPL uses).

Deviations from the public code:

1. without exactly one answer block outside the thought, or with an empty one, nothing is right; the public code takes
   the whole text;
2. one rule for training and evaluation, so that "5.0" equals "5" in both;
3. no number is looked for among the words of an answer.
"""

from __future__ import annotations

from vantage.rewards import extract
from vantage.rewards.mathematics import Equality


class ReasonRftAccuracy(Equality):
    """1 if the text of the one ``<answer>`` block is the truth, or equals it as mathematics, else 0.

    What is equal is told by ``vantage.rewards.mathematics``. The truth may stand in tags or not. ``formatted``: a
    thought and an answer block, in that order. ``parts``: ``accuracy``, 0 or 1.
    """

    name = "reason-rft-accuracy"

    def read(self, completion: str) -> tuple[str | None, str]:
        """The text of the answer block, or ``None`` and why."""
        answer = extract.answer(completion)
        return answer, "" if answer is not None else extract.no_answer(completion)

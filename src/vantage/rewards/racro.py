r"""``racro-boxed``: the answer in the box (RACRO, arXiv 2506.04559).

Deviations from the public code:

1. it turns a text without a box into the string ``None``, so that it agrees with a truth of that name: here no box
   equals nothing;
2. a box counts only behind the thought, where there is one. A reasoner may write its end, ``</think>``, alone; a
   thought that is cut off has no answer.
"""

from __future__ import annotations

from vantage.rewards import extract
from vantage.rewards.mathematics import Equality


class RacroBoxed(Equality):
    r"""1 if the content of the last ``\boxed{}`` behind the thought equals the truth, else 0.

    What is equal is told by ``vantage.rewards.mathematics``. ``formatted``: there is such a box, closed and not blank.
    ``parts``: ``accuracy``, 0 or 1.
    """

    name = "racro-boxed"

    def read(self, completion: str) -> tuple[str | None, str]:
        """The content of the last box, or ``None`` and why."""
        box = extract.boxed(extract.after_thought(completion))
        return box, "" if box is not None else "no closed box with something in it"

    def laid_out(self, completion: str) -> bool:
        """Whether there is a box to read."""
        return self.read(completion)[0] is not None

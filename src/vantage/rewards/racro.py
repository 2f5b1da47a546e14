r"""``racro-boxed``: the answer in the box (RACRO, arXiv 2506.04559).

Deviation from the public code, which turns a text without a box into the string ``None``, so that it agrees with a
truth of that name: here no box equals nothing.
"""

from __future__ import annotations

from vantage.rewards import extract
from vantage.rewards.mathematics import Equality


class RacroBoxed(Equality):
    r"""1 if the content of the last ``\boxed{}`` equals the truth, else 0.

    What is equal is told by ``vantage.rewards.mathematics``. ``formatted``: there is such a box, closed and not blank.
    ``parts``: ``accuracy``, 0 or 1.
    """

    name = "racro-boxed"

    def read(self, completion: str) -> tuple[str | None, str]:
        """The content of the last box, or ``None`` and why."""
        box = extract.boxed(completion)
        return box, "" if box is not None else "no closed box with something in it"

    def laid_out(self, completion: str) -> bool:
        """Whether there is a box to read."""
        return extract.boxed(completion) is not None

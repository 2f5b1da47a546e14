"""How a completion is laid out: the format terms of MARS (arXiv 2605.25437) and the format reward of Reason-RFT.

``reason-rft-format`` deviates from the public code, which refuses a newline at the end and accepts empty blocks and
blocks inside blocks: white space around the blocks is free, and each tag stands exactly once around something.
"""

from __future__ import annotations

from vantage.rewards import extract
from vantage.rewards.base import Reward, Score
from vantage.samples import Sample

QUARTER = 0.25


def mars_format(completion: str, *, grounding: bool = False) -> dict[str, float]:
    """The format terms by name, each 0 or 0.25; they sum to at most 0.5, or 0.75 for grounding.

    - ``think``: exactly one non-empty ``<think>`` block;
    - ``answer``: exactly one non-empty ``<answer>`` block;
    - ``json`` (grounding only): exactly one ```` ```json ```` block inside that answer.
    """
    answer = extract.block(completion, extract.ANSWER)
    terms = {
        "think": QUARTER * (extract.block(completion, extract.THINK) is not None),
        "answer": QUARTER * (answer is not None),
    }
    if grounding:
        terms["json"] = QUARTER * (answer is not None and extract.json_block(answer) is not None)
    return terms


def reading_error(completion: str, answer: str | None, readable: bool, expected: str) -> str:
    """Why the answer block of a completion could not be read; empty where it could."""
    if answer is None:
        return extract.no_answer(completion)
    return "" if readable else f"the answer is not {expected}"


class ReasonRftFormat(Reward):
    """1 if the whole completion is one ``<think>`` block, then one ``<answer>`` block, neither blank; else 0.

    Only white space may stand before, between and after them. The truth is not read, and ``correct`` is never claimed:
    in a weighted sum the verifier of the answer comes first. ``parts``: ``format``, 0 or 1.
    """

    needs_truth = False
    name = "reason-rft-format"
    low = 0.0
    high = 1.0

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion."""
        text = completion.strip()
        right = extract.laid_out(text) and text.startswith("<think>") and text.endswith("</answer>")
        right = right and not text[text.index("</think>") + len("</think>") : text.index("<answer>")].strip()
        return Score(reward=float(right), formatted=right, parts={"format": float(right)})

"""The format terms of MARS's rewards (arXiv 2605.25437): a quarter for every block laid out as asked."""

from __future__ import annotations

from vantage.rewards import extract

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

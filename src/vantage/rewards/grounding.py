"""``mars-grounding``: find every box (MARS, arXiv 2605.25437; the rule is that of its public code).

Deviation: an answer that lies inside the thought holds no boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vantage.rewards import boxes, extract, frames
from vantage.rewards.base import Reward, Score
from vantage.rewards.format import mars_format
from vantage.samples import Sample

KEEP_ABOVE = 0.3
"""A matched overlap up to this earns nothing."""

CORRECT_ABOVE = 0.5
"""The mean matched overlap over truth boxes beyond which an answer counts as right."""


def grounding_term(matched: Sequence[float], n_predicted: int) -> float:
    """The overlap term: 0 at worst, 1 + 0.3 ln n for n truth boxes at best.

        s    = (1/n) sum_i m_i [m_i > 0.3]
        term = max(0, s (1 + 0.3 ln n) - min(0.5 (p - n)/n, 1) [p > n])

    with n truth boxes of matched overlap m_i and p predictions. One box against one gives its overlap, or 0 up to 0.3.

    The penalty ends at 1, so that with several truth boxes a flood of predictions keeps up to 0.3 ln n: watch ``boxes``
    beside ``truth_boxes``.

    Args:
        matched: the overlap that each truth box got, 0..1; not empty.
        n_predicted: how many boxes were predicted, invalid ones included.
    """
    n = len(matched)
    term = sum(m for m in matched if m > KEEP_ABOVE) / n * (1 + 0.3 * math.log(n))
    if n_predicted > n:
        term -= min(0.5 * (n_predicted - n) / n, 1.0)
    return max(term, 0.0)


class MarsGrounding(Reward):
    """Format (at most 0.75) plus ``grounding_term``; one perfect box scores 1.75.

    The answer is a ```` ```json ```` block with a list of ``{"bbox_2d": [x1, y1, x2, y2], "label": ...}``. A bare JSON
    answer loses the format term only. Two fences, or JSON that cannot be read, are no boxes.

    Frames: predictions in ``metadata["frame"]``, which must be named; the truth in ``metadata["truth_frame"]``,
    ``pixel`` unless named. ``formatted``: all format terms, the thought before the answer. ``parts``: the format terms
    ``think``, ``answer``, ``json``; ``grounding``, the overlap term; ``iou``, the mean matched overlap over truth
    boxes; the counts ``boxes`` and ``truth_boxes``.
    """

    name = "mars-grounding"
    low = 0.0
    high = math.inf  # grows with the logarithm of the number of boxes

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion. Raises only what ``check`` finds: a truth or a frame that the row does not have."""
        truth = boxes.truth_boxes(sample)
        source, target = boxes.row_frames(sample, "pixel")
        terms = mars_format(completion, grounding=True)
        answer = extract.answer(completion)
        written = extract.answer_boxes(answer) if answer is not None else None
        predicted = frames.convert(written or (), sample, source, target)
        matched = boxes.match(predicted, truth)
        mean_iou = sum(matched) / len(truth)
        term = grounding_term(matched, len(predicted))
        error = "" if written is not None else "no readable JSON boxes" if answer else extract.no_answer(completion)
        return Score(
            reward=sum(terms.values()) + term,
            correct=mean_iou > CORRECT_ABOVE,
            formatted=all(terms.values()) and extract.laid_out(completion),
            parts={
                **terms,
                "grounding": term,
                "iou": mean_iou,
                "boxes": float(len(predicted)),
                "truth_boxes": float(len(truth)),
            },
            error=error,
        )

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is boxes inside the picture, ``DataError`` without a frame."""
        boxes.check_boxes(sample, "pixel")

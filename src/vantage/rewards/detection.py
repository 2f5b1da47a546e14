"""``grounding``: find every box and no other, between 0 and 1 however many boxes are written."""

from __future__ import annotations

from vantage.rewards import boxes, extract, frames
from vantage.rewards.base import Reward, Score
from vantage.rewards.extract import Box
from vantage.samples import Sample

CORRECT_ABOVE = 0.5
"""The mean matched overlap over truth boxes beyond which an answer counts as right, as for ``mars-grounding``."""

FOUND_AT = 0.5
"""The overlap from which a matched box counts for precision and recall."""

_TAGS = (f"<{extract.ANSWER}>", f"</{extract.ANSWER}>")
_FENCE = "```"


def written_boxes(completion: str) -> list[Box] | None:
    """The boxes of a completion; ``None`` where it has none that can be read.

    They are read from the one ``<answer>`` block or, where there is no such tag at all, from what stands behind the
    thought; there from the one fence, ```` ```json ```` or any other, or, where there is none, from the whole of it:
    a JSON list of ``{"bbox_2d": [x1, y1, x2, y2], ...}`` or of ``[x1, y1, x2, y2]``, one of either, or four plain
    numbers. ``bbox`` and ``box`` are read as ``bbox_2d``. An entry that is no box stays as one that overlaps nothing.
    """
    tagged = any(tag in completion for tag in _TAGS)
    text = extract.answer(completion) if tagged else extract.after_thought(completion)
    if text is not None and _FENCE in text:
        text = extract.fenced(text)
    if not text or (found := extract.boxes(text, free=True)) is not None:
        return found if text else None
    plain = extract.plain_box(text)
    return None if plain is None else [plain]


class Grounding(Reward):
    """``sum_i m_i / max(boxes, truth_boxes)`` with m_i the overlap that truth box i got from the best matching, 0..1.

    A box too many costs as much as a box too few, so that no flood of boxes pays; see ``written_boxes`` for what is
    read and ``vantage.rewards.boxes.match`` for the matching. Labels are not compared.

    Frames: predictions in ``metadata["frame"]``, which must be named; the truth in ``metadata["truth_frame"]``,
    ``pixel`` unless named. ``correct``: the mean overlap over truth boxes is above 0.5. ``formatted``: exactly one
    non-empty ``<think>`` block before exactly one non-empty ``<answer>`` block. ``parts``: ``accuracy``, the reward;
    ``iou``, the mean overlap over truth boxes; ``precision`` and ``recall``, the shares of predicted and of truth boxes
    that are matched at an overlap of 0.5 or more; the counts ``boxes`` and ``truth_boxes``.
    """

    name = "grounding"
    low = 0.0
    high = 1.0

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion. Raises only what ``check`` finds: a truth or a frame that the row does not have."""
        truth = boxes.truth_boxes(sample)
        source, target = boxes.row_frames(sample, "pixel")
        written = written_boxes(completion)
        predicted = frames.convert(written or (), sample, source, target)
        matched = boxes.match(predicted, truth)
        reward, mean_iou = sum(matched) / max(len(predicted), len(truth)), sum(matched) / len(truth)
        found = sum(overlap >= FOUND_AT for overlap in matched)
        return Score(
            reward=reward,
            correct=mean_iou > CORRECT_ABOVE,
            formatted=extract.laid_out(completion),
            parts={
                "accuracy": reward,
                "iou": mean_iou,
                "precision": found / len(predicted) if predicted else 0.0,
                "recall": found / len(truth),
                "boxes": float(len(predicted)),
                "truth_boxes": float(len(truth)),
            },
            error="" if written is not None else "no readable boxes",
        )

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is boxes inside the picture, ``DataError`` without a frame."""
        boxes.check_boxes(sample, "pixel")

"""``answer`` and ``box``: one binary check of what stands in the ``<answer>`` block."""

from __future__ import annotations

from vantage.errors import TruthError
from vantage.rewards import boxes, extract, frames, text
from vantage.rewards.base import Reward, Score
from vantage.samples import Sample

IOU_AT_LEAST = 0.5


class Answer(Reward):
    """1 if the one ``<answer>`` block agrees with the truth as a text, a choice or a plain number, else 0.

    The truth is a text, a number, or a list of those that are accepted; ``two or 2`` accepts either. Texts and choices
    agree as ``vantage.rewards.text.agree`` has it, ``5.0`` with ``5`` too. ``formatted``: exactly one
    non-empty ``<think>`` block before exactly one non-empty ``<answer>`` block. ``parts``: ``accuracy`` and
    ``format``, each 0 or 1; format does not enter the reward.
    """

    name = "answer"
    low = 0.0
    high = 1.0

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion; a text that cannot be read scores 0."""
        answer = extract.answer(completion)
        right = answer is not None and text.agree(answer, sample.truth, sample.question)
        return _binary(completion, answer, right)

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is a non-empty text, a number, or a list of them."""
        text.check(sample, self.name)


class BoxAnswer(Reward):
    """1 if the four numbers of the one ``<answer>`` block overlap the truth by an IoU of at least 0.5, else 0.

    The answer is ``2 1 4 5``, also with commas or brackets. The truth is one box. Frames: the prediction in
    ``metadata["frame"]``, which must be named; the truth in ``metadata["truth_frame"]``, *the same frame* unless
    named. ``formatted`` and ``parts`` as for ``answer``, with ``iou`` beside them.
    """

    name = "box"
    low = 0.0
    high = 1.0

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one completion. Raises only what ``check`` finds: a truth or a frame that the row does not have."""
        truth = boxes.truth_boxes(sample)
        source, target = boxes.row_frames(sample, None)
        answer = extract.answer(completion)
        box = extract.plain_box(answer) if answer is not None else None
        iou = 0.0 if box is None else boxes.iou(frames.convert([box], sample, source, target)[0], truth[0])
        error = "the answer is not four numbers" if answer is not None and box is None else ""
        return _binary(completion, answer, iou >= IOU_AT_LEAST, {"iou": iou}, error)

    def check(self, sample: Sample) -> None:
        """Raise ``TruthError`` unless the truth is one box inside the picture, ``DataError`` without a frame."""
        if len(boxes.truth_boxes(sample)) != 1:
            raise TruthError(f"row {sample.id!r}: reward 'box' compares with exactly one box, not {sample.truth!r}")
        boxes.check_boxes(sample, None)


def _binary(
    completion: str, answer: str | None, right: bool, extra: dict[str, float] | None = None, error: str = ""
) -> Score:
    formatted = extract.laid_out(completion)
    return Score(
        reward=float(right),
        correct=right,
        formatted=formatted,
        parts={"accuracy": float(right), "format": float(formatted), **(extra or {})},
        error=error if answer is not None else extract.no_answer(completion),
    )

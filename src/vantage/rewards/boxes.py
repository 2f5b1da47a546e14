"""Boxes: overlap, one-to-one matching, and reading the boxes of a truth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from vantage.errors import TruthError
from vantage.rewards import frames
from vantage.rewards.extract import Box, four_numbers
from vantage.rewards.text import shown
from vantage.samples import Sample

_AT_ONCE = 2_000
"""Predictions whose overlaps are in memory at once."""

_FEW = 30
"""Pairs up to which plain Python is faster than NumPy."""

SLACK = 0.02
"""How far, as a share of the picture's side, a truth may reach beyond the picture before its frame is doubted."""


def iou_matrix(predicted: Sequence[Box], truth: Sequence[Box]) -> np.ndarray:
    """Intersection over union of every pair, [P, T], in 0..1.

    A box without area, turned inside out, or with a coordinate that is not finite overlaps nothing, itself included.
    Overlap does not depend on the frame as long as both sides are in the same one.
    """
    a_P_4, b_T_4 = (np.asarray(x, dtype=np.float64).reshape(-1, 4) for x in (predicted, truth))
    with np.errstate(all="ignore"):
        inter_P_T = np.ones((len(a_P_4), len(b_T_4)))
        for low, high in ((0, 2), (1, 3)):
            side_P_T = np.minimum(a_P_4[:, None, high], b_T_4[None, :, high])
            side_P_T -= np.maximum(a_P_4[:, None, low], b_T_4[None, :, low])
            inter_P_T *= np.maximum(side_P_T, 0.0, out=side_P_T)
        area_P, area_T = ((x[:, 2:] - x[:, :2]).prod(-1) for x in (a_P_4, b_T_4))
        iou_P_T = inter_P_T / (area_P[:, None] + area_T[None, :] - inter_P_T)
    usable_P_T = _usable(a_P_4)[:, None] & _usable(b_T_4)[None, :] & np.isfinite(iou_P_T)
    return np.clip(np.where(usable_P_T, iou_P_T, 0.0), 0.0, 1.0)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes of the same frame, in 0..1; see ``iou_matrix`` for boxes that are none."""
    if not (_usable_box(a) and _usable_box(b)):
        return 0.0
    inter = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    share = inter / union if union else math.nan
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0


def match(predicted: Sequence[Box], truth: Sequence[Box]) -> list[float]:
    """The overlap that each truth box gets from the one-to-one matching of the largest total overlap (Hungarian).

    Returns:
        One value per truth box, in 0..1; 0 where no prediction is left for it.
    """
    matched = np.zeros(len(truth))
    # An answer may hold a hundred thousand entries that are no boxes, or one box as often; they need no row each.
    counted = Counter((x1, y1, x2, y2) for x1, y1, x2, y2 in predicted if not math.isnan(x1))
    predicted = [box for box, count in counted.items() for _ in range(min(count, len(truth)))]
    if predicted and len(truth):
        overlap = _contenders(predicted, truth)
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        matched[columns] = overlap[rows, columns]
    return matched.tolist()


def _contenders(predicted: Sequence[Box], truth: Sequence[Box]) -> np.ndarray:
    """Overlaps of the predictions that a best matching may need, [C, T]; memory does not grow with their number.

    One that is not among the T best of any truth box can always give way to one that is, since T - 1 of those are
    taken at most.
    """
    if len(predicted) * len(truth) <= _FEW:
        return np.array([[iou(box, other) for other in truth] for box in predicted])
    kept_C_T = np.zeros((0, len(truth)))
    for start in range(0, len(predicted), _AT_ONCE):
        overlap_P_T = iou_matrix(predicted[start : start + _AT_ONCE], truth)
        kept_C_T = np.concatenate([kept_C_T, overlap_P_T[overlap_P_T.any(-1)]])
        if len(kept_C_T) > len(truth) ** 2 + 5 * _AT_ONCE:
            best_T_T = np.argpartition(kept_C_T, -len(truth), axis=0)[-len(truth) :]
            kept_C_T = kept_C_T[np.unique(best_T_T)]
    return kept_C_T


def truth_boxes(sample: Sample) -> list[Box]:
    """The boxes of a truth: a list of ``[x1, y1, x2, y2]`` or ``{"bbox_2d": [...]}``, or one flat list of four numbers.

    Raises:
        TruthError: no box at all, or an entry that is no box with an area; names the row and the entry.
    """
    truth = sample.truth
    if four_numbers(truth) is not None:
        truth = [truth]
    if not isinstance(truth, (list, tuple)) or not truth:
        raise TruthError(
            f"row {sample.id!r}: the truth is a non-empty list of boxes [x1, y1, x2, y2], not {shown(sample.truth)}"
        )
    found: list[Box] = []
    for entry in truth:
        box = four_numbers(entry.get("bbox_2d") if isinstance(entry, dict) else entry)
        if box is None or not _usable_box(box):
            raise TruthError(
                f"row {sample.id!r}: {shown(entry)} is no box; a box is [x1, y1, x2, y2] with x1 < x2 and y1 < y2"
            )
        found.append(box)
    return found


def check_boxes(sample: Sample, truth_frame: str | None) -> None:
    """Check that a row's truth is boxes, inside the picture, and that predictions can be brought to their frame.

    Args:
        sample: the row.
        truth_frame: the reward's default where the metadata names no ``truth_frame``; ``None``: the model's frame.

    Raises:
        TruthError: the truth is no boxes, or lies outside the picture, which a wrong frame explains best.
        DataError: a frame is missing, or a size that a frame needs.
    """
    truth = truth_boxes(sample)
    source, target = row_frames(sample, truth_frame)
    frames.span_of(sample, source)  # for its errors: predictions will need it
    width, height = frames.span_of(sample, target)
    for x1, y1, x2, y2 in truth:
        if min(x1 / width, y1 / height) < -SLACK or max(x2 / width, y2 / height) > 1 + SLACK:
            raise TruthError(
                f"row {sample.id!r}: box {[x1, y1, x2, y2]} reaches out of the picture, which is "
                f"{width:g}x{height:g} in the truth's frame '{target}'; is the frame right?"
            )


def row_frames(sample: Sample, truth_frame: str | None) -> tuple[frames.Frame, frames.Frame]:
    """The row's two frames, the model's and the truth's; ``truth_frame`` as in ``check_boxes``.

    Raises:
        DataError: the model's frame is missing, or one of the two does not exist.
    """
    source = frames.frame_of(sample)
    target = frames.frame_of(sample, "truth_frame", truth_frame if truth_frame is not None else str(source))
    return source, target


def _usable_box(box: Box) -> bool:
    return box[2] > box[0] and box[3] > box[1] and all(map(math.isfinite, box))


def _usable(boxes_N_4: np.ndarray) -> np.ndarray:
    finite_N = np.isfinite(boxes_N_4).all(-1)
    return finite_N & (boxes_N_4[:, 2] > boxes_N_4[:, 0]) & (boxes_N_4[:, 3] > boxes_N_4[:, 1])

"""Does seeing more mean knowing more, for this very picture?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vantage import rewards
from vantage.app.asking import Panel
from vantage.captions.reading import handed
from vantage.rewards import boxes, extract
from vantage.samples import Sample

Tone = Literal["good", "bad", "plain"]

ALIKE = 0.5
"""Overlap from which two boxes are the same answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A sentence, and whether it is good news."""

    text: str
    tone: Tone = "plain"


def right(panel: Panel, sample: Sample) -> bool | None:
    """Whether a panel's answer is right; ``None`` where there is no truth, or no answer yet."""
    if sample.truth is None or panel.answer is None:
        return None
    answer = panel.answer
    text = answer.reasoning if answer.reasoning is not None else answer.tentative or ""
    return rewards.get(sample.reward).score(handed(text, "tags"), sample).correct


def verdict(panels: Sequence[Panel], sample: Sample) -> Verdict | None:
    """What the comparison says; ``None`` while it runs, or where nothing is compared or something went wrong."""
    together, *alone = panels
    if not alone or any(panel.answer is None or panel.error for panel in panels):
        return None
    if sample.truth is None:
        return _agreement(together, alone)
    hits = [panel.origin.name for panel in alone if right(panel, sample)]
    misses = [panel.origin.name for panel in alone if panel.origin.name not in hits]
    if right(together, sample):
        if not hits:
            return Verdict("Seeing more was knowing more: only all sources together gave the right answer.", "good")
        if misses:
            return Verdict(
                f"Right together. {_each(hits, 'Each of ')} alone would have been enough, {_listed(misses)} would not.",
                "good",
            )
        return Verdict("Right, and each source alone was enough.", "good")
    if hits:
        return Verdict(f"Interference: {_each(hits)} alone was right, all sources together were not.", "bad")
    return Verdict("Neither together nor alone did the sources give the right answer.", "bad")


def _agreement(together: Panel, alone: Sequence[Panel]) -> Verdict:
    if together.answer is None or (together.answer.final is None and not together.boxes):
        return Verdict("All sources together led to no final answer.")
    same = [panel.origin.name for panel in alone if alike(panel, together)]
    other = [panel.origin.name for panel in alone if panel.origin.name not in same]
    if not same and all(alike(panel, alone[0]) for panel in alone[1:]) and len(alone) > 1:
        return Verdict("Each source alone gives one and the same answer, all together another.")
    if not same:
        return Verdict("All sources together give an answer that none of them gives alone.")
    if other:
        return Verdict(f"All sources together agree with {_each(same)} alone, not with {_listed(other)}.")
    return Verdict("All sources together and each alone give the same answer.")


def alike(one: Panel, other: Panel) -> bool:
    """Whether two panels give the same answer: the same words, or boxes that overlap one to one."""
    if one.boxes and other.boxes:
        overlaps = boxes.match(one.boxes, other.boxes)
        return len(one.boxes) == len(other.boxes) and min(overlaps) >= ALIKE
    finals = [panel.answer.final if panel.answer else None for panel in (one, other)]
    if finals[0] is None or finals[1] is None:
        return False  # two that say nothing do not agree
    return extract.normalise(finals[0]) == extract.normalise(finals[1])


def _each(names: Sequence[str], several: str = "each of ") -> str:
    return names[0] if len(names) == 1 else several + _listed(names)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}"

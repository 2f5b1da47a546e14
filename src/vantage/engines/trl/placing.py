"""What stands in the rows of single-source answers that are trained on: themselves, or what the controls put there."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from vantage.engines.trl.rollout import Rollout
from vantage.engines.trl.texts import Texts
from vantage.groups import Member
from vantage.guests import Refusal
from vantage.rewards import call_many, extract
from vantage.rewards.base import Completion
from vantage.samples import Sample
from vantage.worlds import answer_text, gold

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer

logger = logging.getLogger(__name__)

KINDS = ("empty", "long", "control", "lossy", "wrong", "log-probs")
"""Why nothing is learned in the row of an anchor: kinds of ``vantage.guests.Refusal``, a text that is not right, and
log-probs that are wanted."""


class Placing:
    """Fills the rows of anchors that are trained on.

    Args:
        trainer: whose method says with what.
        texts: makes tokens of texts.
    """

    def __init__(self, trainer: VantageTrainer, texts: Texts) -> None:
        self._trainer, self._texts = trainer, texts
        self._told: set[str] = set()

    def place(self, rollout: Rollout, size: int) -> dict[str, float]:
        """Put what the method wants to be learned in the place of anchors; what cannot be learned is not trained on.

        Args:
            rollout: judged groups, which are changed.
            size: fused rollouts of each.

        Returns:
            Where something may be refused: the share of anchors to be trained on that are not, ``anchors/missing``, and
            that of each reason, ``anchors/missing/<kind>``, over all processes; NaN where there are none.
        """
        method = self._trainer.method
        weighed = method.off_policy is not None and method.off_policy.kind == "behaviour"
        if method.anchor_text == "anchor" and (method.wants_guests or not weighed):
            return {}
        places = [
            (index, column)
            for index, group in enumerate(rollout.groups)
            for column in rollout.trained[index].nonzero().flatten().tolist()
            if group.members[column].origin.kind == "mono"
        ]
        if method.anchor_text == "anchor":
            found = [self._drawn(rollout.groups[index].members[column]) for index, column in places]
        else:
            found = self._written(method.anchor_text, rollout, places, size)
        for (index, column), refusal in zip(places, found, strict=True):
            if refusal is not None:
                member = rollout.groups[index].members[column]
                member.trained, member.advantage, member.refused = False, 0.0, refusal.reason
                rollout.trained[index, column], rollout.advantages[index, column] = False, 0.0
                self._tell(refusal)
        return self._figures([refusal.kind for refusal in found if refusal is not None], len(places))

    def _drawn(self, member: Member) -> Refusal | None:
        """Why an anchor cannot be weighed by the probability with which it was drawn."""
        return Refusal("log-probs: whoever generates tells none") if member.logprobs is None else None

    def _written(
        self, placed: str, rollout: Rollout, places: Sequence[tuple[int, int]], size: int
    ) -> list[Refusal | None]:
        """Write a text that is right into every place, or say why it has none."""
        options: list[tuple[int, str]] = []
        for number, (index, column) in enumerate(places):
            group = rollout.groups[index]
            made = texts(placed, group.sample, group.members[(column - size) % size])
            options += [(number, one) for one in made]
        samples = [rollout.groups[places[number][0]].sample for number, _ in options]
        rewards = [self._trainer.verifier.reward or sample.reward for sample in samples]
        scores = call_many(rewards, [Completion(one) for _, one in options], samples)
        right: dict[int, str] = {}
        for (number, one), score in zip(options, scores, strict=True):
            if score.correct:
                right.setdefault(number, one)
        return [self._fill(rollout, place, right.get(number)) for number, place in enumerate(places)]

    def _fill(self, rollout: Rollout, place: tuple[int, int], right: str | None) -> Refusal | None:
        """Write a text into one place, or say why it cannot stand there."""
        if right is None:
            return Refusal("wrong: the reward does not take what was written for right")
        ids = self._texts.ids(right)
        if isinstance(ids, Refusal):
            return ids
        index, column = place
        rollout.groups[index].members[column].placed = right
        rollout.completion_ids[index][column] = ids
        if rollout.logprobs is not None:
            rollout.logprobs[index][column] = [None] * len(ids)
        return None

    def _tell(self, refusal: Refusal) -> None:
        if refusal.kind not in self._told:
            self._told.add(refusal.kind)
            logger.warning("an anchor is not learned from: %s; further ones are only counted", refusal.reason)

    def _figures(self, kinds: list[str], places: int) -> dict[str, float]:
        accelerator = self._trainer.accelerator
        counts = torch.tensor([[places, *(kinds.count(kind) for kind in KINDS)]], device=accelerator.device)
        wanted, *missing = accelerator.gather(counts).sum(0).tolist()
        shares = [count / wanted if wanted else float("nan") for count in (sum(missing), *missing)]
        return dict(zip(("anchors/missing", *(f"anchors/missing/{kind}" for kind in KINDS)), shares, strict=True))


def texts(placed: str, sample: Sample, rollout: Member) -> list[str]:
    """Completions of which one should be right: written from the truth, or a rollout whose answer alone is exchanged.

    Args:
        placed: ``truth`` or ``relabelled``.
        sample: whose truth it is.
        rollout: the rollout whose thought is kept.

    Raises:
        ConfigError: ``truth`` of a sample that is not drawn, so that its reasoning is not known.
    """
    if placed == "truth":
        return [gold(sample)]
    thought = (extract.block(rollout.text, extract.THINK) or "").strip()
    open_, close = f"<{extract.THINK}>", f"</{extract.THINK}>"
    return [
        f"{open_} {thought} {close} <{extract.ANSWER}> {answer} </{extract.ANSWER}>"
        for answer in _answers(sample.truth)
    ]


def _answers(truth: Any) -> list[str]:
    """A truth as answers write it: of alternatives the first; boxes as bare numbers, or as models list them."""
    if not isinstance(truth, (dict, list, tuple)):
        return [answer_text(truth)]
    listed = list(truth) if not isinstance(truth, dict) else []
    if listed and all(isinstance(one, str) for one in listed):
        return listed[:1]
    bare = [answer_text(truth)] if extract.four_numbers(truth) else []
    boxes = [truth] if bare else listed
    if boxes and all(map(extract.four_numbers, boxes)):
        truth = [{"bbox_2d": list(box)} for box in boxes]
    return [*bare, json.dumps(truth, ensure_ascii=False)]


def drawn_with(logprobs: Sequence[float | None] | None, ids: Sequence[int]) -> list[float] | None:
    """Log-probs of an answer's tokens, where whoever generated tells all of them."""
    known = [value for value in logprobs or () if value is not None]
    return known if logprobs is not None and len(known) == len(logprobs) == len(ids) else None

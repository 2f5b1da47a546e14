"""Guests in the rollout phase: asked while the policy speaks, heard when it has spoken."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from vantage.engines.trl.texts import Texts
from vantage.groups import Group, Member, Origin
from vantage.guests import Asked, Guests, Refusal, Utterance, aligned_logprobs
from vantage.methods import Decision, Rewards
from vantage.methods.metrics import guest_metrics
from vantage.samples import Sample

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer

logger = logging.getLogger(__name__)

MISSING = ("late", "failed", "budget", "cut", "empty", "long", "control", "lossy", "log-probs")
"""Why a guest's answer has no place in a group: kinds of ``vantage.guests.Refusal``, and log-probs that are wanted."""


class GuestRows:
    """The columns of a batch that other models speak.

    Args:
        trainer: whose policy's tokens the answers become.
        guests: who is asked.
        texts: makes tokens of what they say.
    """

    def __init__(self, trainer: VantageTrainer, guests: Guests, texts: Texts) -> None:
        self._trainer, self._guests, self._texts = trainer, guests, texts
        self._step, self._left = -1, 0.0
        self._heard = False

    @property
    def columns(self) -> tuple[Origin, ...]:
        """One for each answer that a question gets."""
        return self._guests.columns

    def ask(self, samples: Sequence[Sample]) -> Asked:
        """Begin to ask, without waiting."""
        # Within an epoch a question has the same answers whenever it is asked, and in a resumed run too.
        turn = int(self._trainer.state.epoch or 0)
        return self._guests.start(samples, self._trainer.style, [turn] * len(samples))

    def members(self, asked: Asked) -> list[list[Member]]:
        """What came, in the policy's tokens, a line of E members for each question.

        One that did not come, or that the policy's tokens cannot say, has no token and says why in ``refused``. All
        generations of a step wait no longer together than one may.
        """
        step = self._trainer.state.global_step
        if step != self._step:
            self._step, self._left = step, self._guests.wait
        start = time.monotonic()
        came = asked.collect(self._left)
        self._left = max(0.0, self._left - (time.monotonic() - start))
        lines = [
            [self._member(origin, answer) for origin, answer in zip(self.columns, line, strict=True)] for line in came
        ]
        if not self._heard:
            self._heard = True
            self._warn_of_silent(lines)
        return lines

    def _warn_of_silent(self, lines: list[list[Member]]) -> None:
        """Say which guests gave nothing at all when they were first asked: their settings may be wrong for good."""
        for name in dict.fromkeys(origin.name for origin in self.columns):
            own = [member for line in lines for member in line if member.origin.name == name]
            if own and all(member.refused for member in own):
                logger.warning(
                    "guest %r gave nothing to the first generation: none of its %d answers has a place; the first: %s",
                    name, len(own), own[0].refused,
                )  # fmt: skip

    def _member(self, origin: Origin, answer: Utterance | Refusal) -> Member:
        trainer = self._trainer
        if isinstance(answer, Refusal):
            return Member(origin, "", refused=answer.reason)
        ids = self._texts.ids(answer.text)
        if isinstance(ids, Refusal):
            return self._refused(origin, ids)
        logprobs = aligned_logprobs(answer, ids, trainer._tokenizer)
        ratio = trainer.method.off_policy
        if logprobs is None and ratio is not None and ratio.kind == "behaviour":
            return self._refused(origin, Refusal("log-probs: none for each of the policy's tokens"))
        text = trainer._tokenizer.decode(ids, skip_special_tokens=True)
        return Member(origin, text, ids, logprobs=logprobs)

    def _refused(self, origin: Origin, refusal: Refusal) -> Member:
        self._guests.tell(origin.name, refusal)
        return Member(origin, "", refused=refusal.reason)

    def figures(self, rewards: Rewards, decision: Decision, groups: Sequence[Group]) -> dict[str, float]:
        """What became of the guests of all processes.

        Beside ``guest_metrics``: the share of their answers that have no place in a group, ``guests/missing``, that of
        each guest's, ``guests/<name>/missing``, and that of each reason, ``guests/missing/<kind>``.

        Args:
            rewards: of every member of every process.
            decision: what the method made of the rewards.
            groups: of this process, whose guests have spoken.
        """
        accelerator = self._trainer.accelerator
        names = dict.fromkeys(origin.name for origin in self.columns)
        members = [member for group in groups for member in group.of("guest")]
        kinds = [Refusal(member.refused).kind for member in members]
        empty = [member.origin.name for member in members if member.refused]
        parts = (
            [len(members)],
            [kinds.count(kind) for kind in MISSING],
            [sum(member.origin.name == name for member in members) for name in names],
            [empty.count(name) for name in names],
        )
        counts = torch.tensor([[one for part in parts for one in part]], device=accelerator.device)
        summed = iter(accelerator.gather(counts).sum(0).tolist())
        (asked,), missing, asked_of, missing_of = ([next(summed) for _ in part] for part in parts)
        shares = {f"guests/missing/{kind}": count / asked for kind, count in zip(MISSING, missing, strict=True)}
        each = zip(names, missing_of, asked_of, strict=True)
        shares |= {f"guests/{name}/missing": count / max(1, of) for name, count, of in each}
        found = guest_metrics(rewards, decision, [origin.name for origin in self.columns])
        return {**found, "guests/missing": sum(missing) / asked, **shares}

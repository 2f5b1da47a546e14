"""Guests in the rollout phase: asked while the policy speaks, heard when it has spoken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from vantage.groups import Group, Member, Origin
from vantage.guests import Asked, Guests, Refusal, Utterance
from vantage.guests.tokens import aligned_logprobs, represent
from vantage.methods import Decision, Rewards
from vantage.methods.metrics import guest_metrics
from vantage.models import placeholder_ids
from vantage.samples import Sample

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer


MISSING = ("late", "failed", "budget", "cut", "empty", "long", "control", "lossy", "log-probs")
"""Why a guest's answer has no place in a group: kinds of ``vantage.guests.Refusal``, and log-probs that are wanted."""


class GuestRows:
    """The columns of a batch that other models speak.

    Args:
        trainer: whose policy's tokens the answers become.
        guests: who is asked.
    """

    def __init__(self, trainer: VantageTrainer, guests: Guests) -> None:
        self._trainer, self._guests = trainer, guests

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

        One that did not come, or that the policy's tokens cannot say, has no token and says why in ``refused``.
        """
        return [
            [self._member(origin, answer) for origin, answer in zip(self.columns, line, strict=True)]
            for line in asked.collect()
        ]

    def _member(self, origin: Origin, answer: Utterance | Refusal) -> Member:
        trainer = self._trainer
        if isinstance(answer, Refusal):
            return Member(origin, "", refused=answer.reason)
        tokenizer = trainer._tokenizer
        ids = represent(
            answer.text,
            tokenizer,
            placeholder_ids(trainer.model.config, tokenizer),
            trainer.max_completion_length,
            tokenizer.eos_token_id,
        )
        if isinstance(ids, Refusal):
            return Member(origin, "", refused=ids.reason)
        logprobs = aligned_logprobs(answer, ids, tokenizer)
        ratio = trainer.method.off_policy
        if logprobs is None and ratio is not None and ratio.kind == "behaviour":
            return Member(origin, "", refused="log-probs: none for each of the policy's tokens")
        text = tokenizer.decode(ids, skip_special_tokens=True)
        return Member(origin, text, ids, logprobs=logprobs)

    def figures(self, rewards: Rewards, decision: Decision, groups: Sequence[Group]) -> dict[str, float]:
        """What became of the guests of all processes.

        Beside ``guest_metrics``: the share of their answers that have no place in a group, ``guests/missing``, and that
        of each reason, ``guests/missing/<kind>``.

        Args:
            rewards: of every member of every process.
            decision: what the method made of the rewards.
            groups: of this process, whose guests have spoken.
        """
        accelerator = self._trainer.accelerator
        kinds = [Refusal(member.refused).kind for group in groups for member in group.of("guest")]
        counts = torch.tensor([[len(kinds), *(kinds.count(kind) for kind in MISSING)]], device=accelerator.device)
        asked, *missing = accelerator.gather(counts).sum(0).tolist()
        shares = {f"guests/missing/{kind}": count / asked for kind, count in zip(MISSING, missing, strict=True)}
        found = guest_metrics(rewards, decision, [origin.name for origin in self.columns])
        return {**found, "guests/missing": sum(shares.values()), **shares}

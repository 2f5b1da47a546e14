"""Rows that the policy did not sample under the prompt that they are trained with, inside the stock trainer's loss.

The stock loss of a token is ``-min(rho A, clip(rho) A)`` with ``rho = pi / pi_old``, or with ``pi_old`` replaced by any
other tensor that is handed in. For an off-policy token whose method wants the gradient ``-A w grad log pi``, the
log-probs of this very pass are handed in as the old ones, so that ``rho`` is 1 and its gradient that of ``log pi``, and
``A w`` as the advantage. So no line of the stock loss is written again, and rows of the policy pass through untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from trl import GRPOConfig

from vantage.errors import ConfigError
from vantage.methods.ratio import Ratio, weights

if TYPE_CHECKING:
    from vantage.engines.trl.phase import Collected
    from vantage.engines.trl.trainer import VantageTrainer

ROWS, GUEST, BEHAVIOUR = "off_policy", "guest", "behaviour_logps"
"""Of a batch: which rows are off-policy (B,), the place of the guest who said each, -1 where none did (B,), and the
log-probs of their tokens under who said them (B, T)."""

LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo")
"""Losses whose gradient at a ratio of 1 is ``-A grad log pi``; of ``cispo`` where ``epsilon_high`` is at least 1."""


CLIPPED = ("grpo", "dapo", "bnpo", "dr_grpo")
"""Losses of TRL that clip the ratio to 1 - epsilon .. 1 + epsilon_high."""


def reconcile(ratio: Ratio, args: GRPOConfig) -> None:
    """Refuse settings under which another ratio than the stock one would mean something else.

    Args:
        ratio: the method's.
        args: the stock trainer's settings.

    Raises:
        ConfigError: names the setting, its value and what would be right.
    """
    if ratio.kind == "paper":
        return
    why = f"method.ratio is {ratio.kind!r}, which sets the weight of every token of a guest; "
    if args.loss_type not in LOSSES:
        raise ConfigError(f"{why}loss_type {args.loss_type!r} gives it another meaning, use one of {', '.join(LOSSES)}")
    most = args.epsilon if args.epsilon_high is None else args.epsilon_high
    if args.loss_type == "cispo" and most < 1:
        raise ConfigError(f"{why}loss_type 'cispo' cuts it to epsilon_high, {most:g}; set epsilon_high to 1 or more")
    if args.importance_sampling_level != "token":
        raise ConfigError(f"{why}importance_sampling_level must be 'token', not {args.importance_sampling_level!r}")
    if args.use_liger_kernel:
        raise ConfigError(f"{why}the fused kernel takes none, set use_liger_kernel: false")


class OffPolicy:
    """Puts the method's ratio into the stock loss, and notes what it did.

    Args:
        trainer: whose loss it is.
        ratio: the method's.
        guests: names of the guests, the same in every process; each has figures of its own.
    """

    def __init__(self, trainer: VantageTrainer, ratio: Ratio, guests: Sequence[str] = ()) -> None:
        self._trainer, self._ratio, self._guests = trainer, ratio, tuple(guests)
        self._inputs: dict[str, Any] | None = None

    def enter(self, collected: Collected, output: dict[str, Any]) -> None:
        """Mark the rows of a generation batch that are off-policy."""
        room, rollout = self._trainer.num_generations, collected.rollout
        device, ids = output["completion_ids"].device, output["completion_ids"]
        places = [(index, *row) for index, rows in enumerate(rollout.rows(room)) for row in rows]
        known = torch.zeros(ids.shape, dtype=torch.float32, device=device)
        marks, speakers = [], []
        for line, (index, column, live) in enumerate(places):
            member = rollout.groups[index].members[column]
            marks.append(live and index not in collected.fillers and member.origin.kind != "fused")
            named = marks[-1] and member.origin.kind == "guest"
            speakers.append(self._guests.index(member.origin.name) if named else -1)
            if marks[-1] and member.logprobs is not None:
                known[line, : len(member.logprobs)] = torch.tensor(member.logprobs, device=device)
        output[ROWS] = torch.tensor(marks, device=device)
        output[GUEST] = torch.tensor(speakers, device=device)
        output[BEHAVIOUR] = known
        if "importance_sampling_ratio" in output:
            # Nobody sampled these rows with the rollout engine, so there is nothing to correct.
            output["importance_sampling_ratio"] = torch.where(
                output[ROWS].unsqueeze(1), 1.0, output["importance_sampling_ratio"]
            )

    @contextmanager
    def loss(self, inputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The inputs of one loss; what is changed of them, changes for this loss alone."""
        self._inputs = dict(inputs)
        try:
            yield self._inputs
        finally:
            self._inputs = None

    def weigh(self, logps: Float[Tensor, "B T"]) -> None:
        """Called with the policy's log-probs before the stock loss reads old ones and advantages."""
        inputs = self._inputs
        if inputs is None or ROWS not in inputs:
            return
        rows: Bool[Tensor, "B 1"] = inputs[ROWS].unsqueeze(1)
        now = logps.detach()
        old = inputs.get("old_per_token_logps")
        mask = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        factor = weights(self._ratio, now, now if old is None else old, inputs[BEHAVIOUR])
        advantages = inputs["advantages"].unsqueeze(1)
        if self._ratio.kind == "paper" and self._trainer.importance_sampling_level == "sequence":
            # As the stock loss: one ratio a row, the geometric mean of those of its tokens.
            logs = (factor.log() * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
            factor = logs.exp().expand_as(factor)
        tokens = rows & mask.bool()
        self._note(tokens, inputs[GUEST].unsqueeze(1), now, factor, self._clipped(factor, advantages))
        if self._ratio.kind == "paper":
            return
        if old is not None:
            inputs["old_per_token_logps"] = torch.where(rows, now, old)
        # Padding carries weights of no meaning, and no loss.
        inputs["advantages"] = torch.where(tokens, advantages * factor, advantages.expand_as(factor))

    def _note(
        self,
        tokens: Bool[Tensor, "B T"],
        speakers: Int[Tensor, "B 1"],
        logps: Float[Tensor, "B T"],
        factor: Float[Tensor, "B T"],
        clipped: Bool[Tensor, "B T"],
    ) -> None:
        """Figures of the off-policy tokens of all processes, and of each guest's; all call it equally often."""

        def sums(of: Tensor) -> list[Tensor]:
            w = torch.where(of, factor, 0.0).double()
            logp = torch.where(of, logps, 0.0).double()
            return [of.sum().double(), logp.sum(), (clipped & of).sum().double(), w.sum(), (w**2).sum()]

        trainer = self._trainer
        parts = [tokens, *(tokens & (speakers == place) for place in range(len(self._guests)))]
        names = ["off_policy", *(f"guests/{name}" for name in self._guests)]
        local = torch.stack([one for part in parts for one in sums(part)])
        found = trainer.accelerator.gather(local.unsqueeze(0)).sum(0).reshape(len(parts), -1).tolist()
        for name, (count, logp, cut, total, squares) in zip(names, found, strict=True):
            if count:
                trainer._note(
                    {
                        f"{name}/logp": logp / count,
                        f"{name}/clipped": cut / count,
                        f"{name}/weight": total / count,
                        f"{name}/ess": total**2 / (squares * count) if squares else 0.0,
                    }
                )

    def _clipped(self, factor: Float[Tensor, "B T"], advantages: Float[Tensor, "B 1"]) -> Bool[Tensor, "B T"]:
        """Tokens that the stock loss clips, as it counts them, or that are at the truncation."""
        trainer = self._trainer
        if self._ratio.kind == "behaviour":
            return factor >= self._ratio.truncation
        if self._ratio.kind == "paper" and trainer.loss_type == "cispo":
            return (factor > trainer.epsilon_high) & (advantages > 0)
        if self._ratio.kind == "paper" and trainer.loss_type in CLIPPED:
            low, high = factor < 1 - trainer.epsilon_low, factor > 1 + trainer.epsilon_high
            return (low & (advantages < 0)) | (high & (advantages > 0))
        return torch.zeros_like(factor, dtype=torch.bool)

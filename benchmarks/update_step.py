"""What the update of one group costs, its prompt repeated as in TRL, and shared: one forward and one backward pass.

    python benchmarks/update_step.py --prompt 512 --completion 64 --group 8

Both sides run in one process in rounds that alternate; peak memory is that of a process a side. The run fails where the
sides do not agree. Prints one JSON object; ratios are stock over shared, larger is better.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from measuring import STOCK, alternate, comparison, fits, machine, output_option, peak, peaks, publish, say
from parts import parts_of
from shapes import (
    PICTURES,
    SHORTEST,
    Setup,
    Shape,
    build,
    chosen,
    completions,
    model_options,
    prompt,
    repeated,
    shape_options,
    training_options,
)
from torch import Tensor
from transformers import PreTrainedModel
from trl import GRPOTrainer
from trl.trainer.utils import add_fused_lm_head

from vantage import sharing

SIDES = (STOCK, "portable", "fast")
TOLERANCE = {"float32": {"log_probs": 2e-5, "gradient": 1e-5}, "bfloat16": {"log_probs": 0.1, "gradient": 0.1}}
"""Largest difference of a log-prob in nats; norm of the difference of a gradient over the norm of the gradient."""

# The method itself, without what it logs; of its trainer it needs an accelerator that casts.
_stock_log_probs = inspect.unwrap(GRPOTrainer._get_per_token_logps_and_entropies)
_TRAINER = SimpleNamespace(accelerator=SimpleNamespace(autocast=nullcontext))


class Update:
    """The update of one group by each side.

    Args:
        model: with the fused head of TRL.
        shape: of the group.
        ids: tokens of its completions, (G, C); drawn where not given.
    """

    def __init__(self, model: PreTrainedModel, shape: Shape, ids: Tensor | None = None) -> None:
        self.model, self.shape = model, shape
        self.prompts = prompt(shape, model)
        self.ids = completions(shape, model) if ids is None else ids
        self.advantages = torch.linspace(-1, 1, shape.group, device=model.device)[:, None] + 0.1
        # As the trainer holds it, whichever side comes.
        rows = repeated(self.prompts, shape.group)
        nothing, everything = torch.zeros_like(self.ids), torch.ones_like(self.ids)
        self.rows = {
            **rows,
            "input_ids": torch.cat([rows["input_ids"], self.ids], 1),
            "attention_mask": torch.cat([rows["attention_mask"], everything], 1),
            "mm_token_type_ids": torch.cat([rows["mm_token_type_ids"], nothing], 1).int(),
            "num_images": [PICTURES] * shape.group,
        }

    def prepare(self, side: str) -> None:
        """Give the model the attention of a side, which it keeps from step to step."""
        if side == "fast":
            sharing.install(self.model)
        else:
            sharing.set_attention(self.model, "sdpa")

    def log_probs(self, side: str) -> Tensor:
        """Of the completions' tokens, (G, C), with entropies computed too, as the trainer logs them."""
        if side == STOCK:
            kept = {"logits_to_keep": self.shape.completion, "compute_entropy": True}
            return _stock_log_probs(_TRAINER, self.model, **self.rows, **kept)[0]
        packed = sharing.pack(self.model, self.prompts, self.ids, torch.ones_like(self.ids))
        told = sharing.inputs(packed, sharing.family_of(self.model), side, self.model)
        with sharing.completions_alone(self.model, packed):
            return packed.rows(self.model(**told, shift_labels=packed.labels, fused_lm_head=True).log_probs)

    def step(self, side: str, between: Callable[[], None] = lambda: None) -> Tensor:
        """Forward and backward; gradients of the last step are gone. Returns the log-probs."""
        self.model.zero_grad(set_to_none=True)
        found = self.log_probs(side)
        loss = -(found * self.advantages).mean()
        between()
        loss.backward()
        return found.detach()

    def found(self, side: str) -> tuple[Tensor, Tensor]:
        """Log-probs, and the gradient of keys in the first layer, which all that is later has a part in."""
        values = self.step(side)
        return values, self.model.base_model.language_model.layers[0].self_attn.k_proj.weight.grad.clone()


def open_model(setup: Setup) -> PreTrainedModel:
    """The model with the head that TRL gives it."""
    model = build(setup)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    return model


def agreement(update: Update, sides: Sequence[str], dtype: str) -> dict[str, Any]:
    """How far the sides are from the first of them that memory is enough for, and whether that is near enough."""
    kept: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(side: str) -> None:
        update.prepare(side)
        kept[side] = update.found(side)

    sides = [side for side in sides if fits(partial(keep, side))]
    far: dict[str, dict[str, float]] = {}
    for side in sides[1:]:
        (values, gradient), (expected, slope) = kept[side], kept[sides[0]]
        far[side] = {
            "log_probs": (values - expected).abs().max().item(),
            "gradient": ((gradient - slope).norm() / slope.norm()).item(),
        }
    allowed = TOLERANCE[dtype]
    near = all(value <= allowed[name] for found in far.values() for name, value in found.items())
    return {"with": sides[0] if sides else None, "differences": far, "tolerance": allowed, "agree": near}


def measure(setup: Setup, sides: Sequence[str], rounds: int) -> dict[str, Any]:
    """The report of one shape."""
    memory = peaks(Path(__file__), setup.arguments(), sides)
    torch.set_num_threads(setup.threads)
    update = Update(open_model(setup), setup.shape)
    agreed = agreement(update, sides, setup.dtype)
    taken, failed = alternate(update.step, sides, rounds, setup.device, update.prepare)
    parts = {}
    for side in taken:
        update.prepare(side)
        parts[side] = parts_of(partial(update.step, side), update.model, setup.device)
    headline = "fast" if "fast" in sides else sides[-1]
    return {
        "benchmark": "update_step",
        **setup.described(),
        "parameters": sum(weight.numel() for weight in update.model.parameters()),
        "rounds": rounds,
        **comparison(taken, memory, headline),
        "parts_seconds": parts,
        "agreement": agreed,
        "failed": failed,
        "machine": machine(setup.device),
    }


def one_peak(setup: Setup, side: str) -> None:
    """Print the peak memory of a step of one side; a small step before it loads what any step loads."""
    torch.set_num_threads(setup.threads)
    update = Update(open_model(setup), Shape(SHORTEST, 2, 2))
    update.prepare(side)
    update.step(side)
    update.model.zero_grad(set_to_none=True)
    update = Update(update.model, setup.shape)
    say(lambda: {"peak_bytes": peak(partial(update.step, side), setup.device)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shape_options(parser)
    model_options(parser)
    training_options(parser)
    parser.add_argument("--sides", default=",".join(SIDES), help="of these, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    output_option(parser)
    parser.add_argument("--peak", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    setup, sides = chosen(given), given.sides.split(",")
    if unknown := set(sides) - set(SIDES):
        parser.error(f"--sides are of {', '.join(SIDES)}, not {', '.join(sorted(unknown))}")
    if given.peak:
        one_peak(setup, given.peak)
        return
    report = measure(setup, sides, given.rounds)
    publish(report, given.output)
    if not report["agreement"]["agree"]:
        sys.exit('the sides do not agree; see "agreement"')


if __name__ == "__main__":
    main()

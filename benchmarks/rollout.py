"""What the rollouts of one group cost: ``generate`` of Hugging Face on repeated prompts, and that of Vantage.

    python benchmarks/rollout.py --prompt 512 --completion 64 --group 8

Tokens are drawn at temperature 1, and none may end a completion, so that both sides say G C of them. Rounds alternate;
peak memory is that of a process a side. The run fails where the log-probs that come with our rollouts are not those of
the stock update for the same tokens. Prints one JSON object; ratios are stock over shared, larger is better.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import STOCK, alternate, comparison, fits, machine, output_option, peak, peaks, publish, say, spread
from shapes import (
    BANNED,
    END,
    PAD,
    SHORTEST,
    Setup,
    Shape,
    chosen,
    model_options,
    prompt,
    repeated,
    shape_options,
)
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel
from update_step import TOLERANCE, Update, open_model

from vantage import sharing

SIDES = (STOCK, "shared")


class Rollout:
    """The rollouts of one group by each side.

    Args:
        model: in evaluation mode.
        shape: of the group.
    """

    def __init__(self, model: PreTrainedModel, shape: Shape) -> None:
        self.model, self.shape = model, shape
        self.prompts = prompt(shape, model)
        self.rows = repeated(self.prompts, shape.group)
        self.logprobs = Tensor()

    def prepare(self, side: str) -> None:
        """Give the model the attention of a side; every round draws the same."""
        torch.manual_seed(0)
        if side == STOCK:
            sharing.set_attention(self.model, "sdpa")
        else:
            sharing.install(self.model)

    def speak(self, side: str, length: int | None = None) -> Tensor:
        """Completions of one length, (G, C)."""
        length = length or self.shape.completion
        if side == STOCK:
            config = GenerationConfig(
                max_new_tokens=length, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                suppress_tokens=list(BANNED), eos_token_id=END, pad_token_id=PAD,
            )  # fmt: skip
            with torch.no_grad():
                said = self.model.generate(**self.rows, generation_config=config)
            ids: Tensor = said[:, self.shape.prompt :]
        else:
            found = sharing.generate(
                self.model, self.prompts, [self.shape.group], max_new_tokens=length, ends={END},
                sampling=sharing.Sampling(suppressed=BANNED),
            )  # fmt: skip
            ids, self.logprobs = torch.tensor(found.ids), torch.tensor(found.logprobs)
        assert ids.shape == (self.shape.group, length), f"{side} said {tuple(ids.shape)}"
        return ids


def agreement(rollout: Rollout, setup: Setup) -> dict[str, Any]:
    """Whether the log-probs that came with our rollouts are those of the stock update for the same tokens."""
    kept: dict[str, float] = {}

    def compare() -> None:
        rollout.prepare("shared")
        ids = rollout.speak("shared").to(rollout.model.device)
        rollout.prepare(STOCK)
        with torch.no_grad():
            expected = Update(rollout.model, setup.shape, ids).log_probs(STOCK).cpu()
        kept["log_probs"] = (rollout.logprobs - expected).abs().max().item()

    allowed = TOLERANCE[setup.dtype]["log_probs"]
    if not fits(compare):
        return {"differences": None, "tolerance": {"log_probs": allowed}, "agree": None}
    return {"differences": kept, "tolerance": {"log_probs": allowed}, "agree": kept["log_probs"] <= allowed}


def measure(setup: Setup, rounds: int) -> dict[str, Any]:
    """The report of one shape."""
    memory = peaks(Path(__file__), setup.arguments(), SIDES)
    torch.set_num_threads(setup.threads)
    rollout = Rollout(open_model(setup).eval(), setup.shape)
    taken, failed = alternate(rollout.speak, SIDES, rounds, setup.device, rollout.prepare)
    first, _ = alternate(partial(rollout.speak, length=1), list(taken), rounds, setup.device, rollout.prepare)
    return {
        "benchmark": "rollout",
        **setup.described(),
        "parameters": sum(weight.numel() for weight in rollout.model.parameters()),
        "rounds": rounds,
        **comparison(taken, memory, "shared"),
        "first_token_seconds": {side: spread([t.wall for t in times]) for side, times in first.items()},
        "agreement": agreement(rollout, setup),
        "failed": failed,
        "machine": machine(setup.device),
    }


def one_peak(setup: Setup, side: str) -> None:
    """Print the peak memory of one side; a small group before it loads what any loads."""
    torch.set_num_threads(setup.threads)
    rollout = Rollout(open_model(setup).eval(), Shape(SHORTEST, 2, 2))
    rollout.prepare(side)
    rollout.speak(side)
    rollout = Rollout(rollout.model, setup.shape)
    say(lambda: {"peak_bytes": peak(partial(rollout.speak, side), setup.device)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shape_options(parser)
    model_options(parser)
    parser.add_argument("--rounds", type=int, default=5)
    output_option(parser)
    parser.add_argument("--peak", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    setup = chosen(given)
    if given.peak:
        one_peak(setup, given.peak)
        return
    report = measure(setup, given.rounds)
    publish(report, given.output)
    if report["agreement"]["agree"] is False:
        sys.exit('the sides do not agree; see "agreement"')


if __name__ == "__main__":
    main()

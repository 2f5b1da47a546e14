"""The largest group whose update fits into the memory of an accelerator, its prompt repeated as in TRL or shared.

    python benchmarks/largest_group.py --side fast --model 3b --device cuda --dtype bfloat16

Doubles the group until it does not fit, then halves the gap. Weights and gradients are on the device, no optimizer is.
Prints one JSON object: a group that fits, and the least that was seen not to.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from measuring import fits, machine, output_option, publish
from shapes import Setup, Shape, chosen, model_options, training_options
from update_step import SIDES, Update, open_model


def search(enough: Callable[[int], bool], limit: int) -> tuple[int, int | None]:
    """The largest group that memory is enough for, to an eighth, and the least seen that it is not enough for.

    Args:
        enough: whether it is for a group of this size.
        limit: the largest group that is tried; where it fits, the second number is ``None``.
    """
    good, bad, group = 0, None, 1
    while bad is None and good < limit:
        if enough(group):
            good, group = group, min(2 * group, limit)
        else:
            bad = group
    while bad is not None and bad - good > max(1, good // 8):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if enough(middle) else (good, middle)
    return good, bad


def measure(setup: Setup, side: str, limit: int) -> dict[str, Any]:
    """The report of one side."""
    torch.set_num_threads(setup.threads)
    model = open_model(setup)
    Update(model, setup.shape).prepare(side)
    tried: dict[int, bool] = {}

    def enough(group: int) -> bool:
        shape = Shape(setup.shape.prompt, setup.shape.completion, group)
        tried[group] = fits(lambda: Update(model, shape).step(side))
        model.zero_grad(set_to_none=True)
        return tried[group]

    good, bad = search(enough, limit)
    described = {name: value for name, value in setup.described().items() if name not in ("group", "tokens", "theory")}
    return {
        "benchmark": "largest_group",
        "side": side,
        **described,
        "fits": good,
        "does_not_fit": bad,
        "limit": limit,
        "tried": tried,
        "machine": machine(setup.device),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model_options(parser)
    training_options(parser)
    parser.add_argument("--side", choices=SIDES, required=True)
    parser.add_argument("--prompt", type=int, default=2000, help="P, tokens of the prompt, pictures included")
    parser.add_argument("--completion", type=int, default=256, help="C, tokens of a completion")
    parser.add_argument("--limit", type=int, default=512, help="largest group that is tried")
    output_option(parser)
    given = parser.parse_args()
    setup = chosen(given, Shape(given.prompt, given.completion, 1))
    publish(measure(setup, given.side, given.limit), given.output)


if __name__ == "__main__":
    main()

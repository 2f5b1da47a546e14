"""How the cost of an update grows, with the group at a fixed prompt and with the prompt at a fixed group.

    python benchmarks/cost.py --output cost.jsonl --figure docs/images/sharing-cost.webp

Measures every point as ``update_step.py`` does, the prompt repeated as in TRL and shared. Prints one JSON object and
draws a figure; ``--report cost.jsonl`` draws an earlier report again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import update_step
from matplotlib.axes import Axes
from measuring import STOCK, output_option, publish
from shapes import Shape, chosen, model_options, training_options

from vantage.report.curves import BLUE, GREY, LINE, SKY, dress, explain, sheet, write

_LOOKS = {
    STOCK: ("prompt repeated, as in stock TRL", GREY, "o"),
    "portable": ("prompt shared, portable path", SKY, "s"),
    "fast": ("prompt shared", BLUE, "o"),
}
_GIB = 2**30


def measure(given: argparse.Namespace, sides: Sequence[str]) -> dict[str, Any]:
    """Reports of ``update_step.py``: under ``group`` where the group grows, under ``prompt`` where the prompt does."""
    lines = {
        "group": [Shape(given.prompt, given.completion, group) for group in given.groups],
        "prompt": [Shape(prompt, given.completion, given.group) for prompt in given.prompts],
    }
    found: dict[Shape, dict[str, Any]] = {}
    for shape in [shape for shapes in lines.values() for shape in shapes]:
        if shape not in found:
            print(f"measuring {shape}", file=sys.stderr, flush=True)
            found[shape] = update_step.measure(chosen(given, shape), sides, given.rounds)
    agree = all(report["agreement"]["agree"] for report in found.values())
    return {
        "benchmark": "cost",
        "agree": agree,
        **{name: [found[shape] for shape in shapes] for name, shapes in lines.items()},
    }


def draw(report: Mapping[str, Any], path: Path) -> Path:
    """Seconds above, memory below; on the left the group grows, on the right the prompt."""
    first, last = report["group"][0], report["prompt"][0]
    threads = first["machine"]["threads"]
    cores = "one processor core" if threads == 1 else f"{threads} processor cores"
    where = cores if first["device"] == "cpu" else first["machine"]["device"]
    about = f"{first['parameters'] / 1e6:,.0f} M weights, completions of {first['completion']:,} tokens, {where}"
    figure = sheet(2, 2, "What the update of one group costs")
    figure.supxlabel(about, x=0.013, ha="left", fontsize=8.5, color=GREY)
    fixed = {
        "group": ("completions of the prompt, G", f"at prompts of P = {first['prompt']:,} tokens"),
        "prompt": ("tokens of the prompt, P", f"at groups of G = {last['group']}"),
    }
    kinds = {"seconds": "Time", "peak_bytes": "Peak memory"}
    units = {
        "seconds": f"seconds, median and range of {first['rounds']} rounds",
        "peak_bytes": "GiB on top of the weights",
    }
    for row, kind in enumerate(kinds):
        for column, (name, (across, at)) in enumerate(fixed.items()):
            axes = figure.add_subplot(2, 2, 2 * row + column + 1)
            dress(axes, f"{kinds[kind]}, by {'group' if name == 'group' else 'prompt'}", f"{units[kind]}; {at}")
            _lines(axes, report[name], name, kind)
            axes.set_xlabel(across, fontsize=8.5, color=GREY, loc="right", labelpad=1)
            explain(axes)
    return write(figure, path)


def _lines(axes: Axes, reports: Sequence[Mapping[str, Any]], across: str, kind: str) -> None:
    ends: dict[str, tuple[float, float]] = {}
    for side in reports[0][kind]:
        known = [(one[across], one[kind][side]) for one in reports if one[kind].get(side)]
        if not known:  # memory was never enough
            continue
        label, colour, marker = _LOOKS[side]
        places = [place for place, _ in known]
        if kind == "seconds":
            values = [value["median"] for _, value in known]
            low, high = ([value[end] for _, value in known] for end in ("least", "largest"))
            axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)
        else:
            values = [value / _GIB for _, value in known]
        axes.plot(places, values, color=colour, label=label, linewidth=LINE, marker=marker, markersize=4, zorder=3)
        ends[side] = (places[-1], values[-1])
    (place, above), (end, below) = ends.get(STOCK, (None, 0.0)), list(ends.values())[-1]
    if place == end and len(ends) > 1:
        told = f"{above / below:.1f} times less"
        axes.annotate(told, (end, below), (0, 7), textcoords="offset points", ha="right", fontsize=8.5, color=BLUE)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    ticks = sorted({one[across] for one in reports})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])


def numbers(text: str) -> list[int]:
    """Whole numbers between commas."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model_options(parser)
    training_options(parser)
    parser.add_argument("--completion", type=int, default=64, help="C, tokens of a completion")
    parser.add_argument("--prompt", type=int, default=1024, help="P where the group grows")
    parser.add_argument("--groups", type=numbers, default=[1, 2, 4, 8, 16], help="G, 1,2,4,8,16 for example")
    parser.add_argument("--group", type=int, default=8, help="G where the prompt grows")
    parser.add_argument("--prompts", type=numbers, default=[256, 512, 1024, 1536, 2048], help="P, 512,1024 for example")
    parser.add_argument("--sides", default=f"{STOCK},fast", help="of stock, portable and fast, stock first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--figure", type=Path, help="draw here; the ending says what kind of picture")
    parser.add_argument("--report", type=Path, help="measure nothing: draw the last report in this file")
    output_option(parser)
    given = parser.parse_args()
    sides = given.sides.split(",")
    if sides[0] != STOCK or len(sides) < 2 or not set(sides) <= set(update_step.SIDES):
        parser.error(f"--sides begin with {STOCK} and go on with portable, fast or both, not {given.sides}")
    if given.report:
        report = json.loads(given.report.read_text(encoding="utf-8").splitlines()[-1])
    else:
        report = measure(given, sides)
        publish(report, given.output)
    if given.figure:
        draw(report, given.figure)
    if not report["agree"]:
        sys.exit('the sides do not agree at some shape; see "agreement"')


if __name__ == "__main__":
    main()

"""The figures of a run, counted from its answers. All are shares, 0..1, unless said otherwise.

| figure | of the greedy answers to the test questions from all sources, unless said otherwise |
|---|---|
| `accuracy`, `accuracy/TASK` | right |
| `alone/SOURCE`, `either` | right from that source alone; from at least one |
| `format` | laid out as asked |
| `pass@1`, `pass@K`, `all@K`, `majority@K` | of K drawn answers, see `vantage.evaluation.passk` |
| `chain` | the thought is that of the gold completion, word for word: all cells that count, in reading order |
| `lucky` | right, but the thought is not |
| `contradiction` | the thought can be read and stands for another answer than the one given |
| `top/TASK` | share of the most frequent answer among all answers to such questions |
| `skew/TASK` | `top/TASK` minus the same share among the truths: above 0, one answer is given too often |

`chain` and `lucky` ask for what the drawn worlds know; `contradiction` for the world `night`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from vantage.evaluation.passk import SampledEvaluation, vote
from vantage.rewards import extract
from vantage.samples import Sample
from vantage.worlds import answer_text
from vantage.worlds.canvas import CELL, CELLS, cell_corner
from vantage.worlds.night import BOX_GRID, HALVES

Row = Mapping[str, Any]


def of_answers(rows: Sequence[Row], samples: Mapping[str, Sample]) -> dict[str, float]:
    """What greedy answers show: rows of ``vantage.evaluation.evaluate``, and the samples by their ids."""
    whole = [row for row in rows if row["origin"] == "fused"]
    found = {"accuracy": _share(row["correct"] for row in whole), "format": _share(row["formatted"] for row in whole)}
    alone: dict[str, list[bool]] = {}
    somewhere: dict[str, bool] = {}
    for row in rows:
        if row["origin"] != "fused":
            alone.setdefault(row["origin"].partition(":")[2], []).append(row["correct"])
            somewhere[row["id"]] = somewhere.get(row["id"], False) or bool(row["correct"])
    found |= {f"alone/{name}": _share(right) for name, right in alone.items()}
    if somewhere:
        found["either"] = _share(somewhere.values())
    for task in sorted({row["task"] for row in whole}):
        asked = [row for row in whole if row["task"] == task]
        top = _most(vote(row["text"]) for row in asked)
        found[f"accuracy/{task}"] = _share(row["correct"] for row in asked)
        found[f"top/{task}"] = top
        found[f"skew/{task}"] = top - _most(answer_text(row["truth"]) for row in asked)
    chains = [thought(row["text"]) == samples[row["id"]].metadata["reasoning"].split() for row in whole]
    found["chain"] = _share(chains)
    found["lucky"] = _share(bool(row["correct"]) and not chain for row, chain in zip(whole, chains, strict=True))
    found["contradiction"] = _share(contradicts(row["task"], row["text"]) for row in whole)
    return found


def of_draws(drawn: SampledEvaluation) -> dict[str, float]:
    """What drawn answers show."""
    last = {"pass": drawn.pass_at, "all": drawn.all_at, "majority": drawn.majority_at}
    return {"pass@1": drawn.pass_at[0].value} | {f"{name}@{drawn.k}": values[-1].value for name, values in last.items()}


def of_metrics(path: Path) -> dict[str, float]:
    """Means over the steps of what a run logged, each over the steps that have it, and ``seconds`` of all steps."""
    steps = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    logged: dict[str, list[float]] = {}
    for step in steps:
        for name, value in step.items():
            if value is not None and name.startswith(("groups/", "guests/", "off_policy/", "clip/region", "entropy")):
                logged.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in logged.items()} | {
        "seconds": sum(step["time/step"] for step in steps)
    }


def thought(text: str) -> list[str]:
    """The words of the one thought; none where there is no such block."""
    return (extract.block(text, extract.THINK) or "").split()


def contradicts(task: str, text: str) -> bool:
    """Whether the thought of an answer about the world ``night`` stands for another answer than the one given."""
    meant = implied(task, thought(text))
    return meant is not None and vote(text) != vote(f"<answer> {meant} </answer>")


def implied(task: str, words: Sequence[str]) -> str | None:
    """The answer that a thought stands for; ``None`` where it has not the form of one."""
    if task == "exists":
        if not words or words[0] not in HALVES:
            return None
        words = words[1:]
    cells = [] if list(words) == ["none"] else list(words)
    if not words or any(cell not in CELLS for cell in cells):
        return None
    if task == "count":
        return str(len(cells))
    if task == "exists":
        return "yes" if cells else "no"
    if task != "locate" or len(cells) != 1:
        return None
    x, y = (edge // BOX_GRID for edge in cell_corner(cells[0]))
    return answer_text([x, y, x + CELL // BOX_GRID, y + CELL // BOX_GRID])


def _share(values: Iterable[object]) -> float:
    return fmean(map(bool, values))


def _most(answers: Iterable[str]) -> float:
    """Share of the most frequent answer among all; one that says nothing counts, but is no answer."""
    said = list(answers)
    return max(Counter(filter(None, said)).values(), default=0) / len(said)

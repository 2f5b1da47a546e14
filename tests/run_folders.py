"""Run folders that no run wrote: small, and every number in them known."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vantage import worlds
from vantage.evaluation import Evaluation, figures
from vantage.rewards import get

RECIPE = """\
seed: 0
model: {path: tiny}
method: {name: mars}
data: {train: 'night?n=100', test: 'night?split=test&n=20'}
trainer: {max_steps: 4}
"""


def member(origin: str, text: str, reward: float | None, advantage: float = 0.0, **more: Any) -> dict[str, Any]:
    """A member as ``rollouts.jsonl`` has it."""
    return {
        "origin": origin,
        "text": text,
        "score": reward,
        "correct": bool(reward),
        "formatted": True,
        "parts": {"accuracy": reward or 0.0},
        "error": "",
        "timed_out": False,
        "reward": reward,
        "advantage": advantage,
        "trained": origin == "fused",
        **more,
    }


def group(step: int, index: int, members: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """A group about the drawn scene of that index."""
    sample = worlds.find(f"night/train/hard/0/{index}")
    return {
        "step": step,
        "id": sample.id,
        "question": sample.question,
        "truth": sample.truth,
        "reward": sample.reward,
        "pictures": {name: source.ref for name, source in sample.sources.items()},
        "metadata": dict(sample.metadata),
        "members": list(members),
        **more,
    }


def two_sided(step: int, index: int, fused: float = 1.0, mono: float = 0.0) -> dict[str, Any]:
    """Two answers from all pictures and one from each."""
    return group(
        step,
        index,
        [
            member("fused", f"<think> a </think> <answer> {step} </answer>", fused, 0.5),
            member("fused", "<think> b </think> <answer> no </answer>", 0.0, -0.5),
            member("mono:rgb", "<think> c </think> <answer> 7 </answer>", mono),
            member("mono:infrared", "<think> d </think> <answer> 8 </answer>", 0.0),
        ],
    )


def answers(right: Iterable[Mapping[str, bool]], task: Sequence[str] = ("count",)) -> list[dict[str, Any]]:
    """Rows of an evaluation: of each question, which origins are right."""
    return [
        {
            **get("answer").score("3", worlds.find("night/test/hard/0/0")).record(),
            "id": f"q{index}",
            "task": task[index % len(task)],
            "reward": "answer",
            "score": float(hit),
            "correct": hit,
            "truth": "3",
            "origin": origin,
            "text": "3",
            "tokens": 1,
            "finished": True,
        }
        for index, views in enumerate(right)
        for origin, hit in views.items()
    ]


def evaluated(folder: Path, moment: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep an evaluation as a run does."""
    kinds = dict.fromkeys(row["task"] for row in rows)
    tasks = {kind: figures(row for row in rows if row["task"] == kind) for kind in kinds}
    found = Evaluation(**dict(figures(rows)), model="tiny", data="night", tasks=tasks, seconds=1.0)
    found.save(folder / f"{moment}.json")
    lines(folder / f"{moment}.jsonl", rows)


def lines(path: Path, rows: Iterable[Any]) -> Path:
    """One JSON object a line; a text stands as it is."""
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def run_folder(
    folder: Path, groups: Sequence[Any] | None = None, steps: int = 4, recipe: str = RECIPE, **metrics: float
) -> Path:
    """A run of a few steps."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    of_step = {"reward": 0.5, "accuracy": 0.5, "gain": 0.1, "gain/rgb": 0.2, "time/rollout": 1.0, **metrics}
    lines(folder / "metrics.jsonl", ({"step": step, **of_step} for step in range(1, steps + 1)))
    found = [two_sided(step, step) for step in range(1, steps + 1)] if groups is None else groups
    lines(folder / "rollouts.jsonl", found)
    return folder

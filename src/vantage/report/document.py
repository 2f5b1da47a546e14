"""One HTML file of one or several runs, which asks the network for nothing and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from vantage.errors import ConfigError
from vantage.files import write_text
from vantage.report import gains
from vantage.report.folder import MOMENTS, RunFolder, read
from vantage.report.guests import names
from vantage.report.rollouts import Rollouts, gather

LIMIT = 20_000_000
"""Bytes of a report at most, unless more are asked for."""
_PAGE = 400_000
"""Bytes kept for the page itself, its curves and tables."""
_SCRIPTS = ("tools.js", "charts.js", "panels.js", "result.js", "pictures.js", "group.js", "browser.js", "main.js")
_MOST_STEPS = 2000
"""Points of a curve; of more steps, means of neighbours are drawn."""


def write(
    paths: Sequence[Path],
    output: Path,
    *,
    limit: int = LIMIT,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Mapping[str, Any]:
    """Write the report of runs.

    Args:
        paths: their folders.
        output: the HTML file.
        limit: bytes that it takes at most; where all groups would take more, some are left out, evenly over the steps,
            and the page says how many.
        progress: called with the groups taken and in all.

    Returns:
        ``runs``, ``groups`` in it, ``left_out``, ``bytes``, and ``notes``: what is missing, one line each.

    Raises:
        DataError: a folder that is none, or that holds no run yet.
        ConfigError: a limit below a megabyte.
    """
    if limit < 1_000_000:
        raise ConfigError(f"a report takes a megabyte at least, not {limit:,} bytes")
    runs = read(paths)
    room = limit - _PAGE - sum(len(json.dumps(_columns(run))) for run in runs)
    rollouts = gather(runs, room, progress)
    page = render(runs, rollouts)
    write_text(output, page)
    notes = [f"{run.name}: {note}" for run in runs for note in run.notes]
    total = sum(len(run.lines) for run in runs)
    shown = len(rollouts.groups)
    return {"runs": len(runs), "groups": shown, "left_out": total - shown, "bytes": len(page.encode()), "notes": notes}


def render(runs: Sequence[RunFolder], rollouts: Rollouts) -> str:
    """The page of runs and their groups."""
    data = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "runs": [_run(index, run, rollouts) for index, run in enumerate(runs)],
        **rollouts.record(),
    }
    folder = files("vantage.report") / "page"
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    style = (folder / "style.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string((folder / "page.html").read_text(encoding="utf-8")).render(
        title=f"{', '.join(run.name for run in runs)} · Vantage report",
        policy=_policy(script, style),
        script=script,
        style=style,
        data=inert(data),
    )


def inert(data: Any) -> str:
    """JSON that is safe inside a script element: ASCII, and without what HTML could take for markup."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(script: str, style: str) -> str:
    """Nothing is loaded but pictures inside the file; of scripts and styles only ours, known by their hashes, count."""
    ours = {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name, text in (("script", script), ("style", style))
    }
    allowed = " ".join(f"{name}-src 'sha256-{digest}';" for name, digest in ours.items())
    return f"default-src 'none'; img-src data:; {allowed} base-uri 'none'; form-action 'none'"


def _run(index: int, run: RunFolder, rollouts: Rollouts) -> dict[str, Any]:
    shown = rollouts.shown.get(index, 0)
    notes = list(run.notes)
    if rollouts.unreadable.get(index):
        notes.append(f"lines of rollouts.jsonl that cannot be read as groups: {rollouts.unreadable[index]:,}")
    return {
        "name": run.name,
        "facts": _facts(run),
        "told": gains.told(run),
        "moments": [moment for moment in MOMENTS if moment in run.evaluations],
        "n": next((run.evaluations[m].n for m in reversed(MOMENTS) if m in run.evaluations), 0),
        "matrix": gains.matrix(run) if run.evaluations else [],
        "tasks": [
            {"name": task, "n": _questions(run, task), "rows": gains.matrix(run, task)} for task in gains.tasks(run)
        ],
        "metrics": _columns(run),
        "guests": [] if run.metrics is None else names(run.metrics),
        "groups": [shown, len(run.lines)],
        "finished": run.finished,
        "notes": notes,
    }


def _questions(run: RunFolder, task: str) -> int:
    return next((each.tasks[task].n for each in run.evaluations.values() if task in each.tasks), 0)


def _facts(run: RunFolder) -> list[list[str]]:
    """What was trained, on what, for how long: name and value."""
    base = run.setting("method", "base", "name")
    method = run.setting("method", "name")
    seconds = run.summary.get("seconds")
    facts = {
        "method": f"{method} over {base}" if base and base != "grpo" else method,
        "model": run.setting("model", "path"),
        "trained on": _data_name(run.setting("data", "train")),
        "measured on": _data_name(run.setting("data", "test")),
        "steps": f"{run.reached}, {'finished' if run.finished else 'not finished'}" if run.reached else None,
        "seed": run.setting("seed"),
        "took": _duration(seconds) if isinstance(seconds, (int, float)) else None,
    }
    return [[name, str(value)[:300]] for name, value in facts.items() if value is not None]


def _data_name(spec: object) -> str | None:
    if isinstance(spec, Mapping):
        return " ".join(f"{key}={value}" for key, value in spec.items())
    return None if spec is None else str(spec)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )


def _columns(run: RunFolder) -> dict[str, Any]:
    """The curves that a page draws; names may be anything, so that they are no keys."""
    metrics = run.metrics
    if metrics is None:
        return {"step": [], "columns": []}
    wanted = ("reward", "accuracy", "format", "entropy", "kl", "gain", "lr", "loss", "grad_norm", "timeouts")
    below = ("gain/", "anchor/", "groups/", "length/", "time/", "guests/", "reasoner/", "clip/", "anchors/", "dynamic/")
    width = -(-len(metrics.step) // _MOST_STEPS)
    kept = {n: c for n, c in metrics.columns.items() if (n in wanted or n.startswith(below)) and np.isfinite(c).any()}
    return {
        "step": _thinned(metrics.step, width),
        "columns": [[name, _thinned(column, width)] for name, column in kept.items()],
        "every": width,
    }


def _thinned(values: np.ndarray, width: int) -> list[float | None]:
    """Means of neighbours, ``width`` each; NaN does not count."""
    blocks = (values[start : start + width] for start in range(0, len(values), width))
    means = (float(np.mean(block[known])) if (known := np.isfinite(block)).any() else None for block in blocks)
    return [None if mean is None else float(f"{mean:.5g}") for mean in means]

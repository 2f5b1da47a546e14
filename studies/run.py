"""Make the runs of a study; what is finished is not repeated.

    python studies/run.py studies/ekipl-tiny.yaml --out ekipl-tiny --jobs 2

Every run is a process of its own. OUT/results.jsonl has a line for each that is finished, OUT/logs what it said. The
same command again, also after a crash, goes on where it ended. Ends with 1 and the names where runs failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import plan as plans

from vantage.errors import DataError, VantageError
from vantage.files import write_lines

_POLL = 0.2
Start = Callable[[plans.Task], "subprocess.Popen[bytes]"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the runs of a study; what is finished is not repeated.")
    parser.add_argument("plan", type=Path, help="plan file of the study")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and results.jsonl")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once; each takes a processor core")
    options = parser.parse_args()
    if options.jobs < 1:
        sys.exit(f"--jobs is at least 1, not {options.jobs}")
    try:
        study = plans.load(options.plan)
        for task in study.tasks():
            study.recipe(task)  # one that is wrong is found before the first run
        options.out.mkdir(parents=True, exist_ok=True)
        failed = make(study, options.out, options.jobs, process(options.plan, options.out))
    except (VantageError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    if failed:
        logs = ", ".join(str(options.out / "logs" / f"{name}.log") for name in failed)
        sys.exit(f"{len(failed)} failed: {', '.join(failed)}; see {logs}")


def process(plan: Path, out: Path) -> Start:
    """Starts a run as a process that writes to its log."""
    script = Path(__file__).with_name("one.py")

    def start(task: plans.Task) -> subprocess.Popen[bytes]:
        log = out / "logs" / f"{task.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            return subprocess.Popen(
                [sys.executable, str(script), str(plan), "--out", str(out), "--run", task.name],
                stdout=file,
                stderr=subprocess.STDOUT,
                # Threads of one run would take the cores of the others.
                env={"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "MPLBACKEND": "Agg", **os.environ},
            )

    return start


def make(study: plans.Plan, out: Path, jobs: int, start: Start) -> list[str]:
    """Make all runs that have no result yet, so many at once.

    Returns:
        Names of those that failed.

    Raises:
        DataError: a result is there that another plan made.
    """
    known = collect(study, out)
    tasks = study.tasks()
    check(study, known, out)
    waiting = [task for task in tasks if task.name not in known]
    tell(f"{study.name}: {len(tasks)} runs, {len(known)} are finished")
    begun, done, failed = time.monotonic(), 0, []
    going: dict[str, subprocess.Popen[bytes]] = {}
    try:
        while waiting or going:
            while waiting and len(going) < jobs:
                task = waiting.pop(0)
                going[task.name] = start(task)
            for name in [name for name, child in going.items() if child.poll() is not None]:
                child, done = going.pop(name), done + 1
                known = collect(study, out)
                if child.returncode or name not in known:
                    failed.append(name)
                    said = f"FAILED with exit code {child.returncode}"
                else:
                    said = f"{study.primary} {known[name]['figures'][study.primary]:.3f}"
                rest = (time.monotonic() - begun) / done * (len(waiting) + len(going)) / 60
                tell(f"[{len(known)}/{len(tasks)}] {name}: {said}; about {rest:.0f} min to go")
            time.sleep(_POLL)
    finally:
        for child in going.values():
            child.terminate()
    return failed


def collect(study: plans.Plan, out: Path) -> dict[str, dict[str, Any]]:
    """The results that are there, by the names of their runs in the order of the plan; ``results.jsonl`` is made anew.

    Raises:
        DataError: a file holds no result.
    """
    found: dict[str, dict[str, Any]] = {}
    for task in study.tasks():
        file = out / "runs" / task.name / plans.RESULT
        if file.exists():
            try:
                found[task.name] = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise DataError(f"{file} holds no result: {error}; remove it to make the run again") from error
    write_lines(out / "results.jsonl", (json.dumps(result, allow_nan=False).encode() for result in found.values()))
    return found


def check(study: plans.Plan, known: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """Results of another plan are never taken for those of this one.

    Raises:
        DataError: names the first.
    """
    for task in study.tasks():
        if task.name in known and known[task.name].get("digest") != study.digest(task):
            raise DataError(
                f"{out / 'runs' / task.name} was made by another plan (digest {known[task.name].get('digest')}, this "
                f"plan's is {study.digest(task)}); take another --out, or remove the run's folder"
            )


def tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    main()

"""How the benchmarks measure: rounds that alternate sides, peak memory in processes of their own, reports as JSON."""

from __future__ import annotations

import argparse
import gc
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
import trl

OUT_OF_MEMORY = "out of memory"
STOCK = "stock"
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Taken:
    """Seconds of one round: on the wall, and of the processor, which says more beside other work."""

    wall: float
    processor: float


def clock(call: Callable[[], object], device: str) -> Taken:
    """Time one call, to the end of what it started on a device."""
    synchronize(device)
    start, spent = time.perf_counter(), time.process_time()
    call()
    synchronize(device)
    return Taken(time.perf_counter() - start, time.process_time() - spent)


def synchronize(device: str) -> None:
    """Wait for an accelerator; a processor has nothing to wait for."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def fits(call: Callable[[], object]) -> bool:
    """Call, and say whether memory was enough for it; other errors are raised."""
    try:
        call()
    except RuntimeError as error:  # torch.OutOfMemoryError on accelerators; the allocator of processors has no class
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
    else:
        return True
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False


def alternate(
    call: Callable[[str], object],
    sides: Sequence[str],
    rounds: int,
    device: str,
    prepare: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, list[Taken]], dict[str, str]]:
    """Time sides in turn (A B, B A, ...), so that a machine that slows down does so for all; once unmeasured before.

    Args:
        call: one round of a side.
        sides: by name.
        rounds: of each.
        device: where.
        prepare: done before each round of a side, not timed.

    Returns:
        What each round took, by side; and why others have none.
    """

    def warm(side: str) -> None:
        prepare(side)
        call(side)

    failed = {side: OUT_OF_MEMORY for side in sides if not fits(partial(warm, side))}
    taken: dict[str, list[Taken]] = {side: [] for side in sides if side not in failed}
    for turn in range(rounds):
        for side in list(taken) if turn % 2 == 0 else list(taken)[::-1]:
            prepare(side)
            taken[side].append(clock(partial(call, side), device))
    return taken, failed


def peak(call: Callable[[], object], device: str) -> int:
    """Bytes by which memory grows at most while a call runs; to be asked once in a process."""
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    before = _resident()
    call()
    return _resident("VmHWM") - before


def _resident(field: str = "VmRSS") -> int:
    """Resident bytes: of now, which also forgets an earlier peak, or (``VmHWM``) the largest since.

    ``ru_maxrss`` counts the same, but on Linux a process inherits it from the one that started it, and it knows no now:
    it is asked where there is no other.
    """
    if not _STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if field == "VmRSS":
        _CLEAR.write_text("5", encoding="ascii")
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def in_a_process(script: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """The JSON object that a script prints last; ``{"failed": why}`` where memory was not enough.

    Raises:
        RuntimeError: it failed for another reason, with the end of what it said.
    """
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False)
    if done.returncode == -9:  # by the system, short of memory
        return {"failed": OUT_OF_MEMORY}
    if done.returncode:
        raise RuntimeError(f"{script.name} {' '.join(arguments)}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peaks(script: Path, arguments: Sequence[str], sides: Sequence[str]) -> dict[str, int | None]:
    """Peak bytes of each side; ``None`` where memory was not enough.

    To be asked before the asking process takes memory of an accelerator, which these processes need.
    """
    return {side: in_a_process(script, [*arguments, "--peak", side]).get("peak_bytes") for side in sides}


def say(find: Callable[[], Mapping[str, Any]]) -> None:
    """What a process of ``in_a_process`` prints: what it found, or that memory was not enough."""
    found: dict[str, Any] = {"failed": OUT_OF_MEMORY}

    def keep() -> None:
        got = find()
        found.clear()
        found.update(got)

    fits(keep)
    print(json.dumps(found))


def comparison(
    taken: Mapping[str, Sequence[Taken]],
    memory: Mapping[str, int | None],
    headline: str,
    over: str = STOCK,
) -> dict[str, Any]:
    """Medians and spread of each side, and the ratios of ``over`` to each other one: above 1, the other is better.

    ``time_ratio`` and ``memory_ratio`` are those of ``headline``; ``None`` where memory was not enough for a side.
    """
    sides = [side for side in dict.fromkeys([*taken, *memory]) if side != over]
    ratios: dict[str, dict[str, Any]] = {}
    for side in sides:
        named = ratios[side] = {"time": None, "memory": None}
        if memory.get(side) and memory.get(over):
            named["memory"] = memory[over] / memory[side]
        if taken.get(side) and taken.get(over):
            rounds = [a.wall / b.wall for a, b in zip(taken[over], taken[side], strict=True)]
            wall, processor = (
                statistics.median(getattr(t, kind) for t in taken[over])
                / statistics.median(getattr(t, kind) for t in taken[side])
                for kind in ("wall", "processor")
            )
            named |= {"time": wall, "time_least": min(rounds), "time_largest": max(rounds), "processor": processor}
    first = ratios.get(headline, {})
    return {
        "time_ratio": first.get("time"),
        "memory_ratio": first.get("memory"),
        "ratio_of": f"{over} over {headline}",
        "ratios": ratios,
        "seconds": {side: spread([t.wall for t in rounds]) for side, rounds in taken.items()},
        "processor_seconds": {side: spread([t.processor for t in rounds]) for side, rounds in taken.items()},
        "peak_bytes": dict(memory),
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least, largest and all."""
    return {"median": statistics.median(values), "least": min(values), "largest": max(values), "all": list(values)}


def machine(device: str) -> dict[str, Any]:
    """What a figure depends on besides the code."""
    kind = torch.device(device).type
    return {
        "device": torch.cuda.get_device_name(device) if kind == "cuda" else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "trl": trl.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def output_option(parser: argparse.ArgumentParser) -> None:
    """Where a report goes besides the screen."""
    parser.add_argument("--output", type=Path, help="append the report to this file too, as one line")


def publish(report: Mapping[str, Any], output: Path | None) -> None:
    """Print a report as one JSON object, numbers to six digits, and append it to a file as one line where asked to."""
    said = _rounded(report)
    print(json.dumps(said, indent=2))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value

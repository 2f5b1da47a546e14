"""The house stands: imports point down only, methods know no trainer, and `import vantage` costs nothing."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import vantage

ROOT = Path(vantage.__file__).parent

# From the ground up; rooms on one line do not know each other. A room may import itself and any line above its own.
FLOORS: list[set[str]] = [
    {"errors", "files", "printing", "progress", "yaml12"},
    {"pictures", "plugins"},
    {"samples", "groups"},
    {"rewards"},
    {"methods"},
    {"sharing"},
    {"endpoints"},
    {"captions"},
    {"models"},
    {"generation"},
    {"datasets", "worlds", "tiny"},
    {"pipeline", "guests"},
    {"evaluation", "report"},
    {"engines"},
    {"recipes"},
    {"runs"},
    {"launch"},  # engines/<engine>/launch.py, its front door, and measure.py: read a recipe, write a run
    {"app"},
    {"cli"},
    {"__main__"},
]
LAUNCH = {"launch", "measure"}
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Neighbours on one floor that may know each other.
NEIGHBOURS = {
    ("samples", "groups"),  # a view is that of an origin
    ("datasets", "worlds"),  # `load` knows drawn worlds by name, beside the data sets on disk
    ("tiny", "worlds"),  # the embedded models were taught on the embedded worlds
    ("report", "evaluation"),  # a report shows an evaluation
}

TRAINERS = {"trl", "verl", "vllm", "accelerate", "peft", "deepspeed"}
NETWORKS = {"torch", "transformers"}
MAY_NOT_IMPORT = {
    "errors": TRAINERS | NETWORKS,
    "files": TRAINERS | NETWORKS,
    "yaml12": TRAINERS | NETWORKS,
    "printing": TRAINERS | NETWORKS,
    "plugins": TRAINERS | NETWORKS,
    "pictures": TRAINERS | NETWORKS,
    "samples": TRAINERS | NETWORKS,
    "groups": TRAINERS | NETWORKS,
    "rewards": TRAINERS | NETWORKS,
    "methods": TRAINERS | {"transformers"},
    "sharing": TRAINERS,
    "endpoints": TRAINERS,
    "captions": TRAINERS | NETWORKS,
    "models": {"trl", "verl", "vllm"},
    "generation": TRAINERS,
    "pipeline": TRAINERS,
    "guests": TRAINERS,
    "datasets": TRAINERS,
    "worlds": TRAINERS | NETWORKS,
    "tiny": TRAINERS,
    "evaluation": TRAINERS,
    "report": TRAINERS | NETWORKS,
}

MODULES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    """The room that a file lies in: `rewards` for rewards/box.py, `errors` for errors.py, `` for __init__.py."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "engines" and parts[-1].removesuffix(".py") in LAUNCH:
        return "launch"
    return "" if parts[0] == "__init__.py" else parts[0].removesuffix(".py")


def imported(source: str) -> set[str]:
    """Full names of the modules that a file imports when it runs: at the top and inside functions."""
    names: set[str] = set()
    queue: list[ast.AST] = [ast.parse(source)]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue  # read by type checkers only
        queue.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room that they reach into"
            # `from vantage import rewards` reaches into a room as `from vantage.rewards import get` does.
            names |= {f"vantage.{alias.name}" for alias in node.names} if node.module == "vantage" else {node.module}
    return names


def faults(own: str, names: set[str]) -> list[str]:
    """What is wrong with a file of room `own` that imports these modules."""
    found = [f"{own} may not import {name}" for name in names if name.split(".")[0] in MAY_NOT_IMPORT.get(own, set())]
    for name in sorted(names):
        parts = name.split(".")
        if parts[0] != "vantage" or len(parts) == 1:
            continue
        other = "launch" if parts[1] == "engines" and parts[-1] in LAUNCH else parts[1]
        if other in FLOOR and other != own and FLOOR[other] >= FLOOR[own] and (own, other) not in NEIGHBOURS:
            found.append(f"{own} may not import {name}: it lies on the same floor or above")
    return found


def test_a_fault_is_found():
    assert imported("def f():\n    from vantage.engines.trl import x") == {"vantage.engines.trl"}
    assert imported("from vantage import cli") == {"vantage.cli"}
    assert imported("if TYPE_CHECKING:\n    from vantage import cli") == set()
    assert faults("methods", {"vantage.engines.trl"})
    assert faults("methods", {"trl.trainer"})
    assert faults("worlds", {"vantage.datasets"})
    assert faults("engines", {"vantage.engines.trl.launch"})
    assert not faults("methods", {"vantage.groups", "torch", "numpy"})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_lies_in_a_room_and_imports_point_down(path: Path):
    own = room(path)
    if own == "":
        return  # the package's face hands out names from every room, lazily
    assert own in FLOOR, f"{own} is not in the plan of the house; add it to FLOORS, where it belongs"
    assert faults(own, imported(path.read_text(encoding="utf-8"))) == []


def test_engines_ask_the_method_and_never_its_name():
    methods = {"grpo", "dapo", "mars", "racro", "ekipl"}
    for path in (ROOT / "engines").rglob("*.py"):
        named = {name for name in imported(path.read_text(encoding="utf-8")) if name.split(".")[-1] in methods}
        assert not named, f"{path.relative_to(ROOT)} knows {named}"


def test_import_is_cheap():
    """The median of three, in fresh interpreters; no network library is loaded."""
    code = (
        "import time, sys, json; start = time.perf_counter(); import vantage; "
        "print(json.dumps([time.perf_counter() - start, sorted(sys.modules)]))"
    )
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    loaded = set(runs[0][1]) & (TRAINERS | NETWORKS | {"datasets", "scipy", "matplotlib", "pandas"})
    assert not loaded, f"import vantage loads {loaded}"
    assert sorted(seconds for seconds, _ in runs)[1] < 0.5

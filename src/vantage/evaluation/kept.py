"""Evaluations of runs, and those with reasoners, read as results of ``vantage eval``: their answers lie beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vantage.errors import DataError
from vantage.evaluation.outcome import Results, results

_REASONERS = "_reasoners"
"""At the end of the name of a run's file: its answers lie beside the file without it, unless it has its own."""


def load(path: str | Path, reasoner: str = "") -> Results:
    """Results of ``vantage eval``, or what a run's evaluation or one with reasoners amounts to.

    Args:
        path: the file; the folder of a run, whose ``after.json`` is meant; or, of a file with several reasoners,
            ``FILE#REASONER``.
        reasoner: the same as behind ``#``.

    Raises:
        DataError: no such file, or it holds something else; its answers are not beside it; several reasoners, and none
            is named.
    """
    name = str(path)
    if not reasoner and not Path(name).exists() and "#" in name:
        name, _, reasoner = name.partition("#")
    file = Path(name)
    file = file / "after.json" if file.is_dir() else file
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        content = None  # said by who reads it as results
    every = content if isinstance(content, list) else [content]
    if not every or not all(isinstance(one, dict) and _evaluation(one) for one in every):
        return Results.load(file)
    return _counted(file, _chosen(file, every, reasoner))


def _evaluation(content: Mapping[str, Any]) -> bool:
    return "vantage_results" not in content and content.keys() >= {"model", "data", "n", "settings"}


def _chosen(file: Path, every: list[dict[str, Any]], reasoner: str) -> dict[str, Any]:
    names = [str(one.get("reasoner", "")) for one in every]
    if len(every) == 1 and reasoner in ("", names[0]):
        return every[0]
    if reasoner not in names:
        raise DataError(f"{file} holds {', '.join(names)}; name one of them, as {file}#{names[0]}")
    return every[names.index(reasoner)]


def _counted(file: Path, about: Mapping[str, Any]) -> Results:
    beside = file.with_suffix(".jsonl")
    beside = beside if beside.exists() else file.with_name(f"{file.stem.removesuffix(_REASONERS)}.jsonl")
    try:
        rows = [json.loads(line) for line in beside.read_text(encoding="utf-8").split("\n") if line]
        # Of a run with reasoners, the evaluation is that of the first, with which it trained.
        named = about.get("reasoner") or next((row["reasoner"] for row in rows if "reasoner" in row), None)
        own = [row for row in rows if row.get("reasoner") == named]
        return results(own, model=str(about["model"]), data=str(about["data"]), settings=dict(about["settings"]))
    except OSError as error:
        raise DataError(f"{file}: its answers should lie in {beside} ({error.strerror})") from error
    except DataError as error:
        raise DataError(f"{beside}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{beside}: no answers of an evaluation ({type(error).__name__}: {error})") from error

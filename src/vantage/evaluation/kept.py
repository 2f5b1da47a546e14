"""Evaluations that runs keep, read as results of ``vantage eval``: their answers lie beside them."""

from __future__ import annotations

import json
from pathlib import Path

from vantage.errors import DataError
from vantage.evaluation.outcome import Results, results
from vantage.evaluation.passk import SampledEvaluation
from vantage.evaluation.results import Evaluation


def of_run(file: Path) -> Results | None:
    """The results that a run's evaluation amounts to; ``None`` where the file is none of a run.

    Raises:
        DataError: its answers are not beside it, or cannot be read.
    """
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or "vantage_results" in content:
        return None
    kind: type[Evaluation] | type[SampledEvaluation] = SampledEvaluation if "pass_at" in content else Evaluation
    if not content.keys() >= {"model", "data", "n", "fused" if kind is Evaluation else "pass_at"}:
        return None
    about = kind.load(file)
    beside = file.with_suffix(".jsonl")
    try:
        lines = beside.read_text(encoding="utf-8", errors="strict").split("\n")
        rows = [json.loads(line) for line in lines if line]
        found = results(rows, model=about.model, data=about.data, seconds=about.seconds, settings=about.settings)
    except OSError as error:
        raise DataError(f"{file}: its answers should lie in {beside} ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{beside}: no answers of an evaluation ({error})") from error
    return found

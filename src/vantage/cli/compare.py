"""``vantage compare``: is one model better than another, on the same questions?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vantage.cli.common import err, out, writable
from vantage.errors import ConfigError

VERSUS = "vs"


def compare(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Two files of 'vantage eval --output' (of one with several reasoners, FILE#REASONER), or of runs: "
            "before.json, a run's folder for after.json. Several seeds: A0 A1 A2 vs B0 B1 B2, paired in this order.",
            metavar="A.json B.json | A... vs B...",
        ),
    ],
    common: Annotated[
        bool, typer.Option("--common", help="Where the questions differ, compare those in common.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Write the comparison here as JSON.")] = None,
) -> None:
    """Compare models on the same questions: second minus first, with intervals and one test."""
    first, second = _sides(files)
    writable(output)
    from vantage.evaluation import paired
    from vantage.evaluation.kept import load
    from vantage.evaluation.paired_table import paired_table

    found = paired.compare(*([load(file) for file in side] for side in (first, second)), common=common)
    if output is not None:
        found.save(output)
    out.print(paired_table(found))
    if output is not None:
        err.print(f"comparison: {output}", soft_wrap=True)


def _sides(files: list[str]) -> tuple[list[str], list[str]]:
    """The files of the first and of the second models."""
    if files.count(VERSUS) == 1:
        place = files.index(VERSUS)
        first, second = files[:place], files[place + 1 :]
    elif len(files) == 2 and VERSUS not in files:
        first, second = files[:1], files[1:]
    else:
        raise ConfigError(f"two files are compared, or several with one '{VERSUS}' between: a0 a1 a2 {VERSUS} b0 b1 b2")
    if not first or len(first) != len(second):
        raise ConfigError(
            f"files are compared in pairs, and there are {len(first)} before '{VERSUS}' and {len(second)} after"
        )
    for side in (first, second):
        twice = {file for file in side if side.count(file) > 1}
        if twice:
            raise ConfigError(f"{sorted(twice)[0]} comes twice, and one run is no two")
    return first, second

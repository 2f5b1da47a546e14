"""``vantage report``: runs as one page."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from vantage.cli.common import err, out, writable
from vantage.errors import ConfigError
from vantage.printing import printable


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, such as runs/mars.")],
    output: Annotated[
        Path | None, typer.Option(help="The HTML file; report.html in the run's folder, of several runs in this one.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Also write every figure to this folder, as SVG and PNG for a paper.")
    ] = None,
    size: Annotated[
        float, typer.Option(min=1, metavar="MB", help="The file is no larger; groups are left out where it would be.")
    ] = 20,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = False,
) -> None:
    """Write one HTML file that shows runs: what changed, every curve, and every answer beside its pictures."""
    from vantage.progress import progress
    from vantage.report import document

    target = output or (runs[0] if len(runs) == 1 else Path()) / "report.html"
    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--output {output}: a report is an HTML file; its name ends in .html")
    if output is not None:
        writable(output)
    if figures is not None and figures.exists() and not figures.is_dir():
        raise ConfigError(f"--figures {figures}: this is a file; a folder is written")
    with progress(err, "groups and their pictures") as done:
        told = document.write(runs, target, limit=int(size * 1e6), progress=done)
    for note in told["notes"]:
        err.print(printable(note), style="yellow", soft_wrap=True)
    left = f", {told['left_out']:,} left out" if told["left_out"] else ""
    out.print(
        f"{target}: {told['groups']:,} groups{left}, {told['bytes'] / 1e6:.1f} MB, one file that needs no network",
        soft_wrap=True,
    )
    if figures is not None:
        from vantage.report import figures as drawing

        made = drawing.write(runs, figures)
        out.print(f"{figures}: {', '.join(path.name for path in made)}", soft_wrap=True)
    if browser and not webbrowser.open(target.resolve().as_uri()):
        err.print(f"no browser was found; open {target} in one", style="yellow", soft_wrap=True)

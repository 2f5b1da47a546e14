"""What every command shares: where output goes, and errors that say what is wrong in one message."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from vantage.errors import ConfigError, VantageError

# Names, paths and errors may hold square brackets and colons; nothing printed here is markup.
out = Console(markup=False, emoji=False, highlight=False)
err = Console(stderr=True, markup=False, emoji=False, highlight=False)


Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="A Python file or module with rewards of your own, imported first. Repeatable."),
]


class Group(TyperGroup):
    """Says what is wrong in one message where a traceback would say where in our code it was noticed."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; errors of Vantage end it with exit code 1."""
        try:
            return super().invoke(ctx)
        except VantageError as error:
            if os.environ.get("VANTAGE_DEBUG"):
                raise
            err.print(Text("error:", "bold red"), end=" ")
            err.print("\n".join([str(error), *getattr(error, "__notes__", [])]), soft_wrap=True)
            raise typer.Exit(1) from None


def writable(target: Path | None, option: str = "--output", picture: bool = False) -> None:
    """Find before the work that its result could not be written after it."""
    if target is None:
        return
    if not target.parent.is_dir():
        raise ConfigError(f"{option} {target}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise ConfigError(f"{option} {target}: this is a folder; a file is written")
    if picture and target.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp", ".pdf"):
        raise ConfigError(f"{option} {target}: a picture ends in .png, .jpg, .webp or .pdf")


def quiet() -> None:
    """Libraries speak when something is wrong, not while it goes well."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # Deprecations inside TRL and transformers are for their maintainers, not for who runs a recipe.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|torch)\.")

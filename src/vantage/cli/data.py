"""``vantage data``: look at data sets, check them, convert them."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from vantage.cli.common import Plugins, err, out, quiet, writable
from vantage.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vantage.datasets import Survey

app = typer.Typer(no_args_is_help=True, help="Look at data, check it, convert it.")

Spec = Annotated[str, typer.Argument(help="Data set, such as night, or llvip:/data/LLVIP?split=test&frame=pixel.")]


@app.command("list")
def list_sets(
    name: Annotated[
        str | None, typer.Argument(help="Show all about this one: its layout on disk and its keys.")
    ] = None,
) -> None:
    """Name the data sets and what they hold."""
    from vantage import datasets

    if name is not None:
        keys = datasets.keys(name)
        out.print((inspect.getdoc(_module(name)) or "").replace("``", ""), soft_wrap=True)
        out.print(f"\nKeys: {', '.join(keys)}", soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 2))
    for known in datasets.names():
        # A data set's module begins with how it is written, or its name, and what it is.
        head = (_module(known).__doc__ or "").partition("\n")[0]
        form, _, meaning = head.replace("``", "").partition(": ")
        grid.add_row(form if known in datasets.FILES else known, Text(f"{meaning[:1].upper()}{meaning[1:]}"))
    out.print(grid)


@app.command()
def show(
    data: Spec,
    n: Annotated[int, typer.Option(min=1, help="How many samples.")] = 12,
    output: Annotated[Path | None, typer.Option(help="Where the picture goes.")] = None,
) -> None:
    """Draw a contact sheet: pictures, questions and truths."""
    from vantage import datasets
    from vantage.worlds.sheet import contact_sheet

    writable(output, picture=True)
    samples = datasets.load(data)
    if len(samples) == 0:
        raise DataError(f"data set {data!r} has no rows")
    shown = [samples[i] for i in range(min(n, len(samples)))]
    target = output or Path(f"{datasets.DataSpec.parse(data).name}.png")
    contact_sheet(shown).save(target)
    out.print(f"{len(shown)} of {len(samples)} samples: {target}", soft_wrap=True)


@app.command()
def check(
    data: Spec,
    model: Annotated[
        str | None,
        typer.Option(help="Measure prompts as this model's processor does: a folder, a name on the hub, or tiny."),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=0, metavar="N", help="Tokens that the window must leave for the completion.")
    ] = 0,
    window: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Context window; the model's own by default.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Also check what this recipe's method needs; its prompt is measured.")
    ] = None,
    plugin: Plugins = None,
    decode: Annotated[
        bool, typer.Option("--decode/--headers", help="Decode every picture, or read headers only.")
    ] = True,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that the model brings along.")
    ] = False,
) -> None:
    """Walk every row; report each bad one with its file, line and reason, and leave with 1 if there is any."""
    from vantage import datasets, plugins
    from vantage.progress import bar
    from vantage.samples import PromptStyle

    plugins.load(plugin or ())

    if model is None and (window is not None or max_new_tokens):
        raise ConfigError("--window and --max-new-tokens are about prompts, which --model measures")
    rows = datasets.read(data)
    asked: dict[str, Any] = {}
    taken = None
    if recipe is not None:
        quiet()
        from vantage import recipes
        from vantage.engines.trl.settings import anchor_columns

        taken = recipes.load(recipe)
        plugins.load(taken.plugins)
        method = taken.method
        asked["require"] = lambda sample: anchor_columns(method, [sample])
    if model is not None:
        quiet()
        from vantage import tiny
        from vantage.models import context_window, load_config, load_processor, measure_resized

        path = str(tiny.path(model)) if model in tiny.MODELS else model
        processor = load_processor(path, trust_remote_code=trust_remote_code)
        prompt = taken.prompt if taken is not None else None
        config = load_config(path, trust_remote_code=trust_remote_code)
        asked |= {
            "processor": processor,
            "change": lambda sample: measure_resized(sample, processor),
            "window": context_window(config) if window is None else window,
            "completion": max_new_tokens,
            "style": PromptStyle(label_sources=model in tiny.MODELS) if prompt is None else prompt.style(),
            "mono": "fill" if prompt is None else prompt.mono,
        }
    with bar(err) as shown:
        # How many rows there are is mostly known when they have been read.
        task = shown.add_task("check data", total=rows.total, note="")
        found = datasets.survey(
            rows, decode=decode, progress=lambda done, _: shown.update(task, completed=done), **asked
        )
    for problem in found.problems:
        out.print(Text(str(problem)), soft_wrap=True)
    out.print(_summary(found))
    if found.problems:
        raise typer.Exit(1)


@app.command()
def convert(
    data: Spec,
    output: Annotated[Path, typer.Argument(help="A .jsonl or .parquet file; pictures go to a folder beside it.")],
) -> None:
    """Write a data set as rows of one's own, its pictures beside them, each once and named by its content."""
    from vantage import datasets
    from vantage.datasets.convert import convert as write
    from vantage.progress import progress

    writable(output, "OUTPUT")
    samples = datasets.load(data)
    with progress(err, "convert") as report:
        pictures = write(samples, output, report)
    out.print(f"{len(samples)} rows, {pictures} pictures: {output}", soft_wrap=True)


def _module(name: str) -> Any:
    from vantage import datasets, worlds

    return import_module(type(worlds.get(name)).__module__) if name in worlds.NAMES else datasets.loader(name)


def _summary(found: Survey) -> Table:
    from vantage.datasets.check import one_line

    grid = Table.grid(padding=(0, 2))
    grid.add_row("rows", f"{found.rows}, {found.bad} of them bad" if found.bad else f"{found.rows}, all good")
    for kind, counts in (("source", found.sources), ("reward", found.rewards)):
        for name, count in counts.items():
            share = "" if count == found.rows else f" ({100 * count / found.rows:.0f} %)"
            grid.add_row(kind, Text(one_line(f"{name}: {count} rows{share}")))
    if found.lengths:
        longest = f"longest {found.longest} tokens ({found.longest_row})"
        grid.add_row("prompts", Text(one_line(f"{len(found.lengths)} measured; median {found.typical:.0f}, {longest}")))
    return grid

"""The command line. Each command is a thin layer over a function that a program can call."""

from __future__ import annotations

import inspect
import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from vantage.cli import answer, compare, data, evaluate, guests, report, score, training
from vantage.cli import app as page
from vantage.cli.common import Group, Plugins, err, out, quiet
from vantage.errors import ConfigError
from vantage.printing import printable

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Reinforcement learning for vision-language models whose picture comes from many sources.",
    pretty_exceptions_show_locals=False,
)
tiny_app = typer.Typer(no_args_is_help=True, help="The model that ships with Vantage.")
app.command("score")(score.score)
app.add_typer(data.app, name="data")
app.add_typer(guests.app, name="guests")
app.add_typer(tiny_app, name="tiny")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        out.print(f"vantage-rl {version('vantage-rl')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Reinforcement learning for vision-language models whose picture comes from many sources."""


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or a shipped recipe such as tiny/mars.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: key.path=value. Repeatable.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; that of the recipe by default.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the run's last whole checkpoint.")] = False,
) -> None:
    """Run a recipe; everything it makes goes to runs/NAME."""
    from vantage import recipes, runs

    parsed = recipes.load(recipe, settings or [])
    # A run's own recipe is called by the run.
    file = Path(recipe)
    name = name or (file.parent.name if file.name == "recipe.yaml" and file.is_file() else file.stem)
    if resume:
        run = runs.resume(name, parsed)
    elif int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("RANK", "0")) == 0:
        run = runs.start(name, parsed)
    else:
        run = runs.Run(runs.RUNS / name)
    _run(parsed, run, resume)


@app.command()
def quickstart(
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
) -> None:
    """Measure the shipped model, train it with MARS on drawn colour and infrared scenes, measure it again."""
    from vantage import recipes, runs

    parsed = recipes.load("tiny/mars", [f"seed={seed}"])
    run = runs.start(name or runs.free_name("quickstart"), parsed)
    out.print(
        "A small vision-language model answers questions about scenes seen in colour and in infrared.\n"
        f"It is now trained on {parsed.data.train}, and measured on scenes that it never trains on.\n"
        "Gain of fusion, shown at each step: how much better its answers from both pictures are than from one.\n",
    )
    _run(parsed, run, resume=False)


app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("answer")(answer.answer)
app.command("app")(page.app)


@app.command()
def methods() -> None:
    """List the methods, their settings and the papers' defaults."""
    from vantage.methods import METHODS

    for method in METHODS:
        grid = Table(title=method.model_fields["name"].default, title_justify="left", title_style="bold")
        grid.add_column("setting", no_wrap=True)
        grid.add_column("default", no_wrap=True)
        grid.add_column("meaning")
        for key, field in method.model_fields.items():
            if key != "name":
                default = field.default
                # As a recipe would write it: null, false, 1e-06.
                shown = default.name if hasattr(default, "name") else json.dumps(default).strip('"')
                grid.add_row(key, shown, (field.description or "").replace("``", ""))
        out.print(grid)


@app.command()
def rewards(plugin: Plugins = None) -> None:
    """List the rewards, their ranges and what they look at; a weighted sum of them is a reward, too."""
    from vantage import plugins
    from vantage import rewards as registry

    plugins.load(plugin or ())
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column("reward", overflow="fold")
    grid.add_column("range", no_wrap=True)
    grid.add_column("gives")
    for name in registry.names():
        reward = registry.get(name)
        about = (inspect.getdoc(reward) or "").partition("\n\n")[0].replace("``", "").replace("\n", " ")
        grid.add_row(Text(printable(name)), f"{reward.low:g} to {reward.high:g}", Text(printable(about)))
    out.print(grid)
    out.print("A line such as 'mars-vqa + 0.5*count' is a reward, too, wherever a name is asked for.")


@tiny_app.command("train")
def tiny_train(
    output: Annotated[Path, typer.Option(help="Folder for the model.")],
    what: Annotated[
        str,
        typer.Option(
            help="tiny, tiny-captioner, tiny-guest, tiny-cameras, tiny-pages, tiny-counting, tiny-transform, "
            "tiny-reasoner-weak or tiny-reasoner-strong."
        ),
    ] = "tiny",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Make a shipped model again; minutes on one CPU core."""
    from vantage import tiny
    from vantage.tiny.specialists import CURRICULA

    def tell(progress: Any) -> None:
        out.print(str(progress))

    makers = {"tiny": tiny.train, "tiny-captioner": tiny.train_captioner, "tiny-guest": tiny.train_guest}
    if what in makers:
        makers[what](output, seed=seed, progress=tell)
    elif what in tiny.REASONERS[:-1]:
        tiny.train_reasoner(output, what.rpartition("-")[2], seed=seed, progress=tell)
    elif what in CURRICULA:
        tiny.train_specialist(what, output, seed=seed, progress=tell)
    else:
        known = ", ".join(dict.fromkeys((*makers, *CURRICULA, *tiny.REASONERS[:-1])))
        raise ConfigError(f"--what is one of {known}, not {what!r}")
    out.print(f"the model lies in {output}")


def _run(recipe: Any, run: Any, resume: bool) -> None:
    quiet()
    from vantage import runs
    from vantage.engines.trl.launch import train as launch

    try:
        summary = launch(recipe, run, resume=resume, console=err)
    except BaseException as error:
        if not resume and int(os.environ.get("RANK", "0")) == 0:
            runs.abandon(run)
        if isinstance(error, KeyboardInterrupt) and run.recipe.exists():
            err.print(f"interrupted; go on with: vantage train {run.recipe} --resume", soft_wrap=True)
            if not any(run.checkpoints.glob("checkpoint-*")):
                err.print("no checkpoint was written yet, so that it starts over", soft_wrap=True)
        raise
    if not run.summary.exists() or int(os.environ.get("RANK", "0")) != 0:
        return
    moments = training.show(run)
    out.print(
        f"{summary['steps']} steps in {summary['seconds']:.0f} s, {summary['peak_memory_mb']:.0f} MiB at most.\n"
        f"Look at {run.curves} (curves), {run.rollouts} (every answer), {run.summary} "
        f"({' and '.join(moments) or 'what ran'}).\n"
        f"See it as one page, every answer beside its pictures: vantage report {run.folder} --open",
        soft_wrap=True,
    )
    if recipe.reasoner is not None:
        # A model that writes captions says nothing of use without its prompt, and the prompt is the recipe's.
        asked = f"--model {run.model} --recipe {run.recipe}"
        data = recipe.data.test or recipe.data.train
        out.print(
            f"Ask it: vantage answer {asked} --image NAME=PATH --question ...\n"
            f"Measure it with any reasoner: vantage eval {run.folder} --data {shlex.quote(str(data))} --reasoner ...",
            soft_wrap=True,
        )

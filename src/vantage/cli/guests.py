"""``vantage guests``: ask models once and keep what they said, and look at what was kept."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from vantage.cli.common import err, out, quiet, writable
from vantage.errors import ConfigError
from vantage.printing import printable

if TYPE_CHECKING:
    from vantage.guests.record import Survey
    from vantage.recipes import Recipe

app = typer.Typer(no_args_is_help=True, help="Record answers of other models, and look at them.")

Settings = Annotated[list[str] | None, typer.Option("--set", help="Override a setting: key.path=value. Repeatable.")]


@app.command()
def record(
    recipe: Annotated[str, typer.Argument(help="A recipe with guests: a YAML file, or a shipped one.")],
    output: Annotated[Path, typer.Option("--out", help="JSON lines; what stands there already is not asked again.")],
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N training samples only.")] = None,
    turns: Annotated[int, typer.Option(min=1, metavar="N", help="Ask each question N times; more answers.")] = 1,
    settings: Settings = None,
) -> None:
    """Ask the guests of a recipe about its training data and keep every answer as soon as it comes."""
    from vantage import recipes
    from vantage.guests.record import record as ask
    from vantage.progress import progress

    parsed = recipes.load(recipe, settings or [])
    if parsed.guests is None:
        raise ConfigError(f"{recipe} names no guests; give it a section such as guests: {{from: [{{oracle: 0.8}}]}}")
    writable(output, "--out")
    quiet()
    samples = _samples(parsed)[:limit]
    guests = parsed.guests.open()
    try:
        guests.check(samples)
        with progress(err, "record") as report:
            done = ask(guests, samples, parsed.style(), output, turns=turns, progress=report)
    except KeyboardInterrupt:
        err.print(f"stopped; what came is in {output}, and the same command goes on from there", soft_wrap=True)
        raise
    finally:
        guests.close()
    if done.cut:
        err.print(f"{output}: a last line that was never written to its end was taken out")
    out.print(f"{_some(done.written, 'answer')} recorded, {done.there} there already: {output}", soft_wrap=True)
    if done.cost:
        out.print(f"cost {done.cost:.6g}")
    for line in _refused(done.refused):
        err.print(line, soft_wrap=True)
    if done.refused:
        err.print(f"{done.refused.total()} answers are missing; the same command asks for them again", soft_wrap=True)
        raise typer.Exit(1)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A file of vantage guests record.")],
    recipe: Annotated[
        str | None, typer.Option(help="Score the answers on its training data, and find those it cannot use.")
    ] = None,
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what recorded answers are worth: coverage, rewards, duplicates, cost, and what cannot be used."""
    from vantage.guests.record import survey

    quiet()
    with ExitStack() as stack:
        samples, made, reward = (None, None, None) if recipe is None else _of(recipe, settings or [], stack)
        found = survey(file, samples, made, reward)
    if as_json:
        out.print(json.dumps({model: _record(of) for model, of in found.items()}, indent=2), soft_wrap=True)
    else:
        _show(found, None if samples is None else len(samples))
    strange = sum(of.strange for of in found.values())
    usable = sum(of.answers - of.strange - of.refused.total() for of in found.values())
    if strange:
        err.print(f"{_some(strange, 'answer')} to rows that the data does not have, or has with another question")
    if not usable:
        err.print(f"{file} holds no answer that can be used" if found else f"{file} holds no answers", soft_wrap=True)
    if strange or not usable:
        raise typer.Exit(1)


def _refused(refused: Counter[tuple[str, str]]) -> list[str]:
    """A line a guest and kind of failure, with its most frequent reason: one that names the question is never twice."""
    found: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for (name, reason), count in refused.most_common():
        found[name, reason.partition(":")[0]].append((reason, count))
    from vantage.guests.record import UNASKED

    lines = []
    for (name, _), reasons in found.items():
        first = next((reason for reason, _ in reasons if reason != UNASKED), reasons[0][0])
        others = len({reason for reason, _ in reasons} - {first, UNASKED})
        more = f" ({_some(others, 'other reason')} beside it)" if others else ""
        lines.append(f"{name}: {sum(count for _, count in reasons)} x {first}{more}")
    return lines


def _samples(recipe: Recipe) -> Any:
    from vantage import datasets, plugins

    plugins.load(recipe.plugins)
    return datasets.load(recipe.data.train)


def _of(name: str, settings: list[str], stack: ExitStack) -> tuple[Any, Any, Any]:
    """The training data of a recipe, what its model makes of a text, and what scores all rows, if anything does."""
    from trl import GRPOConfig

    from vantage import recipes
    from vantage.cli.reasoning import model_path
    from vantage.guests import end_of_turn, represent
    from vantage.models import load_config, load_processor, placeholder_ids, with_resized_size

    recipe = recipes.load(name, settings)
    path = model_path(recipe.model.path)
    remote = recipe.model.trust_remote_code
    processor = load_processor(path, trust_remote_code=remote, **recipe.model.processor)
    tokenizer = processor.tokenizer
    banned = placeholder_ids(load_config(path, trust_remote_code=remote), tokenizer)
    limit = recipe.trainer.get("max_completion_length", GRPOConfig.max_completion_length)
    samples = with_resized_size(_samples(recipe), processor)
    end = end_of_turn(processor, ())
    reward = None
    if recipe.reasoner is not None:
        # Captions are worth what the recipe's reasoner makes of them.
        reward = recipe.reasoner.open()
        stack.enter_context(reward.endpoint)
        reward.endpoint.check()
    return samples, lambda text: represent(text, tokenizer, banned, limit, end), reward


def _record(of: Survey) -> dict[str, Any]:
    keys = ("answers", "questions", "fewest", "most", "duplicates", "strange", "cost")
    scored = {"scored": of.tally.scored, "correct": of.tally.correct, "formatted": of.tally.formatted}
    rewards = {"reward": of.tally.mean if of.tally.scored else None, **scored}
    return {**{key: getattr(of, key) for key in keys}, "refused": dict(of.refused), "tokens": sum(of.tokens), **rewards}


def _show(found: dict[str, Survey], total: int | None) -> None:
    grid = Table("", *map(printable, found), show_header=True)
    for head, value in _LINES.items():
        grid.add_row(head, *(value(of, total) for of in found.values()))
    out.print(grid)
    if any(of.tally.scored for of in found.values()):
        out.print("Rewards are of usable answers. Intervals are 95 %, answers taken as")
        out.print("independent: too narrow where several belong to one question.")


def _correct(of: Survey) -> str:
    if not of.tally.scored:
        return "-"
    share, low, high = of.tally.share()
    return f"{share:.3f} ({low:.3f} to {high:.3f})"


_LINES: dict[str, Callable[[Survey, int | None], str]] = {
    "answers": lambda of, total: str(of.answers),
    "questions": lambda of, total: str(of.questions) + (f" of {total} ({of.questions / total:.0%})" if total else ""),
    "answers a question": lambda of, total: str(of.most) if of.fewest == of.most else f"{of.fewest} to {of.most}",
    "correct": lambda of, total: _correct(of),
    "mean reward": lambda of, total: f"{of.tally.mean:.3f}" if of.tally.scored else "-",
    "said twice": lambda of, total: str(of.duplicates),
    "unusable": lambda of, total: ", ".join(f"{n} {kind}" for kind, n in of.refused.most_common()) or "0",
    "tokens": lambda of, total: f"{sum(of.tokens) / len(of.tokens):.1f} an answer" if of.tokens else "-",
    "cost": lambda of, total: "-" if of.cost is None else f"{of.cost:.6g}",
}


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"

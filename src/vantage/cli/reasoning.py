"""What ``vantage answer`` and ``vantage eval`` share: who reasons, how it is asked, and what the extractor is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vantage.cli.common import err
from vantage.errors import ConfigError

if TYPE_CHECKING:
    from vantage.captions import Prompts
    from vantage.endpoints import Endpoint, EndpointSettings
    from vantage.pipeline import Pipeline
    from vantage.recipes import Recipe

REASONER = "http://host:8000/v1#model, a text model's folder or name on the hub, or tiny-reasoner-strong"

Parts = Annotated[
    str | None,
    typer.Option(help="What the reasoner reads: caption (the default), or both, the model's own tentative answer too."),
]
Temperature = Annotated[
    float | None,
    typer.Option(min=0, help="Of the reasoner; 0.6 as in the paper, 0 for embedded ones, unless given."),
]
ReasonerTokens = Annotated[int | None, typer.Option(min=1, metavar="N", help="Longest reply; 2048 by default.")]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that the model brings along.")]


def wanted_parts(given: str | None) -> Any:
    """What the extractor is asked for, by the name that ``--parts`` gives it."""
    from vantage.pipeline import BOTH, CAPTION

    known = {"caption": CAPTION, "both": BOTH}
    if (given or "caption") not in known:
        raise ConfigError(f"--parts is 'caption' or 'both', got {given!r}")
    return known[given or "caption"]


def entered(
    stack: ExitStack, named: Sequence[str | EndpointSettings], temperature: float | None, tokens: int | None
) -> list[Endpoint]:
    """Reasoners by their lines or settings, none of them tried yet, each closed with the stack.

    Raises:
        ConfigError: one is named twice, or cannot be.
    """
    from vantage.endpoints import open_endpoint
    from vantage.pipeline import open_reasoner

    if len({str(one) for one in named}) < len(named):
        raise ConfigError("--reasoner names the same one twice")
    given = {key: value for key, value in (("temperature", temperature), ("max_tokens", tokens)) if value is not None}
    return [
        stack.enter_context(
            open_reasoner(one, **given) if isinstance(one, str) else open_endpoint(one.model_copy(update=given))
        )
        for one in named
    ]


@contextmanager
def opened(
    named: Sequence[str | EndpointSettings], temperature: float | None, tokens: int | None
) -> Iterator[list[Endpoint]]:
    """Reasoners that can be asked; what is wrong with one is an error before anything else is loaded."""
    with ExitStack() as stack:
        found = entered(stack, named, temperature, tokens)
        for endpoint in found:
            endpoint.check()
        yield found


def of_run(model: str, recipe: str | None, given: Iterable[str] = ()) -> tuple[str, Recipe | None, bool]:
    """A model as it was trained: a run's folder stands for its model, and a run's model brings the run's prompt.

    Args:
        model: as it was named.
        recipe: as it was named, if it was.
        given: settings of the prompt on the command line, which then stand for all of the run's.

    Returns:
        Where the model lies; the recipe; and whether it was named, which allows what it brings beside the prompt: code
        of plugins, and servers to ask.
    """
    from vantage import recipes

    folder = Path(model)
    if (folder / "recipe.yaml").is_file() and (folder / "model").is_dir():
        folder = folder / "model"
        model = str(folder)
    if recipe is not None:
        return model, recipes.load(recipe), True
    brought = folder.parent / "recipe.yaml"
    if folder.name != "model" or not brought.is_file():
        return model, None, False
    if named := ", ".join(f"--{key.replace('_', '-')}" for key in given):
        err.print(f"not asked as it was trained: {named} stands in place of its run's whole prompt", soft_wrap=True)
        return model, None, False
    err.print(f"the prompt is that of {brought}, with which this model was trained", soft_wrap=True)
    return model, recipes.load(brought), False


def model_path(model: str) -> str:
    """Where a model lies: a shipped one in the package, another where it says."""
    from vantage import tiny

    return str(tiny.path(model)) if model in tiny.MODELS else model


def prompts(model: str, recipe: Recipe | None = None, given: Mapping[str, Any] | None = None) -> Prompts:
    """What a model that writes captions is told.

    Args:
        model: shipped ones have words of their own.
        recipe: under whose prompt it was trained.
        given: ``system`` and ``instruction`` of the command line, where given.
    """
    from vantage import tiny
    from vantage.captions import Prompts

    if recipe is not None and recipe.reasoner is not None:
        return recipe.reasoner.prompts
    known = tiny.prompts() if model in tiny.MODELS else Prompts()
    told = dict(given or {}) if recipe is None else recipe.prompt.model_dump()
    words = {"extractor": "system", "caption": "instruction"}
    return known.model_copy(update={key: told[word] for key, word in words.items() if word in told})


def verified(recipe: Recipe | None) -> dict[str, Any]:
    """By which reward a recipe has a reasoner's answers verified, and how it is handed them."""
    if recipe is None or recipe.reasoner is None:
        return {}
    return {"inner": recipe.reasoner.reward, "answer_in": recipe.reasoner.answer_in}


def load_pipeline(model: str, trust_remote_code: bool, **settings: Any) -> Pipeline:
    """The extractor of a command, without a reasoner."""
    from vantage.models import device, load_model, load_processor
    from vantage.pipeline import Pipeline

    path = model_path(model)
    processor = load_processor(path, trust_remote_code=trust_remote_code)
    return Pipeline(load_model(path, trust_remote_code=trust_remote_code).to(device()), processor, **settings)

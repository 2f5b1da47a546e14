"""``vantage app``: the page in the browser."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from vantage.cli import reasoning
from vantage.cli.answer import MODEL
from vantage.cli.common import err, out, quiet
from vantage.cli.reasoning import REASONER, ReasonerTokens, Temperature, TrustRemoteCode
from vantage.errors import BudgetError, ConfigError, EndpointError
from vantage.printing import printable

if TYPE_CHECKING:
    from vantage.app import Way
    from vantage.endpoints import Endpoint, EndpointSettings
    from vantage.recipes import Recipe

Frame = Annotated[
    str,
    typer.Option(help="Coordinates of boxes that the model writes: pixel, resized, relative or relative:N."),
]


def app(
    model: Annotated[
        str | None,
        typer.Option(help="A vision-language model: a folder or a name on the hub; the embedded ones if none."),
    ] = None,
    reasoner: Annotated[
        list[str] | None, typer.Option(help=f"Answers from the model's captions: {REASONER}. Repeatable.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Take prompts, drawn scenes and, unless one is named, the reasoner from this recipe; a run's model "
            "brings its prompts and scenes."
        ),
    ] = None,
    frame: Frame = "",
    max_new_tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Longest caption, and longest answer.")] = 512,
    temperature: Temperature = None,
    reasoner_tokens: ReasonerTokens = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. There is no password: whoever reaches it can use the models.")
    ] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="7860, or the next free one, by default.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Ask about pictures on a page: all sources together, and each alone."""
    from vantage import app as pages

    if model is None and (recipe or frame):
        raise ConfigError("--recipe and --frame are about --model, and none is given")
    quiet()
    with ExitStack() as stack:
        if model is None and not reasoner:
            ways = pages.embedded(stack)
        else:
            model, parsed, named = reasoning.of_run(model or MODEL, recipe)
            own = [parsed.reasoner.endpoint] if named and parsed is not None and parsed.reasoner is not None else []
            endpoints = _opened(stack, reasoner or own, temperature, reasoner_tokens)
            if reasoner and all(trouble for _, _, trouble in endpoints):
                raise EndpointError("\n".join(trouble for _, _, trouble in endpoints))
            for name, _, trouble in endpoints:
                if trouble:
                    err.print(f"unavailable: {printable(name)}: {printable(trouble)}", style="yellow", soft_wrap=True)
            ways = _ways(model, endpoints, parsed, frame, max_new_tokens, trust_remote_code)
        page, url = pages.serve(ways, host=host, port=port, browser=browser, block=False)
        out.print(f"The page is at {url} (interrupt with Ctrl-C to close it)", soft_wrap=True)
        # Ended by `kill` too, the page deletes what was dropped on it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            page.block_thread()
        finally:
            page.close(verbose=False)


def _opened(
    stack: ExitStack, asked: Sequence[str | EndpointSettings], temperature: float | None, tokens: int | None
) -> list[tuple[str, Endpoint, str]]:
    """Each reasoner by a name of its own, and why it cannot be asked; empty where it can.

    Raises:
        ConfigError: one is named twice, or cannot be.
    """
    endpoints = reasoning.entered(stack, asked, temperature, tokens)
    with ThreadPoolExecutor(max(1, len(endpoints))) as pool:  # one that is asked again and again keeps no other waiting
        troubles = list(pool.map(_trouble, endpoints))
    names = _names(endpoints)
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"--reasoner names the same one twice: {twice[0]}")
    return list(zip(names, endpoints, troubles, strict=True))


def _trouble(endpoint: Endpoint) -> str:
    try:
        endpoint.check()
    except (EndpointError, BudgetError) as error:
        return str(error)
    return ""


def _names(endpoints: Sequence[Endpoint]) -> list[str]:
    """Names that tell them apart: with host and port where two have one name, with all of the address where need be."""
    names = [endpoint.name for endpoint in endpoints]
    urls = [endpoint.settings.url or "" for endpoint in endpoints]
    for places in ([urlsplit(url).netloc for url in urls], urls):
        shared = [names.count(name) > 1 for name in names]
        longer = [f"{endpoint.name} ({place})" for endpoint, place in zip(endpoints, places, strict=True)]
        names = [more if same else name for name, more, same in zip(names, longer, shared, strict=True)]
    return names


def _ways(
    model: str,
    endpoints: Sequence[tuple[str, Endpoint, str]],
    recipe: Recipe | None,
    frame: str,
    max_new_tokens: int,
    trust_remote_code: bool,
) -> list[Way]:
    """The model with each reasoner, and by itself; whoever cannot be asked comes last."""
    from vantage import app as pages
    from vantage import tiny
    from vantage.pipeline import ALONE

    pipeline = reasoning.load_pipeline(
        model,
        trust_remote_code,
        prompts=reasoning.prompts(model, recipe),
        label_sources=model in tiny.MODELS if recipe is None else recipe.prompt.label_sources,
        mono="fill" if recipe is None else recipe.prompt.mono,
        max_new_tokens=max_new_tokens,
    )
    name = model.rstrip("/").removesuffix("/model").rpartition("/")[2] or model
    settings: dict[str, Any] = {"pipeline": pipeline, "frame": frame, **_scenes(model, recipe)}
    able: list[Way] = []
    unable: list[Way] = []
    for reasoner, endpoint, trouble in endpoints:
        shown = f"{name} + {reasoner}" + (", unavailable" if trouble else "")
        way = pages.Way(name=shown, reasoner=endpoint, trouble=trouble, **settings)
        (unable if trouble else able).append(way)
    return [*able, pages.Way(name=f"{name}, by itself", parts=ALONE, **settings), *unable]


def _scenes(model: str, recipe: Recipe | None) -> dict[str, Any]:
    """On which drawn scenes a model may be tried, and what is said of it: those of its recipe, where it has any."""
    from vantage import worlds
    from vantage.app.ways import KNOWN

    specs = [] if recipe is None else [spec for spec in (recipe.data.test, recipe.data.train) if spec is not None]
    drawn = tuple(dict.fromkeys(spec.name for spec in specs if spec.name in worlds.NAMES))
    if drawn:
        return {
            "worlds": drawn,
            "about": f"The drawn scenes are of the world that its recipe names: {', '.join(drawn)}.",
        }
    return KNOWN.get(model, {})

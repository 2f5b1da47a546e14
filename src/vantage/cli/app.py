"""``vantage app``: the page in the browser."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vantage.cli import reasoning
from vantage.cli.common import out, quiet
from vantage.cli.reasoning import REASONER, ReasonerTokens, Temperature, TrustRemoteCode
from vantage.errors import ConfigError

if TYPE_CHECKING:
    from vantage.app import Way

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
    recipe: Annotated[str | None, typer.Option(help="Take the prompts from this recipe.")] = None,
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

    if model is None and (reasoner or recipe or frame):
        raise ConfigError("--reasoner, --recipe and --frame are about --model, and none is given")
    quiet()
    with ExitStack() as stack:
        if model is None:
            ways = pages.embedded(stack)
        else:
            endpoints = stack.enter_context(reasoning.opened(reasoner or [], temperature, reasoner_tokens))
            ways = _ways(model, endpoints, recipe, frame, max_new_tokens, trust_remote_code)
        page, url = pages.serve(ways, host=host, port=port, browser=browser, block=False)
        out.print(f"The page is at {url} (interrupt with Ctrl-C to close it)", soft_wrap=True)
        # Ended by `kill` too, the page deletes what was dropped on it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            page.block_thread()
        finally:
            page.close(verbose=False)


def _ways(
    model: str, endpoints: list[Any], recipe: str | None, frame: str, max_new_tokens: int, trust_remote_code: bool
) -> list[Way]:
    """The model with each reasoner, and by itself."""
    from vantage import app as pages
    from vantage import recipes, tiny
    from vantage.pipeline import ALONE

    parsed = recipes.load(recipe) if recipe is not None else None
    pipeline = reasoning.load_pipeline(
        model,
        trust_remote_code,
        prompts=reasoning.prompts(model, parsed),
        label_sources=model in tiny.MODELS if parsed is None else parsed.prompt.label_sources,
        mono="fill" if parsed is None else parsed.prompt.mono,
        max_new_tokens=max_new_tokens,
    )
    name = model.rstrip("/").removesuffix("/model").rpartition("/")[2] or model
    settings: dict[str, Any] = {"pipeline": pipeline, "frame": frame}
    described = [pages.Way(name=f"{name} + {endpoint.name}", reasoner=endpoint, **settings) for endpoint in endpoints]
    return [*described, pages.Way(name=f"{name}, by itself", parts=ALONE, **settings)]

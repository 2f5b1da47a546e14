"""``vantage answer``: one question about one's own pictures, answered in two steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from vantage.cli import reasoning
from vantage.cli.common import err, out, quiet
from vantage.cli.reasoning import REASONER, Parts, ReasonerTokens, Temperature, TrustRemoteCode
from vantage.errors import ConfigError, EndpointError, PictureError
from vantage.printing import printable

if TYPE_CHECKING:
    from vantage.endpoints import EndpointSettings
    from vantage.pictures import Source
    from vantage.pipeline import Answer
    from vantage.recipes import Recipe

MODEL, EMBEDDED_REASONER = "tiny-captioner", "tiny-reasoner-strong"


def answer(
    image: Annotated[list[str], typer.Option(metavar="NAME=PATH", help="A picture and its source's name. Repeatable.")],
    question: Annotated[str, typer.Option(help="What is asked.")],
    model: Annotated[
        str, typer.Option(help="Describes the pictures: a folder, a name on the hub, or an embedded model.")
    ] = MODEL,
    reasoner: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Answers from the caption: {REASONER}; the recipe's unless named, and for embedded models that."
        ),
    ] = None,
    parts: Parts = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MAPPING",
            help="How more than 8 bits become grey, such as depth=depth-inverse or infrared=thermal. Repeatable.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="Longest caption, and longest tentative answer.")
    ] = 512,
    recipe: Annotated[
        str | None, typer.Option(help="Take prompt and reasoner from this recipe; a run's model brings its prompt.")
    ] = None,
    temperature: Temperature = None,
    reasoner_tokens: ReasonerTokens = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Answer a question about pictures: one model describes them, another answers without seeing them."""
    from vantage import tiny
    from vantage.samples import Sample

    if not question.strip():
        raise ConfigError("--question is empty")
    sources = _sources(image, mapping or ())
    model, parsed, named = reasoning.of_run(model, recipe)
    asked = _reasoner(reasoner or [], model, parsed if named else None)
    if model in tiny.MODELS:
        err.print(f"{model} was taught on drawn scenes alone; name a model of your own with --model", soft_wrap=True)

    quiet()
    wanted = reasoning.wanted_parts(parts)
    sample = Sample("question", question, sources, truth=None, reward="")
    with reasoning.opened([asked], temperature, reasoner_tokens) as (endpoint,):
        pipeline = reasoning.load_pipeline(
            model,
            trust_remote_code,
            reasoner=endpoint,
            prompts=reasoning.prompts(model, parsed),
            label_sources=model in tiny.MODELS if parsed is None else parsed.prompt.label_sources,
            max_new_tokens=max_new_tokens,
        )
        (found,) = pipeline.answer([sample], wanted)
    pictures = {name: source.ref for name, source in sources.items()}
    if as_json:
        typer.echo(json.dumps(_record(found, model, pictures)))
    else:
        out.print(_shown(found, pictures))
    if found.error:
        raise EndpointError(found.error)


def _reasoner(named: Sequence[str], model: str, recipe: Recipe | None) -> str | EndpointSettings:
    """Who answers from the caption.

    Raises:
        ConfigError: nobody was named, several were, or there is no such folder to describe the pictures.
    """
    from vantage import tiny

    if len(named) > 1:
        raise ConfigError(
            f"--reasoner is given {len(named)} times, and one answers here; 'vantage eval' compares several, and "
            "'vantage app' asks one after the other"
        )
    if named:
        return named[0]
    if recipe is not None and recipe.reasoner is not None:
        return recipe.reasoner.endpoint
    if model in tiny.MODELS:
        return EMBEDDED_REASONER
    if model.startswith((".", "/", "~")) and not Path(model).is_dir():
        raise ConfigError(f"--model {model}: there is no such folder")
    raise ConfigError(f"--reasoner is needed beside {model!r}: {REASONER}")


def _sources(images: Sequence[str], mappings: Sequence[str]) -> dict[str, Source]:
    """The pictures by name, each decoded once to know that it can be."""
    from vantage.pictures import Source

    named = _pairs("--mapping", mappings, "infrared=thermal")
    paths = _pairs("--image", images, "rgb=photo.jpg")
    for name in named:
        if name not in paths:
            raise ConfigError(f"--mapping {name}={named[name]}: there is no --image {name}=...")
    sources = {}
    for name, path in paths.items():
        try:
            sources[name] = Source(Path(path), ref=path, mapping=named.get(name, ""))
            sources[name].load()
        except PictureError as error:
            raise PictureError(f"--image {name}={path}: {error}") from error
    return sources


def _pairs(option: str, given: Sequence[str], example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (equals and name.strip() and value.strip()):
            raise ConfigError(f"{option} takes name=value, such as {example}, got {text!r}")
        if name in pairs:
            raise ConfigError(f"{option} {text}: the source {name!r} is given twice")
        pairs[name] = value
    return pairs


def _record(found: Answer, model: str, pictures: Mapping[str, str]) -> dict[str, Any]:
    known = {key: value for key, value in found.record().items() if key not in ("id", "origin", "question")}
    return {"question": found.question, "pictures": dict(pictures), "model": model, **known}


def _shown(found: Answer, pictures: Mapping[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    grid.add_row("question", _text(found.question))
    grid.add_row("pictures", _text(", ".join(f"{name} ({path})" for name, path in pictures.items())))
    grid.add_row()
    texts = {"caption": found.caption, "tentative": found.tentative, "reasoning": found.reasoning}
    for name, text in texts.items():
        if text is not None:
            cut = found.finished.get("reasoner" if name == "reasoning" else name) is False  # type: ignore[call-overload]
            grid.add_row(name, _text(text.strip() or "(nothing)") + Text(" … cut at the limit" if cut else "", "dim"))
    if not found.error:
        grid.add_row("answer", _text(found.final or "none: the reply states no final answer", "bold"))
    grid.add_row()
    grid.add_row("time", Text(", ".join(_spent(found, stage) for stage in found.seconds)))
    return grid


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text, keep="\n\t"), style)


def _spent(found: Answer, stage: Any) -> str:
    tokens = found.tokens.get(stage)
    name = found.reasoner.rpartition("/")[2] if stage == "reasoner" else stage
    return f"{name} {found.seconds[stage]:.2f} s" + (f" ({tokens} tokens)" if tokens else "")

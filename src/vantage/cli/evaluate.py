"""``vantage eval``: how good a model is, alone or with reasoners that answer from its captions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vantage.cli import reasoning
from vantage.cli.common import err, out, quiet, writable
from vantage.cli.reasoning import REASONER, Parts, ReasonerTokens, Temperature, TrustRemoteCode
from vantage.errors import ConfigError


def evaluate(
    model: Annotated[str, typer.Argument(help="A folder, a name on the hub, tiny or tiny-captioner.")],
    data: Annotated[str, typer.Option(help="Data set: name[:path][?key=value&...], such as night?split=test&n=500.")],
    output: Annotated[Path | None, typer.Option(help="Write the figures here as JSON.")] = None,
    answers: Annotated[Path | None, typer.Option(help="Write every answer here as JSON lines.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Prompts generated at once.")] = 64,
    max_new_tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Longest answer, or caption.")] = 512,
    mono: Annotated[
        str | None, typer.Option(help="Show a single source in every slot (fill, the default), or alone (drop).")
    ] = None,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    instruction: Annotated[str | None, typer.Option(help="Text after each question.")] = None,
    label_sources: Annotated[
        bool | None,
        typer.Option("--label-sources/--no-labels", help="Write each source's name before its picture; on for tiny."),
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="Take the prompt from this recipe.")] = None,
    reasoner: Annotated[
        list[str] | None,
        typer.Option(help=f"The model writes captions, and this one answers from them: {REASONER}. Repeatable."),
    ] = None,
    parts: Parts = None,
    constant_captions: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Captions tried as a constant one, the baseline; 32 at most by default."),
    ] = None,
    temperature: Temperature = None,
    reasoner_tokens: ReasonerTokens = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Measure a model: right answers from all sources together and from each alone."""
    from vantage import datasets, plugins, recipes, tiny

    # What a typing error can spoil comes before what takes long.
    given = {"mono": mono, "system": system, "instruction": instruction, "label_sources": label_sources}
    given = {key: value for key, value in given.items() if value is not None}
    if given.get("mono", "fill") not in ("fill", "drop"):
        raise ConfigError(f"--mono is 'fill' or 'drop', got {mono!r}")
    if recipe is not None and given:
        named = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise ConfigError(f"--recipe brings the whole prompt, so {named} cannot be given beside it")
    about = {"parts": parts, "constant-captions": constant_captions, "temperature": temperature}
    for key, value in {**about, "reasoner-tokens": reasoner_tokens}.items():
        if value is not None and not reasoner:
            raise ConfigError(f"--{key} is about reasoners, and no --reasoner is given")
    parsed = None
    if recipe is not None:
        parsed = recipes.load(recipe)
        plugins.load(parsed.plugins)
        prompt, style = parsed.prompt, parsed.style()
    else:
        prompt = recipes.Prompt.model_validate({"label_sources": model in tiny.MODELS, **given})
        style = prompt.style()
    writable(output)
    writable(answers, "--answers")
    samples = datasets.load(data)

    quiet()
    from vantage.evaluation import evaluate as measure
    from vantage.evaluation import table, write_rows
    from vantage.evaluation.comparison import CONSTANTS, compare, save
    from vantage.evaluation.comparison_table import comparison_table
    from vantage.models import context_window, with_resized_size
    from vantage.progress import progress, stages

    wanted = reasoning.wanted_parts(parts)
    with reasoning.opened(reasoner or (), temperature, reasoner_tokens) as reasoners:
        prompts = reasoning.prompts(model, parsed, given)
        if reasoners:
            style = prompts.style(label_sources=prompt.label_sources)
        pipeline = reasoning.load_pipeline(
            model,
            trust_remote_code,
            prompts=prompts,
            label_sources=prompt.label_sources,
            mono=prompt.mono,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
        )
        samples = with_resized_size(samples, pipeline.processor)
        with progress(err, "check data") as report:
            datasets.check(
                samples,
                processor=pipeline.processor,
                window=context_window(pipeline.model.config),
                completion=max_new_tokens,
                style=style,
                mono=prompt.mono,
                progress=report,
            )
        if reasoners:
            with stages(err) as step:
                compared, rows = compare(
                    pipeline,
                    samples,
                    reasoners,
                    parts=wanted,
                    **reasoning.verified(parsed),
                    constants=CONSTANTS if constant_captions is None else constant_captions,
                    model_name=model,
                    data_name=data,
                    progress=step,
                )
        else:
            with progress(err, "evaluate") as report:
                result, rows = measure(
                    pipeline.model,
                    pipeline.processor,
                    samples,
                    style=style,
                    mono=prompt.mono,
                    max_new_tokens=max_new_tokens,
                    batch_size=batch_size,
                    model_name=model,
                    data_name=data,
                    progress=report,
                )
    # What took long is kept before anything can go wrong with showing it.
    if output is not None:
        save(output, compared) if reasoners else result.save(output)
    if answers is not None:
        write_rows(answers, rows)
    out.print(comparison_table(compared) if reasoners else table(result))

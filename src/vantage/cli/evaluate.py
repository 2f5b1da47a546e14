"""``vantage eval``: how good a model is, in one try or several, or with reasoners that answer from its captions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vantage.cli import reasoning
from vantage.cli.common import err, out, quiet, writable
from vantage.cli.reasoning import REASONER, Parts, ReasonerTokens, TrustRemoteCode
from vantage.errors import ConfigError


def evaluate(
    model: Annotated[str, typer.Argument(help="A folder, a name on the hub, or an embedded model such as tiny.")],
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
    recipe: Annotated[
        str | None, typer.Option(help="Take the prompt from this recipe; a run's model brings its own.")
    ] = None,
    reasoner: Annotated[
        list[str] | None,
        typer.Option(help=f"The model writes captions, and this one answers from them: {REASONER}. Repeatable."),
    ] = None,
    parts: Parts = None,
    constant_captions: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Captions tried as a constant one, the baseline; 32 at most by default."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="Of the reasoner (0.6, and 0 for embedded ones), or of drawn answers (1)."),
    ] = None,
    reasoner_tokens: ReasonerTokens = None,
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, metavar="N", help="Draw N answers to each question instead: pass@1..N, majority."),
    ] = None,
    top_p: Annotated[float | None, typer.Option(help="Probability of the tokens that are drawn from; 1.")] = None,
    top_k: Annotated[int | None, typer.Option(min=0, help="How many tokens are drawn from; 0, all.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the drawn answers; 0.")] = None,
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
    about = {"parts": parts, "constant-captions": constant_captions, "reasoner-tokens": reasoner_tokens}
    for key, value in about.items():
        if value is not None and not reasoner:
            raise ConfigError(f"--{key} is about reasoners, and no --reasoner is given")
    drawing = _drawing(k, bool(reasoner), mono, temperature, {"top_p": top_p, "top_k": top_k, "seed": seed})
    model, parsed, asked_for = reasoning.of_run(model, recipe) if not given else (model, None, False)
    if parsed is not None:
        if asked_for:
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
    from vantage.evaluation.passk_table import passk_table
    from vantage.evaluation.sampling import sample_many
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
            alike: dict[str, Any] = {
                "style": style,
                "max_new_tokens": max_new_tokens,
                "batch_size": batch_size,
                "model_name": model,
                "data_name": data,
            }
            with progress(err, "draw answers" if k else "evaluate") as report:
                network, processor = pipeline.model, pipeline.processor
                if k:
                    drawn, rows = sample_many(network, processor, samples, k, **drawing, **alike, progress=report)
                else:
                    result, rows = measure(network, processor, samples, mono=prompt.mono, **alike, progress=report)
    # What took long is kept before anything can go wrong with showing it.
    if output is not None:
        save(output, compared) if reasoners else (drawn if k else result).save(output)
    if answers is not None:
        write_rows(answers, rows)
    out.print(comparison_table(compared) if reasoners else passk_table(drawn) if k else table(result))


def _drawing(
    k: int | None, reasoned: bool, mono: str | None, temperature: float | None, given: dict[str, Any]
) -> dict[str, Any]:
    """How answers are drawn, as far as the command line says it."""
    given = {key: value for key, value in given.items() if value is not None}
    if k is None:
        if temperature is not None and not reasoned:
            raise ConfigError("--temperature is about reasoners or drawn answers; give --reasoner or --k")
        if given:
            named = ", ".join(f"--{key.replace('_', '-')}" for key in given)
            raise ConfigError(f"{named}: this is about drawn answers, and no --k is given")
        return {}
    if reasoned:
        raise ConfigError("--k draws answers, and with --reasoner the model writes captions; give one of the two")
    if mono is not None:
        raise ConfigError("--mono is about single sources, and --k draws answers from all of them")
    if temperature is not None:
        given["temperature"] = temperature
    if not given.get("temperature", 1.0) > 0 or not 0 < given.get("top_p", 1.0) <= 1:
        raise ConfigError(
            "with --k, --temperature is above 0 and --top-p above 0, at most 1; "
            f"got {given.get('temperature', 1.0)} and {given.get('top_p', 1.0)}"
        )
    return given

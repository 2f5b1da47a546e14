"""``vantage eval``: how good a model is, from all its pictures and from each alone, in one try and in several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from vantage.cli import reasoning
from vantage.cli.common import err, out, quiet, writable
from vantage.cli.reasoning import REASONER, Parts, ReasonerTokens, TrustRemoteCode
from vantage.errors import ConfigError
from vantage.printing import printable

if TYPE_CHECKING:
    from vantage.evaluation.asking import Row
    from vantage.evaluation.outcome import Results
    from vantage.recipes import Prompt, Recipe
    from vantage.samples import PromptStyle, Sample


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A folder, a name on the hub, http://host:8000/v1#model, or an embedded model such as tiny."
        ),
    ],
    data: Annotated[str, typer.Option(help="Data set: name[:path][?key=value&...], such as night?split=test&n=500.")],
    output: Annotated[
        Path | None,
        typer.Option(help="Write the results here as JSON, and each answer beside it as it is made; goes on if cut."),
    ] = None,
    answers: Annotated[Path | None, typer.Option(help="Keep the answers in this file of JSON lines instead.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Answers generated at once.")] = 64,
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
        typer.Option(min=0, help="Of what --k draws, 1; with --reasoner and without --k, of the reasoner."),
    ] = None,
    reasoner_temperature: Annotated[
        float | None, typer.Option(min=0, help="Of the reasoner; 0.6, and 0 for embedded ones.")
    ] = None,
    reasoner_tokens: ReasonerTokens = None,
    k: Annotated[
        int | None,
        typer.Option(
            "--k",
            min=1,
            metavar="N",
            help="Also draw N answers to each question: pass@1..N, majority; with --reasoner N captions, each read.",
        ),
    ] = None,
    top_p: Annotated[float | None, typer.Option(help="Probability of the tokens that are drawn from; 1.")] = None,
    top_k: Annotated[int | None, typer.Option(min=0, help="How many tokens are drawn from; 0, all.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of what is drawn; 0.")] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also make each picture worse: blank, noise, another scene's, shifted.")
    ] = False,
    no_sharing: Annotated[
        bool, typer.Option("--no-sharing", help="Read a prompt anew for each of its answers.")
    ] = False,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Measure a model: does seeing more mean knowing more?

    Right answers from all pictures together, from each alone and from every few of them, with intervals.
    """
    from vantage import datasets, plugins, recipes, tiny

    # What a typing error can spoil comes before what takes long.
    given = {"mono": mono, "system": system, "instruction": instruction, "label_sources": label_sources}
    given = {key: value for key, value in given.items() if value is not None}
    if given.get("mono", "fill") not in ("fill", "drop"):
        raise ConfigError(f"--mono is 'fill' or 'drop', got {mono!r}")
    if recipe is not None and given:
        named = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise ConfigError(f"--recipe brings the whole prompt, so {named} cannot be given beside it")
    about = {
        "parts": parts,
        "constant-captions": constant_captions,
        "reasoner-tokens": reasoner_tokens,
        "reasoner-temperature": reasoner_temperature,
    }
    for key, value in about.items():
        if value is not None and not reasoner:
            raise ConfigError(f"--{key} is about reasoners, and no --reasoner is given")
    served = "://" in model
    if reasoner and (robustness or served):
        what = "a model at a server" if served else "--robustness"
        raise ConfigError(f"{what} is asked for answers, and with --reasoner captions are wanted; give one of the two")
    if reasoner and k is None and temperature is not None:
        if reasoner_temperature is not None:
            raise ConfigError(
                "--temperature is of the reasoner without --k, and --reasoner-temperature is given beside it"
            )
        temperature, reasoner_temperature = None, temperature
    drawing = _drawing(k, temperature, {"top_p": top_p, "top_k": top_k, "seed": seed})
    if output is not None and answers is None:
        answers = output.with_suffix(".jsonl")
        if answers == output:
            raise ConfigError(f"--output {output}: the answers go into the file that ends in .jsonl; end it in .json")
    model, parsed, asked_for = reasoning.of_run(model, recipe, given)
    if parsed is not None:
        if asked_for:
            plugins.load(parsed.plugins)
        prompt = parsed.prompt
    else:
        prompt = recipes.Prompt.model_validate({"label_sources": model in tiny.MODELS, **given})
    writable(output)
    writable(answers, "--answers")
    asked = _Asked(
        model=model,
        data=data,
        samples=datasets.load(data),
        style=prompt.style() if parsed is None else parsed.style(),
        prompt=prompt,
        parsed=parsed,
        given=given,
        output=output,
        answers=answers,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        trust_remote_code=trust_remote_code,
    )
    quiet()
    if reasoner:
        wanted = reasoning.wanted_parts(parts)
        limits = {"temperature": reasoner_temperature, "tokens": reasoner_tokens}
        _reasoned(asked, reasoner, limits, wanted, constant_captions, k or 0, drawing)
        return
    way = {"k": k or 0, "robustness": robustness}
    found, rows = _served(asked, way, drawing) if served else _here(asked, way, drawing, not no_sharing)
    # What took long is kept before anything can go wrong with showing it.
    if output is not None:
        found.save(output)
    from vantage.evaluation.outcome_table import outcome_table

    out.print(outcome_table(found))
    if output is not None:
        err.print(f"results: {output}, every answer: {answers}", soft_wrap=True)
    failed = [row["failed"] for row in rows if "failed" in row]
    if failed:
        noun = "answer" if len(failed) == 1 else "answers"
        err.print(f"{len(failed):,} {noun} did not come; the first: {printable(failed[0])}", soft_wrap=True)


class _Asked(NamedTuple):
    """What is measured, and how it is asked."""

    model: str
    data: str
    samples: Sequence[Sample]
    style: PromptStyle
    prompt: Prompt
    parsed: Recipe | None
    given: Mapping[str, Any]
    output: Path | None
    answers: Path | None
    batch_size: int
    max_new_tokens: int
    trust_remote_code: bool

    def pipeline(self, prompts: Any) -> Any:
        """The model, loaded."""
        return reasoning.load_pipeline(
            self.model,
            self.trust_remote_code,
            prompts=prompts,
            label_sources=self.prompt.label_sources,
            mono=self.prompt.mono,
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
        )

    def checked(self, pipeline: Any, style: PromptStyle) -> Sequence[Sample]:
        """The samples, every row looked at; of a model at a server the window is not known."""
        from vantage import datasets
        from vantage.models import context_window, with_resized_size
        from vantage.progress import progress

        samples, known = self.samples, {}
        if pipeline is not None:
            samples = with_resized_size(samples, pipeline.processor)
            known = {"processor": pipeline.processor, "window": context_window(pipeline.model.config)}
        with progress(err, "check data") as report:
            datasets.check(
                samples,
                completion=self.max_new_tokens,
                style=style,
                mono=self.prompt.mono,
                progress=report,
                **known,
            )
        return samples

    def arguments(self, way: dict[str, Any], drawing: dict[str, Any]) -> dict[str, Any]:
        """What ``measure`` is told, looked at against the answers that are there already: loading takes long."""
        from vantage.evaluation.journal import Journal
        from vantage.evaluation.measuring import Plan, planned

        plan = Plan(self.style, self.prompt.mono, **way)
        told: dict[str, Any] = {
            "model": self.model,
            "data": self.data,
            "settings": {"max_new_tokens": self.max_new_tokens, **drawing},
        }
        about, _ = planned(self.samples, plan, **told)
        if self.answers is not None and self.answers.exists():
            Journal(self.answers, about).close()
        return {"plan": plan, "batch_size": self.batch_size, "keep": self.answers, **told}


def _here(asked: _Asked, way: dict[str, Any], drawing: dict[str, Any], share: bool) -> tuple[Results, list[Row]]:
    """Ask a model of this process."""
    from vantage.evaluation.asking import Local
    from vantage.evaluation.weights import fingerprint

    weights = fingerprint(reasoning.model_path(asked.model))
    arguments = asked.arguments(way, {**drawing, **({"weights": weights} if weights else {})})
    pipeline = asked.pipeline(None)
    samples = asked.checked(pipeline, asked.style)
    speaker = Local(pipeline.model, pipeline.processor, max_new_tokens=asked.max_new_tokens, share=share, **drawing)
    if way["k"] and share and speaker.repeats:
        err.print(f"prompts are repeated, not shared: {speaker.repeats}", soft_wrap=True)
    with speaker:
        return _measured(speaker, samples, arguments)


def _served(asked: _Asked, way: dict[str, Any], drawing: dict[str, Any]) -> tuple[Results, list[Row]]:
    """Ask a model at a server."""
    from vantage.evaluation.server import Server

    told: dict[str, Any] = {"style": asked.style, "mono": asked.prompt.mono, "max_new_tokens": asked.max_new_tokens}
    with Server(asked.model, **told, **drawing) as speaker:
        arguments = asked.arguments(way, drawing)
        speaker.check()
        return _measured(speaker, asked.checked(None, asked.style), arguments)


def _measured(speaker: Any, samples: Sequence[Sample], arguments: dict[str, Any]) -> tuple[Results, list[Row]]:
    from vantage.evaluation.measuring import measure
    from vantage.progress import progress

    with progress(err, "evaluate") as report, _interrupted(arguments["keep"]):
        return measure(speaker, samples, **arguments, progress=report)


@contextmanager
def _interrupted(answers: Path | None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if answers is not None:
            err.print(f"interrupted; the same command goes on with {answers}", soft_wrap=True)
        raise


def _reasoned(
    asked: _Asked,
    reasoner: Sequence[str],
    limits: dict[str, Any],
    wanted: Any,
    constant_captions: int | None,
    k: int,
    drawing: dict[str, Any],
) -> None:
    """Let reasoners answer from the model's captions."""
    from vantage.evaluation.captioned import Kept
    from vantage.evaluation.comparison import CONSTANTS, compare, save
    from vantage.evaluation.comparison_table import comparison_table
    from vantage.progress import stages

    prompts = reasoning.prompts(asked.model, asked.parsed, asked.given)
    told: dict[str, Any] = {
        "parts": wanted,
        **reasoning.verified(asked.parsed),
        "constants": CONSTANTS if constant_captions is None else constant_captions,
    }
    about = _about(asked, prompts, k, {**told, **drawing, "reasoner": [*reasoner], **limits})
    if asked.answers is not None:
        Kept(asked.answers, about).close()  # what cannot go on is found before anything is loaded
    with (
        reasoning.opened(reasoner, **limits) as reasoners,
        _interrupted(asked.answers),
        nullcontext() if asked.answers is None else Kept(asked.answers, about) as kept,
    ):
        pipeline = asked.pipeline(prompts)
        samples = asked.checked(pipeline, prompts.style(label_sources=asked.prompt.label_sources))
        with stages(err) as step:
            compared, _ = compare(
                pipeline, samples, reasoners, **told, k=k, drawing=drawing, kept=kept,
                model_name=asked.model, data_name=asked.data, progress=step,
            )  # fmt: skip
    if asked.output is not None:
        save(asked.output, compared)
    out.print(comparison_table(compared))
    if asked.output is not None:
        err.print(f"results: {asked.output}, every answer: {asked.answers}", soft_wrap=True)


def _about(asked: _Asked, prompts: Any, k: int, more: dict[str, Any]) -> dict[str, Any]:
    """All that decides captions and what reasoners make of them."""
    from vantage.evaluation.measuring import Plan, planned
    from vantage.evaluation.weights import fingerprint

    named = (reasoning.model_path(asked.model), *more["reasoner"])
    weights = {name: found for name in named if (found := fingerprint(name))}
    style = prompts.style(label_sources=asked.prompt.label_sources)
    settings = {"weights": weights, "max_new_tokens": asked.max_new_tokens, "prompts": prompts.model_dump(), **more}
    plan = Plan(style, asked.prompt.mono, k)
    return planned(asked.samples, plan, model=asked.model, data=asked.data, settings=settings)[0]


def _drawing(k: int | None, temperature: float | None, given: dict[str, Any]) -> dict[str, Any]:
    """How answers or captions are drawn, as far as the command line says it."""
    given = {key: value for key, value in given.items() if value is not None}
    if k is None:
        if temperature is not None:
            raise ConfigError("--temperature is about reasoners or drawn answers; give --reasoner or --k")
        if given:
            named = ", ".join(f"--{key.replace('_', '-')}" for key in given)
            raise ConfigError(f"{named}: this is about drawn answers, and no --k is given")
        return {}
    way = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "seed": 0, **given}
    way |= {} if temperature is None else {"temperature": temperature}
    if not way["temperature"] > 0 or not 0 < way["top_p"] <= 1:
        raise ConfigError(
            "with --k, --temperature is above 0 and --top-p above 0, at most 1; "
            f"got {way['temperature']} and {way['top_p']}"
        )
    return way

"""Evaluation before and after a run, shared among its processes, kept if it was made already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accelerate.utils import broadcast_object_list, gather_object
from rich.console import Console
from trl.models import unwrap_model_for_generation

from vantage.captions import CaptionReward
from vantage.endpoints import Endpoint
from vantage.engines.trl.trainer import VantageTrainer
from vantage.errors import EndpointError
from vantage.evaluation import Evaluation, comparison, evaluate, write_rows
from vantage.evaluation.passk import summary
from vantage.evaluation.results import figures
from vantage.evaluation.sampling import sample_many
from vantage.pipeline import Pipeline
from vantage.progress import progress, stages
from vantage.recipes import Recipe
from vantage.runs import Run
from vantage.samples import Sample


class Measure:
    """Evaluations of a run.

    Args:
        recipe: what is run.
        run: where they are kept.
        trainer: whose model is measured.
        samples: on which; ``None`` where the recipe names no test data.
        console: where to show progress.
        others: reasoners beside the one of training, in the main process.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: Run,
        trainer: VantageTrainer,
        samples: Sequence[Sample] | None,
        console: Console,
        others: Sequence[Endpoint] = (),
    ) -> None:
        self.recipe, self.run, self.trainer, self.samples, self.console = recipe, run, trainer, samples, console
        self.others = others

    def __call__(self, moment: str) -> Evaluation | None:
        """The evaluation of this moment, or ``None`` where the recipe names no test data.

        With a reasoner it is that of the reasoner of training; those of all reasoners are kept beside it. So is that
        of drawn answers, where the recipe asks for them.

        Raises:
            EndpointError: more calls of a reasoner failed than ``reasoner.max_failed`` allows; nothing is kept of them,
                so that a resumed run asks again.
        """
        if self.samples is None:
            return None
        file, trainer = self.run.evaluation(moment), self.trainer
        accelerator = trainer.accelerator
        known = [file.exists(), not self.recipe.evaluation.k or self.run.passk(moment).exists()]
        answered, drawn = broadcast_object_list(known)  # as the main process sees it
        if answered and drawn:
            return Evaluation.load(file)
        if trainer.is_fsdp_enabled or _is_zero3(accelerator):
            self.console.print("weights are sharded: not measured here; measure the saved model with 'vantage eval'")
            return None
        trainer.model.to(accelerator.device)  # DeepSpeed would place it only when training starts
        with unwrap_model_for_generation(trainer.model_wrapped, accelerator) as model:
            if answered:
                result = Evaluation.load(file)
            else:
                result, rows = (self._reasoned if self.recipe.reasoner is not None else self._answered)(moment, model)
                if accelerator.is_main_process:
                    write_rows(self.run.answers(moment), rows)
                    result.save(file)
            if not drawn:
                self._draw(moment, model)
        return result

    def _share(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """What this process answers."""
        accelerator = self.trainer.accelerator
        each = -(-len(samples) // accelerator.num_processes)
        return samples[accelerator.process_index * each : (accelerator.process_index + 1) * each]

    def _draw(self, moment: str, model: Any) -> None:
        """Several answers to each question; what is drawn is the same in any number of processes."""
        assert self.samples is not None  # noqa: S101  __call__ has checked it
        accelerator, settings = self.trainer.accelerator, self.recipe.evaluation
        asked = self.samples[: settings.questions]
        mine = self._share(asked)
        with progress(self.console, f"draw answers {moment}") as report:
            result, rows = sample_many(
                model,
                self.trainer.processing_class,
                mine or asked[:1],
                settings.k,
                style=self.recipe.style(),
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=settings.top_k,
                seed=settings.seed,
                max_new_tokens=self._longest,
                batch_size=settings.batch_size,
                model_name=self._called(moment),
                data_name=str(self.recipe.data.test),
                progress=report,
            )
        if accelerator.num_processes > 1:
            rows = gather_object(rows if mine else [])
            about = {name: getattr(result, name) for name in ("model", "data", "seconds", "settings")}
            result = summary(rows, **about)
        if accelerator.is_main_process:
            write_rows(self.run.passk_answers(moment), rows)
            result.save(self.run.passk(moment))

    def _answered(self, moment: str, model: Any) -> tuple[Evaluation, list[Any]]:
        assert self.samples is not None  # noqa: S101  __call__ has checked it
        accelerator = self.trainer.accelerator
        mine = self._share(self.samples)
        with progress(self.console, f"evaluate {moment}") as report:
            result, rows = evaluate(
                model,
                self.trainer.processing_class,
                mine or self.samples[:1],  # a process without a share answers too, as generation may be collective
                style=self.recipe.style(),
                mono=self.recipe.prompt.mono,
                max_new_tokens=self._longest,
                batch_size=self.recipe.evaluation.batch_size,
                model_name=self._called(moment),
                data_name=str(self.recipe.data.test),
                progress=report,
            )
        if accelerator.num_processes > 1:
            result, rows = _together(result, gather_object(rows if mine else []))
        return result, rows

    def _reasoned(self, moment: str, model: Any) -> tuple[Evaluation, list[Any]]:
        """Every reasoner answers from the same captions; the first process asks, and the others get its figures."""
        accelerator = self.trainer.accelerator
        found: list[Any] = [None]
        if accelerator.is_main_process:
            try:
                found = [self._compared(moment, model)]
            except Exception as error:
                if accelerator.num_processes == 1:
                    raise
                found = [error]  # the others wait for what comes
        (told,) = broadcast_object_list(found)
        if isinstance(told, Exception):
            raise told
        result, rows = told
        return result, rows

    def _compared(self, moment: str, model: Any) -> tuple[Evaluation, list[Any]]:
        settings, reward = self.recipe.reasoner, self.trainer.verifier.reward
        assert settings is not None and isinstance(reward, CaptionReward) and self.samples  # noqa: S101  as launched
        pipeline = Pipeline(
            model,
            self.trainer.processing_class,
            prompts=settings.prompts,
            label_sources=self.recipe.prompt.label_sources,
            mono=self.recipe.prompt.mono,
            max_new_tokens=self._longest,
            batch_size=self.recipe.evaluation.batch_size,
        )
        with stages(self.console) as report:
            found, rows = comparison.compare(
                pipeline,
                self.samples,
                [reward.endpoint, *self.others],
                model_name=self._called(moment),
                data_name=str(self.recipe.data.test),
                inner=settings.reward,
                answer_in=settings.answer_in,
                progress=lambda what, done, total: report(f"{what} {moment}", done, total),
            )
        for one in found:
            asked = [row for row in rows if row["reasoner"] == one.reasoner]
            failed = [row for row in asked if row["score"] is None]
            if len(failed) > settings.max_failed * len(asked):
                raise EndpointError(
                    f"{one.reasoner}: {len(failed)} of {len(asked)} answers failed, more than "
                    f"max_failed={settings.max_failed:g} allows, so the evaluation {moment} was not kept; the first: "
                    f"{failed[0]['error']}"
                )
        comparison.save(self.run.reasoners(moment), found)
        plain = {name: getattr(found[0], name) for name in Evaluation.model_fields}
        return Evaluation(**plain), rows

    @property
    def _longest(self) -> int:
        return self.recipe.evaluation.max_new_tokens or self.trainer.args.max_completion_length

    def _called(self, moment: str) -> str:
        return self.recipe.model.path if moment == "before" else str(self.run.model)


def _together(part: Evaluation, rows: list[Any]) -> tuple[Evaluation, list[Any]]:
    """The evaluation over the rows of every process."""
    names = dict.fromkeys(row["task"] for row in rows if row["task"])
    tasks = {task: figures(row for row in rows if row["task"] == task) for task in names}
    return part.model_copy(update={**dict(figures(rows)), "tasks": tasks}), rows


def _is_zero3(accelerator: Any) -> bool:
    plugin = accelerator.state.deepspeed_plugin
    return plugin is not None and plugin.zero_stage == 3

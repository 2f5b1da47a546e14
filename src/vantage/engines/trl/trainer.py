"""The TRL engine: ``GRPOTrainer`` that trains on what a method decides.

The rollout phase is ours: fused rollouts and single-source anchors are spoken, scored, judged, and groups without signal
are replaced where the method wants that. What is to be trained on then enters the stock trainer by the two doors through
which it would have made it itself (``_generate``, ``_calculate_rewards``), and only the advantages are replaced. Padding,
pictures, old and reference log-probs, loss, LoRA, checkpointing, vLLM, DeepSpeed and FSDP stay TRL's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.logging import get_logger
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from vantage.engines.trl import settings
from vantage.engines.trl.checkpoints import save_whole
from vantage.engines.trl.clock import Clock, time_vision
from vantage.engines.trl.logs import RolloutLog
from vantage.engines.trl.parity import ParityCheck
from vantage.engines.trl.rollout import Rollout, Row, Verifier, checked, completion_text, row
from vantage.groups import FUSED, Group, Member
from vantage.methods import Method, Rewards, Speaker
from vantage.methods.metrics import group_metrics
from vantage.models import load_model, load_processor, placeholder_ids
from vantage.rewards.base import Score
from vantage.samples import MonoView, PromptStyle, Sample

logger = get_logger(__name__)

Samples = Sequence[Sample]


class VantageTrainer(GRPOTrainer):
    """Train a vision-language model with a method of ``vantage.methods``.

    Args:
        model: a model, or the path or name of one.
        method: what the groups are made of and what is learned from them.
        args: TRL's own configuration. A device's generation batch (``per_device_train_batch_size`` times
            ``steps_per_generation``) must hold whole groups of ``num_generations``.
        train_dataset: samples; each is checked by its own reward.
        eval_dataset: samples, or several sets of them by name.
        processing_class: the model's processor; loaded from the model's path by default.
        reward_funcs: further reward functions as TRL takes them (sync or async), added to the samples' own reward with
            ``args.reward_weights`` (own reward first). They receive the columns ``sample``, ``id``, ``question``,
            ``truth`` and ``metadata``.
        style: how a sample becomes chat messages.
        mono: how a single source is shown; see ``vantage.samples.view``.
        rollout_log: a JSONL file to which every group is appended.
        parity: ``refuse`` compares rollout and update before the first step and does not train on a mismatch; ``skip``
            does not compare.
        kwargs: passed on to ``GRPOTrainer`` (``callbacks``, ``optimizers``, ``peft_config``, ``quantization_config``).

    Raises:
        ConfigError: settings that contradict each other, a group size that does not divide a device's batch, a sample
            that the method cannot work on.
    """

    def __init__(
        self,
        model: str | PreTrainedModel,
        method: Method,
        args: GRPOConfig | None = None,
        train_dataset: Samples | None = None,
        eval_dataset: Samples | Mapping[str, Samples] | None = None,
        processing_class: ProcessorMixin | None = None,
        *,
        reward_funcs: Callable[..., Any] | Sequence[Callable[..., Any]] = (),
        style: PromptStyle | None = None,
        mono: MonoView = "fill",
        rollout_log: str | Path | None = None,
        parity: str = "refuse",
        **kwargs: Any,
    ) -> None:
        args = GRPOConfig() if args is None else copy.copy(args)
        settings.reconcile(method, args, kwargs)
        self.method = method
        self.style = style or PromptStyle()
        self.mono: MonoView = mono
        self._samples: dict[str, Samples] = {"train": settings.samples(train_dataset, "train_dataset")}
        self._anchors = settings.anchor_columns(method, self._samples["train"])
        self._verifier = Verifier()
        self._staged: Rollout | None = None
        self._fillers: set[int] = set()
        more = [reward_funcs] if callable(reward_funcs) else list(reward_funcs)

        evaluation: Dataset | dict[str, Dataset] | None = None
        if isinstance(eval_dataset, Mapping):
            evaluation = {name: self._index(f"eval/{name}", data) for name, data in eval_dataset.items()}
        elif eval_dataset is not None:
            evaluation = self._index("eval", eval_dataset)
        if isinstance(model, str):
            if processing_class is None:
                processing_class = load_processor(model)
            model = load_model(model, **(args.model_init_kwargs or {}))
        super().__init__(
            model=model,
            reward_funcs=[self._verifier, *(checked(function) for function in more)],
            args=args,
            train_dataset=self._index("train", self._samples["train"]),
            eval_dataset=evaluation,
            processing_class=processing_class,
            **kwargs,
        )
        self.clock = Clock(self.accelerator.device)
        time_vision(self.model, self.clock)
        self._ban_placeholders()
        self._rollout_log = RolloutLog(rollout_log) if rollout_log and self.accelerator.is_main_process else None
        if parity == "refuse":
            self.add_callback(ParityCheck(self))

    def _index(self, split: str, samples: Samples) -> Dataset:
        """A data set of row numbers: pictures are decoded when their group is spoken, once."""
        self._samples[split] = samples
        return Dataset.from_dict({"row": list(range(len(samples))), "split": [split] * len(samples)})

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["row", "split"]

    def _ban_placeholders(self) -> None:
        """Keep picture placeholders from being sampled: they would be read as pictures that are not there."""
        banned = placeholder_ids(self.model.config, self._tokenizer)
        if self.use_vllm:
            biases = {token: -100.0 for token in banned}
            kwargs = self.vllm_generation.generation_kwargs or {}
            self.vllm_generation.generation_kwargs = {**kwargs, "logit_bias": {**kwargs.get("logit_bias", {}), **biases}}
            return
        banned = sorted({*banned, *(self.generation_kwargs.get("suppress_tokens") or [])})
        self.generation_kwargs["suppress_tokens"] = banned
        self.generation_config.suppress_tokens = banned

    # --- doors into the stock trainer -----------------------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[Row]) -> dict[str, Any]:
        if not self.model.training:
            return self._evaluate_batch(inputs)
        size = self.num_generations
        kept = self._collect([int(item["row"]) for item in inputs[::size]])
        columns = kept.trained_columns(size)
        self._staged = kept
        try:
            rows = [
                row(group.sample, prompt) for group, prompt in zip(kept.groups, kept.prompts, strict=True)
                for _ in range(size)
            ]
            output = super()._generate_and_score_completions(rows)
        finally:
            self._staged = None
        chosen = torch.tensor(columns, device=kept.advantages.device)
        output["advantages"] = kept.advantages.gather(1, chosen).flatten().to(output["advantages"])
        everyone = self.accelerator.gather(output["advantages"]).tolist()
        for _ in everyone:
            self._logs["advantages"].pop()
        self._logs["advantages"].extend(everyone)
        # The stock figure speaks of the groups that train; ours of all that were generated (see _roll_out).
        self._metrics["train"]["reward"].pop()
        return output

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        staged = self._staged
        if staged is None:
            return super()._generate(prompts)
        columns = staged.trained_columns(self.num_generations)
        prompt_ids, completion_ids, completions, logprobs, images, mask = [], [], [], [], [], []
        for index, (group, chosen) in enumerate(zip(staged.groups, columns, strict=True)):
            for column in chosen:
                ids = staged.completion_ids[index][column]
                prompt_ids.append(staged.prompt_ids[index])
                completion_ids.append(ids)
                completions.append([{"role": "assistant", "content": group.members[column].text}])
                images.append(staged.images[index])
                mask.append([int(index not in self._fillers)] * len(ids))
                if staged.logprobs is not None:
                    logprobs.append(staged.logprobs[index][column])
        return (
            prompt_ids,
            completion_ids,
            mask if self._fillers else None,
            completions,
            logprobs if staged.logprobs is not None else None,
            {},
            images,
            [],
        )

    def _calculate_rewards(
        self, inputs: list[Row], prompts: list[Any], completions: list[Any], completion_ids_list: list[list[int]]
    ) -> Tensor:
        staged = self._staged
        if staged is None:
            return super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        chosen = torch.tensor(staged.trained_columns(self.num_generations), device=staged.per_function.device)
        index = chosen[..., None].expand(-1, -1, staged.per_function.shape[-1])
        return self.accelerator.gather(staged.per_function.gather(1, index).flatten(0, 1))

    # --- the rollout phase ----------------------------------------------------------------------------------------

    def _collect(self, rows: list[int]) -> Rollout:
        """Groups for one generation batch: those of ``rows``, silent ones replaced as far as the method allows."""
        batches = self.method.generation_batches
        self._fillers = set()
        kept = Rollout()
        silent = Rollout()
        everyone: list[Group] = []
        for batch in range(batches):
            drawn = rows if batch == 0 else self._refill(rows, batch)
            rollout = self._roll_out([self._samples["train"][index] for index in drawn], batch)
            everyone += rollout.groups
            if batches == 1:
                kept = rollout
                break
            signal = rollout.signal()
            kept = kept.extend(rollout.take([i for i, heard in enumerate(signal) if heard]))
            silent = silent.extend(rollout.take([i for i, heard in enumerate(signal) if not heard]))
            here = torch.tensor([min(len(kept.groups), len(rows))], device=self.accelerator.device)
            # Every process generates until each has its share: generation is collective.
            everywhere = self.accelerator.gather(here)
            if int(everywhere.min()) == len(rows):
                break
        if batches > 1:
            kept = self._fill(kept, silent, len(rows))
            self._note("dynamic/batches", float(batch + 1))
            self._note("dynamic/filled", everywhere.sum().item() / (len(everywhere) * len(rows)))
            if int(everywhere.min()) < len(rows):
                logger.warning(
                    f"step {self.state.global_step + 1}: {int(everywhere.sum())} of {len(everywhere) * len(rows)} groups "
                    f"have signal after {batches} batches of prompts; the step trains on these"
                )
        if self._rollout_log is not None or self.accelerator.num_processes > 1:
            self._log_groups(everyone)
        return kept

    def _fill(self, kept: Rollout, silent: Rollout, size: int) -> Rollout:
        """Exactly ``size`` groups: surplus ones are dropped; where some miss, silent ones stand in without any loss."""
        for group in [*kept.groups[size:], *silent.groups]:
            for member in group.members:
                member.trained = False
        missing = size - len(kept.groups)
        if missing <= 0:
            return kept.take(range(size))
        self._fillers = set(range(len(kept.groups), size))
        # A rank may have heard no signal at all; what stands in is then repeated.
        return kept.extend(silent.take([i % len(silent.groups) for i in range(missing)]))

    def _refill(self, rows: list[int], batch: int) -> list[int]:
        """Fresh rows for this process, drawn from the step's number alone, so that a resumed run draws the same."""
        used = set(gather_object(list(rows)))
        moment = self._step % self.args.gradient_accumulation_steps
        rng = np.random.default_rng([self.args.seed, self.state.global_step, moment, batch])
        total = len(self._samples["train"])
        order = [int(index) for index in rng.permutation(total) if int(index) not in used] or list(range(total))
        start = self.accelerator.process_index * len(rows)
        return [order[(start + offset) % len(order)] for offset in range(len(rows))]

    def _roll_out(self, samples: list[Sample], batch: int) -> Rollout:
        """Speak, score and judge one batch of groups."""
        size = self.num_generations
        pictures = [{name: source.load() for name, source in sample.sources.items()} for sample in samples]
        prompts = [
            self.style.messages(sample, pictures=loaded) for sample, loaded in zip(samples, pictures, strict=True)
        ]
        repeated = [prompt for prompt in prompts for _ in range(size)]
        with self.clock.phase("rollout"):
            prompt_ids, ids, _, completions, logprobs, _, images, _ = super()._generate(repeated)
        rows = [row(sample, prompt) for sample, prompt in zip(samples, prompts, strict=True) for _ in range(size)]
        per_function, scores = self._score(rows, repeated, completions, ids)
        groups = [Group(sample) for sample in samples]
        for index, (completion, tokens, score) in enumerate(zip(completions, ids, scores, strict=True)):
            groups[index // size].members.append(Member(FUSED, completion_text(completion), tokens, score))
        per_function = per_function.view(len(samples), size, -1)
        if self._anchors:
            spoken = self._speak_anchors(samples, pictures, groups)
            per_function = torch.cat([per_function, spoken], dim=1)
        rollout = Rollout(
            groups=groups,
            prompt_ids=prompt_ids[::size],
            completion_ids=[[member.token_ids for member in group.members] for group in groups],
            logprobs=None if logprobs is None else _pad_logprobs(logprobs, groups, size),
            images=[None] * len(samples) if images is None else images[::size],
            prompts=prompts,
            per_function=per_function,
        )
        self._judge(rollout, batch)
        return rollout

    def _speak_anchors(
        self, samples: list[Sample], pictures: list[dict[str, Any]], groups: list[Group]
    ) -> Tensor:
        """Single-source answers of every group, (P, S, F); NaN for a source that the sample lacks."""
        device = self.accelerator.device
        spoken = torch.full((len(samples), len(self._anchors), len(self.reward_funcs)), torch.nan, device=device)
        members: list[list[Member | None]] = [[None] * len(self._anchors) for _ in samples]
        for greedy in (True, False):
            columns = [i for i, speaker in enumerate(self._anchors) if speaker.greedy is greedy]
            if not columns:
                continue
            rows, prompts, wanted = [], [], []
            for sample, loaded in zip(samples, pictures, strict=True):
                own = {speaker.origin for speaker in self.method.speakers(tuple(sample.sources))}
                for column in columns:
                    origin = self._anchors[column].origin
                    wanted.append(origin in own)
                    # Every process generates equally many rows; one that is not wanted stands in and is forgotten.
                    shown = origin if origin in own else FUSED
                    prompts.append(self.style.messages(sample, shown, self.mono, loaded))
                    rows.append(row(sample, prompts[-1]))
            with self.clock.phase("anchors"), self._decoding(greedy):
                prompt_ids, images, fields = self._tokenize_prompts(prompts)
                ids, _ = self._generate_single_turn(prompt_ids, images, fields, 1)
            texts = self.processing_class.batch_decode(ids, skip_special_tokens=True)
            completions = [[{"role": "assistant", "content": text}] for text in texts]
            with self._own_logs():
                per_function, scores = self._score(rows, prompts, completions, ids)
            for index, keep in enumerate(wanted):
                problem, column = index // len(columns), columns[index % len(columns)]
                if keep:
                    spoken[problem, column] = per_function[index]
                    origin = self._anchors[column].origin
                    members[problem][column] = Member(origin, texts[index], ids[index], scores[index])
        for group, mine in zip(groups, members, strict=True):
            for speaker, member in zip(self._anchors, mine, strict=True):
                group.members.append(member or Member(speaker.origin, "", []))
        return spoken

    def _score(
        self, rows: list[Row], prompts: list[Any], completions: list[Any], ids: list[list[int]]
    ) -> tuple[Tensor, list[Score]]:
        """Rewards by function of this process's rows, (rows, F), and the scores of their own rewards."""
        with self.clock.phase("reward"):
            gathered = super()._calculate_rewards(rows, prompts, completions, ids)
        start = self.accelerator.process_index * len(rows)
        return gathered[start : start + len(rows)], self._verifier.scores

    def _judge(self, rollout: Rollout, batch: int) -> None:
        """Ask the method, with the rewards of every process, and write its answer into the groups."""
        size, groups, device = self.num_generations, rollout.groups, self.accelerator.device
        weights = self.reward_weights.to(device)
        rewards = (rollout.per_function * weights).nansum(-1)
        rewards[rollout.per_function.isnan().all(-1)] = torch.nan
        lengths = torch.tensor([[len(m.token_ids) for m in group.members] for group in groups], device=device)
        penalty = self.method.length_penalty(lengths, self.max_completion_length)
        if penalty is not None:
            rewards = rewards + penalty
        scores = [[member.score for member in group.members] for group in groups]
        correct = _scores(scores, "correct", device)
        formatted = _scores(scores, "formatted", device)

        start = self.accelerator.process_index * len(groups)
        mine = slice(start, start + len(groups))
        everyone = self.accelerator.gather(rewards)
        columns = Rewards.of(everyone[:, :size], everyone[:, size:])
        decision = self.method.decide(columns, self._seed(batch))
        rollout.advantages, rollout.trained = decision.advantages[mine], decision.trained[mine]
        for index, group in enumerate(groups):
            for column, member in enumerate(group.members):
                value = rewards[index, column].item()
                member.reward = None if np.isnan(value) else value
                member.advantage = rollout.advantages[index, column].item()
                member.trained = bool(rollout.trained[index, column])
                if member.score is not None:
                    extra = {
                        name: rollout.per_function[index, column, i].item()
                        for i, name in enumerate(self.reward_func_names)
                        if i
                    }
                    if penalty is not None:
                        extra["overlong"] = penalty[index, column].item()
                    member.score = replace(member.score, parts={**member.score.parts, **extra})

        correct, formatted = self.accelerator.gather(correct), self.accelerator.gather(formatted)
        sources = [speaker.origin.name for speaker in self._anchors]
        self._note("reward", columns.fused.nanmean().item())
        self._note("accuracy", correct[:, :size].nanmean().item())
        self._note("format", formatted[:, :size].nanmean().item())
        for name, value in group_metrics(columns, correct[:, :size], correct[:, size:], decision, sources).items():
            self._note(name, value)

    def _seed(self, batch: int) -> int:
        """A number that every process shares and that differs from one batch of groups to the next."""
        moment = self._step % self.args.gradient_accumulation_steps
        entropy = [self.args.seed, self.state.global_step, moment, batch]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    @contextmanager
    def _decoding(self, greedy: bool) -> Iterator[None]:
        """Decode greedily inside, on whichever backend generates."""
        if not greedy:
            yield
            return
        if self.use_vllm:
            backend, before = self.vllm_generation, self.vllm_generation.temperature
            backend.temperature = 0.0
            try:
                yield
            finally:
                backend.temperature = before
            return
        config, kwargs = self.generation_config, self.generation_kwargs
        plain = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "min_p": None}
        self.generation_kwargs = {**kwargs, **plain}
        self.generation_config = copy.deepcopy(config)
        self.generation_config.update(**plain)
        try:
            yield
        finally:
            self.generation_config, self.generation_kwargs = config, kwargs

    @contextmanager
    def _own_logs(self) -> Iterator[None]:
        """Keep what reward functions log of anchors out of the table of completions, whose rows they are not."""
        extra, metrics = copy.deepcopy(self._pending_extra_logs), copy.deepcopy(self._pending_metrics)
        try:
            yield
        finally:
            self._pending_extra_logs, self._pending_metrics = extra, metrics

    # --- evaluation inside training, logs, checkpoints ------------------------------------------------------------

    def _evaluate_batch(self, inputs: list[Row]) -> dict[str, Any]:
        """The stock evaluation, fed with samples."""
        rows, prompts = [], {}
        for item in inputs:
            key = (item["split"], int(item["row"]))
            sample = self._samples[key[0]][key[1]]
            if key not in prompts:
                prompts[key] = self.style.messages(sample)
            rows.append(row(sample, prompts[key]))
        output = super()._generate_and_score_completions(rows)
        device = self.accelerator.device
        scores = [[score] for score in self._verifier.scores]
        for name, attribute in (("accuracy", "correct"), ("format", "formatted")):
            values = self.accelerator.gather(_scores(scores, attribute, device))
            self._note(name, values.nanmean().item())
        return output

    def _note(self, name: str, value: float) -> None:
        self._metrics["train" if self.model.training else "eval"][name].append(value)

    def _log_groups(self, groups: list[Group]) -> None:
        records = [group.record() for group in groups]
        records = gather_object(records)
        if self._rollout_log is not None:
            self._rollout_log.write(self.state.global_step + 1, records)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """One micro-step; at the end of an optimizer step its time split is noted."""
        start = self.clock.now()
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.clock.add("step", self.clock.now() - start)
        if self._step % self.current_gradient_accumulation_steps == 0:
            seconds = self.clock.take()
            phases = {name: seconds.get(name, 0.0) for name in ("rollout", "anchors", "reward", "vision", "step")}
            phases["update"] = phases["step"] - phases["rollout"] - phases["anchors"] - phases["reward"]
            for name, value in phases.items():
                self._note(f"time/{name}", value)
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with save_whole(Path(self._get_output_dir(trial=trial)), self.state.global_step, self.accelerator):
            super()._save_checkpoint(model, trial)


def _scores(scores: list[list[Score | None]], attribute: str, device: torch.device) -> Tensor:
    """A flag of every score as 0 or 1, (P, N); NaN where there is no score or it could not be scored."""
    values = [
        [float("nan") if s is None or s.reward is None else float(getattr(s, attribute)) for s in line]
        for line in scores
    ]
    return torch.tensor(values, device=device)


def _pad_logprobs(logprobs: list[list[float]], groups: list[Group], size: int) -> list[list[list[float]]]:
    """Log-probs of fused rollouts by group; members that the backend did not score have none."""
    return [
        logprobs[i * size : (i + 1) * size] + [[] for _ in group.members[size:]] for i, group in enumerate(groups)
    ]


__all__ = ["Speaker", "TrainerCallback", "VantageTrainer"]

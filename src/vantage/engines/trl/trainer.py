"""The TRL engine: ``GRPOTrainer`` that trains on what a method decides.

The rollout phase is ours: fused rollouts and single-source anchors are spoken, scored, judged, and groups without
signal are replaced where the method wants that. What is to be trained on then enters the stock trainer by the two
doors through which it would have made it itself (``_generate``, ``_calculate_rewards``), and only the advantages are
replaced. Padding, pictures, old and reference log-probs, loss, LoRA, checkpointing, vLLM, DeepSpeed and FSDP stay
TRL's.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from accelerate.logging import get_logger
from accelerate.utils import gather_object, is_peft_model
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import split_tensor_dict

from datasets import Dataset
from vantage.engines.trl import settings, shared
from vantage.engines.trl.checkpoints import kept_on_failure, save_whole
from vantage.engines.trl.clock import PHASES, Clock, time_vision
from vantage.engines.trl.logs import RolloutLog, unscored_rows_untold
from vantage.engines.trl.off_policy import OffPolicy
from vantage.engines.trl.parity import ParityCheck
from vantage.engines.trl.phase import Collected, RolloutPhase, flags
from vantage.engines.trl.rollout import Row, Verifier, checked, row
from vantage.engines.trl.sampling import EpochSampler
from vantage.engines.trl.shared import PROMPT, SharedUpdate, Sharing, shuffled
from vantage.engines.trl.speaking import Ask, Behind, Speaking, Spoken
from vantage.engines.trl.together import Together
from vantage.groups import FUSED, Group, Member
from vantage.guests import Guests
from vantage.methods import Method
from vantage.models import load_model, load_processor
from vantage.rewards import Reward
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
        train_dataset: samples; answers to each are scored by its own reward, which reads every truth first.
            ``vantage.datasets.check`` also reads pictures and measures prompts, as ``vantage train`` does.
        eval_dataset: samples, or several sets of them by name.
        processing_class: the model's processor; loaded from the model's path by default.
        reward: scores every sample instead of its own reward, such as ``vantage.captions.CaptionReward``.
        reward_funcs: further reward functions as TRL takes them (sync or async), added to the samples' own reward with
            ``args.reward_weights`` (own reward first). They receive the columns ``sample``, ``id``, ``question``,
            ``truth`` and ``metadata``.
        guests: other models whose answers join the groups, where the method takes them.
        style: how a sample becomes chat messages.
        mono: how a single source is shown; see ``vantage.samples.view``.
        rollout_log: a JSONL file to which every group is appended.
        parity: ``refuse`` compares rollout and update before the first step and does not train on a mismatch; ``skip``
            does not compare.
        sharing: whether a prompt is computed once for all rows of its group, in rollouts and update: ``auto`` where
            that is exact, ``portable`` or ``fast`` by name (see ``vantage.sharing``), or ``off``. The attribute
            ``not_shared`` says why where it is not.
        kwargs: passed on to ``GRPOTrainer`` (``callbacks``, ``optimizers``, ``peft_config``, ``quantization_config``).

    Raises:
        ConfigError: settings that contradict each other, a group size that does not divide a device's batch, a sample
            that the method cannot work on.
        TruthError: a truth that the reward of its row cannot read.
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
        reward: Reward | None = None,
        reward_funcs: Callable[..., Any] | Sequence[Callable[..., Any]] = (),
        guests: Guests | None = None,
        style: PromptStyle | None = None,
        mono: MonoView = "fill",
        rollout_log: str | Path | None = None,
        parity: str = "refuse",
        sharing: Sharing = "auto",
        **kwargs: Any,
    ) -> None:
        args = GRPOConfig() if args is None else copy.copy(args)
        settings.reconcile(method, args, kwargs)
        settings.check_guests(method, guests)
        self.method = method
        self.style = style or PromptStyle()
        self.mono: MonoView = mono
        self._samples: dict[str, Samples] = {"train": settings.samples(train_dataset, "train_dataset")}
        settings.check_truths(self.training_samples, reward)
        self.verifier = Verifier(reward)
        self._phase = RolloutPhase(self, settings.anchor_columns(method, self.training_samples), guests)
        self._staged: Collected | None = None
        self._shared: SharedUpdate | None = None
        self.not_shared: list[str] = []
        speakers = () if guests is None else dict.fromkeys(origin.name for origin in guests.columns)
        ratio = method.off_policy
        self._off_policy = None if ratio is None else OffPolicy(self, ratio, tuple(speakers))
        self._figures: dict[str, float] = {}
        more = [reward_funcs] if callable(reward_funcs) else list(reward_funcs)

        evaluation: Dataset | dict[str, Dataset] | None = None
        if isinstance(eval_dataset, Mapping):
            evaluation = {name: self._index(f"eval/{name}", data) for name, data in eval_dataset.items()}
        elif eval_dataset is not None:
            evaluation = self._index("eval", eval_dataset)
        if isinstance(model, str):
            if processing_class is None:
                processing_class = load_processor(model, trust_remote_code=args.trust_remote_code)
            # As TRL does: bfloat16 weights would round the steps of reinforcement learning away.
            ours = {"dtype": "float32", "trust_remote_code": args.trust_remote_code}
            model = load_model(model, **{**ours, **(args.model_init_kwargs or {})})
        super().__init__(
            model=model,
            reward_funcs=[self.verifier, *(checked(function) for function in more)],
            args=args,
            train_dataset=self._index("train", self.training_samples),
            eval_dataset=evaluation,
            processing_class=processing_class,
            **kwargs,
        )
        path = shared.chosen(sharing, self)
        self._shared = None if path == "off" else SharedUpdate(self, path)
        self.verifier.ends = frozenset(self._end_tokens())
        self.together = Together(self.accelerator)
        self.clock = Clock(self.accelerator.device)
        time_vision(self.model, self.clock)
        self.speaking = Speaking(self)
        self.speaking.ban_placeholders()
        self.speaking.together = self.shares and shared.rollouts_share(self)
        for line in self.not_shared:
            logger.warning(line)
        self.group_watchers: list[Callable[[int, list[Group]], None]] = []
        self._rollout_log = RolloutLog(rollout_log) if rollout_log and self.accelerator.is_main_process else None
        if parity == "refuse":
            self.add_callback(ParityCheck(self))

    def _index(self, split: str, samples: Samples) -> Dataset:
        """A data set of row numbers: pictures are decoded when their group is spoken, once."""
        self._samples[split] = samples
        return Dataset.from_dict({"row": list(range(len(samples))), "split": [split] * len(samples)})

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["row", "split"]

    def _end_tokens(self) -> set[int]:
        ends = self.model.generation_config.eos_token_id
        found = {self._tokenizer.eos_token_id, self._tokenizer.pad_token_id}
        return {token for token in found | (set(ends) if isinstance(ends, list) else {ends}) if token is not None}

    def _get_train_sampler(self, dataset: Dataset | None = None) -> EpochSampler:
        return EpochSampler(
            epoch=lambda: self.state.epoch,
            data_source=self.train_dataset if dataset is None else dataset,
            mini_repeat_count=self.num_generations,
            batch_size=self.args.generation_batch_size // self.num_generations,
            repeat_count=self.num_iterations * self.args.steps_per_generation,
            shuffle=self.shuffle_dataset,
            seed=self.args.seed,
        )

    # --- doors into the stock trainer -----------------------------------------------------------------------------

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """As the stock method, but that groups are shuffled and stay together where their prompts are shared."""
        per_generation = self.args.steps_per_generation
        if not self.shares or not self.model.training:
            return super()._prepare_inputs(generation_batch)
        if self._step % (per_generation * self.num_iterations) == 0 or self._buffered_inputs is None:  # type: ignore[has-type]
            rows = self._generate_and_score_completions(generation_batch)
            self._buffered_inputs = split_tensor_dict(shuffled(rows), per_generation)
        return self._buffered_inputs[self._step % per_generation]

    def _generate_and_score_completions(self, inputs: list[Row]) -> dict[str, Any]:
        if not self.model.training:
            return self._evaluate_batch(inputs)
        size = self.num_generations
        with kept_on_failure(self):
            collected = self._phase.collect([int(item["row"]) for item in inputs[::size]])
        output = self.enter(collected)
        rollout = collected.rollout
        advantages = rollout.advantages.gather(1, rollout.columns(size)) * rollout.live(size)
        output["advantages"] = advantages.flatten().to(output["advantages"])
        if self._off_policy is not None:
            self._off_policy.enter(collected, output)
        everyone = self.accelerator.gather(output["advantages"]).tolist()
        for _ in everyone:
            self._logs["advantages"].pop()
        self._logs["advantages"].extend(everyone)
        # The stock figure speaks of the groups that train, ours of all that were generated.
        self._metrics["train"]["reward"].pop()
        self._figures = collected.figures
        self._note(self._figures)
        self._log_groups(collected.spoken)
        return output

    def enter(self, collected: Collected) -> dict[str, Any]:
        """Take groups through the stock trainer's doors to the tensors that its update gets."""
        rollout, size = collected.rollout, self.num_generations
        rows = [
            row(group.sample, prompt)
            for group, prompt in zip(rollout.groups, rollout.prompts, strict=True)
            for _ in range(size)
        ]
        self._staged = collected
        try:
            if self._shared is None or rollout.read is None:
                return super()._generate_and_score_completions(rows)
            # The pictures are read already, so the stock trainer gets none to read again.
            told = {PROMPT: [prompt for prompt in rollout.read for _ in range(size)]}
            with self.rows_of(told):
                output = super()._generate_and_score_completions(rows)
            if self.log_multimodal:
                self._logs["images"].extend(gather_object([i for i in rollout.images for _ in range(size)]))
            return output | told
        finally:
            self._staged = None

    @property
    def shares(self) -> bool:
        """Whether the update computes a prompt once for all rows of its group."""
        return self._shared is not None

    @contextmanager
    def repeating(self) -> Iterator[None]:
        """Inside, the update repeats prompts as the stock trainer does."""
        kept, self._shared = self._shared, None
        try:
            yield
        finally:
            self._shared = kept

    @contextmanager
    def rows_of(self, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Inside, log-probs are asked for of the rows of this batch, whose prompts are shared where it has them."""
        if self._shared is None or PROMPT not in inputs:
            yield
        else:
            with self._shared.rows(inputs):
                yield

    def stock_generate(self, prompts: list[Any], spoken: Spoken) -> tuple[Any, ...]:
        """``GRPOTrainer._generate`` of what has been spoken, row by row."""
        with self.speaking.taken(spoken):
            return super()._generate(prompts)

    def stock_turn(self, *args: Any) -> tuple[Any, Any]:
        """``GRPOTrainer._generate_single_turn``."""
        return super()._generate_single_turn(*args)

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, fields: Any, num_generations: int, **more: Any
    ) -> tuple[Any, Any]:
        if isinstance(fields, Behind):
            return self.speaking.grow(prompt_ids, images, fields)
        return super()._generate_single_turn(prompt_ids, images, fields, num_generations, **more)

    def stock_rewards(
        self, rows: list[Row], prompts: list[Any], completions: list[Any], ids: list[list[int]]
    ) -> Tensor:
        """``GRPOTrainer._calculate_rewards``: (rows of all processes, F); fails in all processes or in none."""
        compute = super()._calculate_rewards
        with unscored_rows_untold():
            return self.together.gathered(
                lambda: compute(rows, prompts, completions, ids), len(prompts), len(self.reward_funcs)
            )

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        if self._staged is None:
            return super()._generate(prompts)
        return self._staged.generated(self.num_generations)

    def _calculate_rewards(
        self, inputs: list[Row], prompts: list[Any], completions: list[Any], completion_ids_list: list[list[int]]
    ) -> Tensor:
        if self._staged is None:
            return self.stock_rewards(inputs, prompts, completions, completion_ids_list)
        rollout = self._staged.rollout
        index = rollout.columns(self.num_generations)[..., None].expand(-1, -1, rollout.per_function.shape[-1])
        return self.accelerator.gather(rollout.per_function.gather(1, index).flatten(0, 1))

    def _compute_loss(self, model: Any, inputs: Any) -> Tensor:
        with ExitStack() as inside:
            inside.enter_context(self.rows_of(inputs))
            if self._off_policy is not None and self.model.training:
                inputs = inside.enter_context(self._off_policy.loss(inputs))
            return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        if self._shared is not None and self.model.training:
            found: tuple[Any, ...] = self._shared.log_probs(*args, **kwargs)
        else:
            found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if self._off_policy is not None:
            self._off_policy.weigh(found[0])
        return found

    @property
    def training_samples(self) -> Samples:
        """What it trains on."""
        return self._samples["train"]

    # --- evaluation inside training, logs, checkpoints ------------------------------------------------------------

    def _evaluate_batch(self, inputs: list[Row]) -> dict[str, Any]:
        """The stock evaluation, fed with samples."""
        rows, asks = [], []
        for key, same in itertools.groupby((item["split"], int(item["row"])) for item in inputs):
            sample, count = self._samples[key[0]][key[1]], len(list(same))
            asks.append(Ask(self.style.messages(sample), count))
            rows += [row(sample, asks[-1].prompt) for _ in range(count)]
        with ExitStack() as inside:
            if self.speaking.together:
                inside.enter_context(self.speaking.taken(self.speaking.speak(asks)))
            output = super()._generate_and_score_completions(rows)
        group = Group(rows[0]["sample"], [Member(FUSED, "", score=score) for score in self.verifier.scores])
        for name, attribute in (("accuracy", "correct"), ("format", "formatted")):
            values = self.accelerator.gather(flags([group], attribute, self.accelerator.device))
            self._note({name: values.nanmean().item()})
        return output

    def _note(self, figures: Mapping[str, float]) -> None:
        mode = "train" if self.model.training else "eval"
        for name, value in figures.items():
            self._metrics[mode][name].append(value)

    def _log_groups(self, groups: list[Group]) -> None:
        records = gather_object([group.record() for group in groups])
        if self._rollout_log is not None:
            self._rollout_log.write(self.state.global_step + 1, records)
        for watcher in self.group_watchers:
            watcher(self.state.global_step + 1, groups)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """One micro-step; at the end of an optimizer step its time split is noted."""
        if self._step % self.current_gradient_accumulation_steps == 0:
            self.clock.take()  # what ran between two steps, an evaluation for example, is no part of this one
        with self.clock.phase("update"):
            loss = super().training_step(model, inputs, num_items_in_batch)
        if self._step % self.current_gradient_accumulation_steps == 0:
            seconds = self.clock.take()
            for name in PHASES:
                self._note({f"time/{name}": seconds.get(name, 0.0)})
            self._note({"time/step": sum(seconds.values())})
            if not self._metrics["train"]["reward"]:
                # An update that reuses the last generation is described by that generation's figures.
                self._note(self._figures)
        return loss

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load every weight of a checkpoint, or fail.

        The stock trainer matches names of the file with names in memory and passes over what does not match. Families
        whose files keep older names (LLaVA, Qwen-VL) would so resume from the weights that training began with.
        """
        target = self.model if model is None else model
        if is_peft_model(target) or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = load_model(resume_from_checkpoint, trust_remote_code=self.args.trust_remote_code)
        target.load_state_dict(saved.state_dict())

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self._step % (self.args.steps_per_generation * self.num_iterations):
            logger.warning(
                "step %d is saved between two generations; a run resumed from it starts with fresh groups",
                self.state.global_step,
            )
        with save_whole(Path(self._get_output_dir(trial=trial)), self.state.global_step, self.accelerator):
            super()._save_checkpoint(model, trial)

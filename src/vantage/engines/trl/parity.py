"""Before the first step: does the update see what the rollout saw?

Prompts corrupted between rollout and update, pictures that never reach the model and decoding that disagrees with the
training forward pass all train silently and badly. The check speaks one greedy completion through the trainer's own
rollout, sends it through the trainer's own doors to the tensors that the update would get, and compares prompt ids,
log-probabilities, and whether the log-probabilities depend on the pictures at all.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.logging import get_logger
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.data_utils import apply_chat_template
from trl.models.utils import unwrap_model_for_generation

from vantage.engines.trl.phase import Collected
from vantage.engines.trl.rollout import Rollout
from vantage.errors import EngineError
from vantage.groups import FUSED, Group, Member
from vantage.samples import Sample

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer

logger = get_logger(__name__)

TOKENS = 8
"""Length of the completion that is compared."""


class ParityCheck(TrainerCallback):
    """Runs ``check`` once training has set everything up and before it starts."""

    def __init__(self, trainer: VantageTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refuse to train on a mismatch."""
        check(self._trainer)


def tolerance(dtype: torch.dtype) -> float:
    """Largest mean gap in nats that rounding explains: decoding with a cache adds in another order than one pass."""
    return 1e-3 if dtype in (torch.float32, torch.float64) else 0.1


def check(trainer: VantageTrainer) -> float:
    """Compare rollout and update on the first training sample.

    Returns:
        The mean gap between the log-probs of rollout and update, in nats.

    Raises:
        EngineError: prompt ids differ, the gap is larger than rounding explains, or pictures make no difference.
    """
    sample = trainer.training_samples[0]
    with _untouched(trainer):
        prompt = trainer.style.messages(sample)
        ids, images, fields = trainer._tokenize_prompts([prompt])
        prompt_ids = list(ids[0])
        _compare_prompts(trainer, sample, prompt, prompt_ids, images)
        completion, spoken = _speak(trainer, prompt_ids, images, fields)
        scored, sensitive = _rescore(trainer, sample, prompt, prompt_ids, completion, images)
    gap = (spoken - scored).abs().mean().item()
    limit = tolerance(trainer.model.dtype)
    if not gap <= limit:
        raise EngineError(
            f"rollout and update disagree on row {sample.id!r}: log-probs of the same {len(completion)} tokens differ "
            f"by {gap:.3g} nats on average (limit {limit:g} for {trainer.model.dtype}); training would be wrong. "
            "Usual causes: another attention implementation or precision in the rollout, dropout left on, a processor "
            "that does not belong to the model"
        )
    if not sensitive:
        raise EngineError(
            f"pictures do not reach the model: log-probs of row {sample.id!r} stay the same when its pictures change"
        )
    logger.info("rollout and update agree: %.1e nats apart on %d tokens", gap, len(completion))
    return gap


class _untouched:  # a context manager reads as a verb phrase
    """Leave metrics, logs, clocks and random numbers as they were."""

    def __init__(self, trainer: VantageTrainer) -> None:
        self._trainer = trainer

    def __enter__(self) -> None:
        t = self._trainer
        self._kept = {name: copy.deepcopy(getattr(t, name)) for name in ("_metrics", "_logs")}
        self._tokens = t.state.num_input_tokens_seen
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
        self._training = t.model.training
        t.model.train()  # the doors differ between training and evaluation; dropout must agree too

    def __exit__(self, *_: object) -> None:
        t = self._trainer
        for name, value in self._kept.items():
            setattr(t, name, value)
        t.state.num_input_tokens_seen = self._tokens
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state_all(self._cuda)
        t.model.train(self._training)
        t.clock.take()


def _compare_prompts(
    trainer: VantageTrainer, sample: Sample, prompt: list[Any], prompt_ids: list[int], images: Any
) -> None:
    """The update makes its pictures from the prompt's text; that text must be the rollout's prompt."""
    text = apply_chat_template({"prompt": prompt}, trainer.processing_class, **trainer.chat_template_kwargs)["prompt"]
    inputs = trainer.processing_class(images=images, text=[text], padding=True, return_tensors="pt")
    again = inputs["input_ids"][0].tolist()
    if again != prompt_ids:
        at = next((i for i, (a, b) in enumerate(zip(again, prompt_ids, strict=False)) if a != b), "the end")
        raise EngineError(
            f"rollout and update tokenise the prompt of row {sample.id!r} differently: {len(prompt_ids)} ids against "
            f"{len(again)}, first difference at {at}; the chat template or the processor is at fault"
        )


def _speak(trainer: VantageTrainer, prompt_ids: list[int], images: Any, fields: Any) -> tuple[list[int], Tensor]:
    """A greedy completion by the trainer's rollout backend, and the log-probs of its tokens."""
    if trainer.use_vllm:
        with trainer.decoding(greedy=True):
            ids, logprobs = trainer._generate_single_turn([prompt_ids], images, fields, 1)
        keep = ids[0][:TOKENS]
        return keep, torch.tensor(logprobs[0][: len(keep)])
    device = trainer.accelerator.device
    tokens = torch.tensor([prompt_ids])
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    inputs |= {k: value if isinstance(value, Tensor) else torch.tensor(np.array(value)) for k, value in fields.items()}
    inputs = {key: value.to(device) for key, value in inputs.items()}
    with (
        trainer.decoding(greedy=True),
        unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gather_deepspeed3_params=trainer.args.ds3_gather_for_generation,
            generation_kwargs=trainer.generation_kwargs,
            gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
        ) as model,
        torch.no_grad(),
    ):
        config = copy.deepcopy(trainer.generation_config)
        config.max_new_tokens = min(TOKENS, trainer.max_completion_length)
        config.output_logits = config.return_dict_in_generate = True
        output = model.generate(**inputs, generation_config=config)
    spoken = output.sequences[0, len(prompt_ids) :]
    logits = torch.stack(output.logits, dim=1)[0].float() / trainer.temperature
    logprobs = logits.log_softmax(-1).gather(-1, spoken[:, None])[:, 0]
    return spoken.tolist(), logprobs.cpu()


def _rescore(
    trainer: VantageTrainer,
    sample: Sample,
    prompt: list[Any],
    prompt_ids: list[int],
    completion: list[int],
    images: Any,
) -> tuple[Tensor, bool]:
    """Log-probs of the completion under the update's own tensors, and whether other pictures change them."""
    size, device = trainer.num_generations, trainer.accelerator.device
    rollout = Rollout(
        groups=[Group(sample, [Member(FUSED, "", completion) for _ in range(size)])],
        prompt_ids=[prompt_ids],
        completion_ids=[[completion] * size],
        logprobs=[[[0.0] * len(completion)] * size] if trainer.use_vllm else None,
        images=[None if images is None else images[0]],
        prompts=[prompt],
        per_function=torch.zeros(1, size, len(trainer.reward_funcs), device=device),
        advantages=torch.zeros(1, size, device=device),
        trained=torch.ones(1, size, dtype=torch.bool, device=device),
    )
    batch = trainer.enter(Collected(rollout))

    def score(**changed: Tensor) -> Tensor:
        tensors = {**batch, **changed}
        fields = (
            "pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes", "num_tiles",
            "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids",
        )  # fmt: skip
        with torch.no_grad():
            logprobs, _, _ = trainer._get_per_token_logps_and_entropies(
                trainer.model,
                torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
                torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
                batch["completion_ids"].size(1),
                batch_size=trainer.args.per_device_train_batch_size,
                **{name: tensors[name] for name in fields if name in tensors},
            )
        return logprobs[0].float().cpu()

    scored = score()
    if "pixel_values" not in batch:
        return scored, images is None
    # Reversed in brightness: a picture of the same form with other content.
    return scored, not torch.equal(scored, score(pixel_values=-batch["pixel_values"]))

"""Before the first step: does the update see what the rollout saw?

Prompts corrupted between rollout and update, pictures that never reach the model and decoding that disagrees with the
training forward pass all train silently and badly. The check speaks two prompts through the trainer's own rollout,
takes what was said through the trainer's own doors to the tensors that the update would get, and compares prompt ids,
log-probabilities, and whether each picture makes a difference.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from accelerate.logging import get_logger
from PIL import ImageOps
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.data_utils import apply_chat_template

from vantage.engines.trl.phase import Collected
from vantage.engines.trl.rollout import Rollout
from vantage.engines.trl.speaking import Ask, Spoken
from vantage.errors import EngineError
from vantage.groups import FUSED, Group, Member
from vantage.samples import Sample

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer

logger = get_logger(__name__)

TOKENS = 8
"""Length of the completions that are compared."""

_FIELDS = (
    "pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes", "num_tiles",
    "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids",
)  # fmt: skip
"""What TRL hands from a batch to the log-prob pass besides token ids and masks."""


class ParityCheck(TrainerCallback):
    """Runs ``check`` once training has set everything up and before it starts."""

    def __init__(self, trainer: VantageTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refuse to train on a mismatch."""
        check(self._trainer)


def tolerance(trainer: VantageTrainer) -> float:
    """Largest mean gap in nats that rounding explains: decoding with a cache adds in another order than one pass."""
    args, whole = trainer.args, (torch.float32, torch.float64)
    single = trainer.model.dtype in whole and not (args.bf16 or args.fp16 or trainer.use_vllm)
    return 1e-3 if single else 0.1


def check(trainer: VantageTrainer) -> float:
    """Compare rollout and update on two training samples.

    Returns:
        The mean gap between the log-probs of rollout and update, in nats.

    Raises:
        EngineError: prompt ids differ, the gap is larger than rounding explains, or a picture makes no difference.
    """
    rows = trainer.training_samples
    samples = [rows[0], rows[len(rows) // 2]]
    with _untouched(trainer):
        prompts = [_prompt(trainer, sample) for sample in samples]
        spoken = _speak(trainer, prompts)
        for sample, prompt, tokens in zip(samples, prompts, spoken.prompt_ids, strict=True):
            _compare_prompts(trainer, sample, prompt, tokens)
        completions = [answers[0] for answers in spoken.ids]
        turns = list(zip(samples, prompts, spoken.prompt_ids, completions, strict=True))
        with trainer.repeating():
            scored = [_score(trainer, *turn) for turn in turns]
            blind = _blind_sources(trainer, *turns[0], scored[0])
        shared = [_score(trainer, *turn) for turn in turns] if trainer.shares else scored
    told = scored if spoken.logprobs is None else [torch.tensor(answers[0]) for answers in spoken.logprobs]
    gap = max(_gap(told, scored), _gap(shared, scored))
    limit = tolerance(trainer)
    if not gap <= limit:
        why = (
            "Usual causes: another attention implementation or precision in the rollout, a processor that does not "
            "belong to the model"
        )
        if not _gap(shared, scored) <= limit:
            why = "An update with shared prompts differs from one that repeats them; set sharing: off, and report it"
        raise EngineError(
            f"rollout and update disagree on row {samples[0].id!r}: log-probs of the same tokens differ by {gap:.3g} "
            f"nats on average (limit {limit:g}); training would be wrong. {why}"
        )
    if blind:
        raise EngineError(
            f"pictures do not reach the model: log-probs of row {samples[0].id!r} stay the same when the content of "
            f"{' and of '.join(map(repr, blind))} changes"
        )
    logger.info("rollout and update agree: %.1e nats apart", gap)
    return gap


def _gap(one: list[Tensor], two: list[Tensor]) -> float:
    """Mean difference of log-probs, 0 where there are none; not a number where one is not."""
    gaps = [(mine - theirs).abs() for mine, theirs in zip(one, two, strict=True)]
    return torch.cat(gaps).mean().item() if gaps else 0.0


@contextmanager
def _untouched(trainer: VantageTrainer) -> Iterator[None]:
    """Leave metrics, logs, clocks and random numbers as they were; the doors of training are open inside.

    Dropout, which TRL leaves on in rollout and update, is off: it differs from pass to pass on a sound model.
    """
    kept = {name: copy.deepcopy(getattr(trainer, name)) for name in ("_metrics", "_logs")}
    tokens, training = trainer.state.num_input_tokens_seen, trainer.model.training
    # Completions are cut short here on purpose.
    masked, trainer.mask_truncated_completions = trainer.mask_truncated_completions, False
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    trainer.model.train()
    dropouts = [module for module in trainer.model.modules() if isinstance(module, nn.Dropout)]
    for module in dropouts:
        module.eval()
    try:
        yield
    finally:
        for module in dropouts:
            module.train()
        for name, value in kept.items():
            setattr(trainer, name, value)
        trainer.state.num_input_tokens_seen, trainer.mask_truncated_completions = tokens, masked
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        trainer.model.train(training)
        trainer.clock.take()


def _prompt(trainer: VantageTrainer, sample: Sample, changed: str = "") -> list[Any]:
    """The fused prompt, with the brightness of one source reversed: same form, other content."""
    pictures = {name: trainer.speaking.shown(sample.picture(name)) for name in sample.sources}
    if changed:
        pictures[changed] = ImageOps.invert(pictures[changed])
    return trainer.style.messages(sample, pictures=pictures)


def _compare_prompts(trainer: VantageTrainer, sample: Sample, prompt: list[Any], prompt_ids: list[int]) -> None:
    """The update makes its pictures from the prompt's text; that text must be the rollout's prompt."""
    text = apply_chat_template({"prompt": prompt}, trainer.processing_class, **trainer.chat_template_kwargs)["prompt"]
    pictures = [part["image"] for message in prompt for part in message["content"] if part["type"] == "image"]
    inputs = trainer.processing_class(images=[pictures], text=[text], padding=True, return_tensors="pt")
    again = inputs["input_ids"][0].tolist()
    bos = trainer._tokenizer.bos_token_id
    by_token = {"token_type_ids", "mm_token_type_ids"} & set(inputs)
    if again[1:] == prompt_ids and again[0] == bos and not by_token:
        # A template that writes the first token itself gets it twice here; TRL keeps the pictures and not these ids.
        return
    if again != prompt_ids:
        at = next((i for i, (a, b) in enumerate(zip(again, prompt_ids, strict=False)) if a != b), "the end")
        raise EngineError(
            f"rollout and update tokenise the prompt of row {sample.id!r} differently: {len(prompt_ids)} ids against "
            f"{len(again)}, first difference at {at}; the chat template or the processor is at fault"
        )


def _speak(trainer: VantageTrainer, prompts: list[list[Any]]) -> Spoken:
    """Completions by the trainer's rollout backend, side by side, and the log-probs of their tokens."""
    asks = [Ask(prompt, 1, greedy=not trainer.use_vllm) for prompt in prompts]
    if trainer.use_vllm:
        backend = trainer.vllm_generation
        # Cut distributions have other log-probs than whole ones.
        plain = {"temperature": trainer.temperature, "top_p": 1.0, "top_k": 0, "min_p": None}
        before = {name: getattr(backend, name) for name in plain}
        try:
            for name, value in plain.items():
                setattr(backend, name, value)
            return _short(trainer.speaking.speak(asks))
        finally:
            for name, value in before.items():
                setattr(backend, name, value)
    config = trainer.generation_config
    before = {"max_new_tokens": config.max_new_tokens, "temperature": config.temperature}
    # Log-probs are compared at the temperature of the update, whatever rollouts are drawn at.
    config.update(max_new_tokens=min(TOKENS, trainer.max_completion_length), temperature=trainer.temperature)
    try:
        if trainer.speaking.together:
            return trainer.speaking.speak(asks)
        return _listened(trainer, asks)
    finally:
        config.update(**before)


def _listened(trainer: VantageTrainer, asks: list[Ask]) -> Spoken:
    """What `generate` says, and the log-probs that it tells if it is asked for them."""
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    generate, logits = model.generate, []

    def listening(*args: Any, generation_config: Any, **kwargs: Any) -> Any:
        config = copy.deepcopy(generation_config)
        config.output_logits = config.return_dict_in_generate = True
        output = generate(*args, generation_config=config, **kwargs)
        logits.append(torch.stack(output.logits, dim=1).float())
        return output.sequences

    model.generate = listening
    try:
        spoken = trainer.speaking.speak(asks)
    finally:
        del model.generate
    if not logits:
        logger.warning("completions come from elsewhere than the model's generate; their log-probs are not compared")
        return spoken
    log_probs = (logits[0] / trainer.temperature).log_softmax(-1).cpu()
    told = [
        [rows[: len(answer)].gather(-1, torch.tensor(answer)[:, None])[:, 0].tolist() for answer in answers]
        for rows, answers in zip(log_probs, spoken.ids, strict=True)
    ]
    return replace(spoken, logprobs=told)


def _short(spoken: Spoken) -> Spoken:
    """The first tokens alone."""
    ids = [[answer[:TOKENS] for answer in answers] for answers in spoken.ids]
    logprobs = spoken.logprobs
    if logprobs is not None:
        logprobs = [[values[:TOKENS] for values in answers] for answers in logprobs]
    return replace(spoken, ids=ids, logprobs=logprobs)


def _score(
    trainer: VantageTrainer, sample: Sample, prompt: list[Any], prompt_ids: list[int], completion: list[int]
) -> Tensor:
    """Log-probs of a completion under the update's own tensors."""
    size, device = trainer.num_generations, trainer.accelerator.device
    pictures = [part["image"] for message in prompt for part in message["content"] if part["type"] == "image"]
    rollout = Rollout(
        groups=[Group(sample, [Member(FUSED, "", completion) for _ in range(size)])],
        prompt_ids=[prompt_ids],
        completion_ids=[[completion] * size],
        logprobs=[[[0.0] * len(completion)] * size] if trainer.use_vllm else None,
        images=[pictures],
        prompts=[prompt],
        read=trainer.speaking.read([prompt]) if trainer.shares else None,
        per_function=torch.zeros(1, size, len(trainer.reward_funcs), device=device),
        advantages=torch.zeros(1, size, device=device),
        trained=torch.ones(1, size, dtype=torch.bool, device=device),
    )
    batch = trainer.enter(Collected(rollout))
    with torch.no_grad(), trainer.rows_of(batch):
        logprobs, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].size(1),
            batch_size=trainer.args.per_device_train_batch_size,
            **{name: batch[name] for name in _FIELDS if name in batch},
        )
    return logprobs[0].float().cpu()


def _blind_sources(
    trainer: VantageTrainer,
    sample: Sample,
    prompt: list[Any],
    prompt_ids: list[int],
    completion: list[int],
    scored: Tensor,
) -> list[str]:
    """Sources whose content makes no difference to the log-probs of a completion."""
    if not scored.any():
        # A policy so sure that every log-prob rounds to 0 would hide any difference.
        logger.warning("every log-prob of row %s is 0; whether pictures reach the model cannot be told", sample.id)
        return []
    return [
        name
        for name in sample.sources
        if torch.equal(scored, _score(trainer, sample, _prompt(trainer, sample, name), prompt_ids, completion))
    ]

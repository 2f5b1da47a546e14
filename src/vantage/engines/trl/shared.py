"""The update with shared prompts: rows of one group in a micro-batch are packed behind their one prompt.

It enters by the stock trainer's only door to log-probs, ``_get_per_token_logps_and_entropies``, and leaves by it with
the same tensors. The head stays TRL's own. Stock shuffles rows and so scatters groups over micro-batches; here groups
are shuffled and stay together, which changes no sum over a generation. Where a micro-batch is smaller than a group, the
rows that it holds of one group share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Int
from torch import Tensor, nn

from vantage import sharing
from vantage.engines.trl.prompts import Prompt, batch
from vantage.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer

Sharing = Literal["auto", "off", "portable", "fast"]
PROMPT = "prompt"
"""Of a batch: the ``Prompt`` of each row, a list of B; those of one group hold the same object."""


class SharedUpdate:
    """Log-probs of a micro-batch with each prompt computed once.

    Args:
        trainer: whose model it is.
        path: ``auto``, ``portable`` or ``fast``; see ``vantage.sharing.log_probs``.
    """

    def __init__(self, trainer: VantageTrainer, path: Sharing) -> None:
        self._trainer, self._path = trainer, path
        self._prompts: list[Prompt] | None = None

    @contextmanager
    def rows(self, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Inside, the log-probs asked for are those of these rows."""
        self._prompts = inputs[PROMPT]
        try:
            yield
        finally:
            self._prompts = None

    def log_probs(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, **more: Any
    ) -> tuple[Tensor, Tensor | None, None]:
        """As the stock method: log-probs and, where asked for, entropies of the last tokens, (B, T).

        Raises:
            EngineError: nothing is known of the rows' prompts.
        """
        if self._prompts is None or len(self._prompts) != len(input_ids):
            raise EngineError("log-probs were asked for outside of a batch of the trainer's own; set sharing: off")
        ids, mask = input_ids[:, -logits_to_keep:], attention_mask[:, -logits_to_keep:]
        places: list[Tensor] = []
        found: list[tuple[Tensor, Tensor]] = []
        size = more.get("batch_size") or len(input_ids)
        # Kernels of accelerators take no padding, so prompts of several lengths are not packed side by side there.
        for members in _chunks(group_numbers(self._prompts), size if input_ids.device.type == "cpu" else 1):
            order = members.flatten()
            places.append(order)
            prompts = [self._prompts[row] for row in members[:, 0].tolist()]
            found.append(self._packed(model, prompts, ids[order.to(ids.device)], mask[order.to(ids.device)]))
        order = torch.cat(places).argsort().to(input_ids.device)
        values, entropies = (torch.cat(part)[order] for part in zip(*found, strict=True))
        return values, entropies if more.get("compute_entropy") else None, None

    def _packed(
        self, model: Any, prompts: Sequence[Prompt], ids: Int[Tensor, "NG T"], mask: Int[Tensor, "NG T"]
    ) -> tuple[Tensor, Tensor]:
        """Of N prompts with G completions each: (N G, T) log-probs and entropies."""
        length, used = ids.shape[1], max(int(mask.sum(1).max()), 1)
        read = batch(prompts, self._trainer._tokenizer.pad_token_id, ids.device)
        packed = sharing.pack(model, read, ids[:, :used], mask[:, :used])
        family = sharing.family_of(model)
        told = sharing.inputs(packed, family, family.path(self._path, model, packed), model)
        with self._trainer.accelerator.autocast(), sharing.completions_alone(model, packed):
            out = model(**told, shift_labels=packed.labels, fused_lm_head=True)
        pad = (0, length - used)
        entropy = packed.rows(out.entropy) if out.entropy is not None else torch.zeros_like(packed.rows(out.log_probs))
        return torch.nn.functional.pad(packed.rows(out.log_probs), pad), torch.nn.functional.pad(entropy, pad)


def group_numbers(prompts: Sequence[Prompt]) -> Int[Tensor, " B"]:
    """Numbers that are equal where rows have the same prompt."""
    numbers: dict[int, int] = {}
    return torch.tensor([numbers.setdefault(id(prompt), len(numbers)) for prompt in prompts])


def _chunks(groups: Int[Tensor, " B"], size: int) -> Iterator[Int[Tensor, "N G"]]:
    """Places of the rows of equally large groups, as many groups at once as make about ``size`` rows."""
    by_group: dict[int, list[int]] = {}
    for place, group in enumerate(groups.tolist()):
        by_group.setdefault(group, []).append(place)
    by_count: dict[int, list[list[int]]] = {}
    for places in by_group.values():
        by_count.setdefault(len(places), []).append(places)
    for count, alike in by_count.items():
        step = max(1, size // count)
        for start in range(0, len(alike), step):
            yield torch.tensor(alike[start : start + step])


def shuffled(rows: dict[str, Any]) -> dict[str, Any]:
    """The rows of a batch in a random order of groups; those of one group stay together."""
    groups = group_numbers(rows[PROMPT])
    order = torch.randperm(int(groups.max()) + 1)[groups].argsort(stable=True)

    def permuted(value: Any) -> Any:
        if value is None or (isinstance(value, Tensor) and value.ndim == 0):
            return value
        return value[order.to(value.device)] if isinstance(value, Tensor) else [value[place] for place in order]

    return {key: permuted(value) for key, value in rows.items()}


def chosen(wanted: Sharing, trainer: VantageTrainer) -> Sharing:
    """The path for a trainer's update, or ``off``, with a line in the log where ``auto`` finds a reason for it.

    Raises:
        ConfigError: a path was asked for by name and cannot be.
    """
    if wanted == "off":
        return "off"
    reason = _reason(trainer)
    if not reason:
        return wanted
    if wanted != "auto":
        raise ConfigError(f"sharing is {wanted!r}, but {reason}; set sharing: auto or off")
    trainer.not_shared.append(f"prompts are repeated, not shared: {reason}")
    return "off"


def rollouts_share(trainer: VantageTrainer) -> bool:
    """Whether rollouts grow behind shared prompts too, with a line in the log where they do not."""
    if trainer.use_vllm:
        return False  # it keeps prompts by itself
    reason = _rollout_reason(trainer)
    if reason:
        trainer.not_shared.append(f"prompts are shared in the update, and repeated in rollouts: {reason}")
    return not reason


def _rollout_reason(trainer: VantageTrainer) -> str:
    if trainer.use_transformers_continuous_batching:
        return "continuous batching generates"
    if trainer.is_fsdp_enabled:
        return "with FSDP every process must take as many steps as the others"
    plugin = getattr(trainer.accelerator.state, "deepspeed_plugin", None)
    if plugin is not None and plugin.zero_stage == 3 and not trainer.args.ds3_gather_for_generation:
        return "without ds3_gather_for_generation every process must take as many steps as the others"
    if "generate" in vars(trainer.accelerator.unwrap_model(trainer.model)):
        return "the model has a generate of its own"
    try:
        sharing.wanted(trainer.generation_config, trainer.model.generation_config)
    except ConfigError as error:
        return str(error)
    return ""


def _reason(trainer: VantageTrainer) -> str:
    """Why prompts cannot be shared; empty where they can."""
    model, args = sharing.plain(trainer.model), trainer.args
    try:
        sharing.family_of(model)
    except ConfigError as error:
        return str(error)
    dropout = _dropout(trainer.model)
    if dropout:
        return f"{dropout} would be drawn once for all rows of a group"
    if any(adapter.is_prompt_learning for adapter in getattr(trainer.model, "peft_config", {}).values()):
        return "the adapter writes tokens of its own before the prompt"
    if args.use_liger_kernel:
        return "use_liger_kernel computes the loss elsewhere"
    if trainer.aux_loss_enabled:
        return "the balance of experts counts repeated prompts"
    reentrant = args.gradient_checkpointing and (args.gradient_checkpointing_kwargs or {}).get("use_reentrant")
    if reentrant and trainer.accelerator.num_processes > 1:
        return "reentrant checkpointing in several processes allows one forward pass a step; set use_reentrant: false"
    return ""


def _dropout(model: nn.Module) -> str:
    """The name of a dropout that is not 0, if there is one: a module, or a setting that is read where it is needed."""
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p:
            return f"dropout in {name}"
    plain = sharing.plain(model)
    configs: list[Any] = [plain.config, *(getattr(plain.config, name, None) for name in plain.config.sub_configs)]
    configs += getattr(model, "peft_config", {}).values()
    for config in configs:
        for name, value in vars(config).items() if config is not None else ():
            # Those of adapters and projections that are modules were looked at as such.
            functional = name in ("attention_dropout", "rank_dropout", "module_dropout")
            if functional and isinstance(value, float) and value:
                return name
    return ""

"""The update with shared prompts: rows of one group in a micro-batch are packed behind their one prompt.

It enters by the stock trainer's only door to log-probs, ``_get_per_token_logps_and_entropies``, and leaves by it with
the same tensors. The head stays TRL's own. Stock shuffles rows and so scatters groups over micro-batches; here groups
are shuffled and stay together, which changes no sum over a generation. Where a micro-batch is smaller than a group, the
rows that it holds of one group share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from accelerate.logging import get_logger
from jaxtyping import Int
from torch import Tensor
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from vantage import sharing
from vantage.errors import ConfigError

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer

logger = get_logger(__name__)

Sharing = Literal["auto", "off", "portable", "fast"]
GROUP = "group"
"""Of a batch: to which group each row belongs, (B,)."""


class SharedUpdate:
    """Log-probs of a micro-batch with each prompt computed once.

    Args:
        trainer: whose model it is.
        path: ``auto``, ``portable`` or ``fast``; see ``vantage.sharing.log_probs``.
    """

    def __init__(self, trainer: VantageTrainer, path: Sharing) -> None:
        self._trainer, self._path = trainer, path
        self._groups: Int[Tensor, " B"] | None = None

    @contextmanager
    def rows(self, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Inside, the log-probs asked for are those of these rows."""
        self._groups = inputs.get(GROUP)
        try:
            yield
        finally:
            self._groups = None

    def log_probs(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, **more: Any
    ) -> tuple[Tensor, Tensor | None, None]:
        """As the stock method: log-probs and, where asked for, entropies of the last tokens, (B, T)."""
        size, entropy = more.pop("batch_size", None) or len(input_ids), more.pop("compute_entropy", False)
        more.pop("compute_aux_loss", None)
        room = self._trainer.num_generations
        groups = torch.arange(len(input_ids)) // room if self._groups is None else self._groups.cpu()
        batch = {key: value for key, value in more.items() if value is not None}
        rows = split_pixel_values_by_grid({**batch, "input_ids": input_ids, "attention_mask": attention_mask})
        places: list[Tensor] = []
        found: list[tuple[Tensor, Tensor]] = []
        for members in _chunks(groups, size):
            places.append(members.flatten())
            found.append(self._packed(model, rows, members, logits_to_keep))
        order = torch.cat(places).argsort().to(input_ids.device)
        values, entropies = (torch.cat(part)[order] for part in zip(*found, strict=True))
        return values, entropies if entropy else None, None

    def _packed(
        self, model: Any, rows: Mapping[str, Any], members: Int[Tensor, "N G"], length: int
    ) -> tuple[Tensor, Tensor]:
        """Of N groups with G rows each: (N G, T) log-probs and entropies."""
        prompts = unsplit_pixel_values_by_grid(_take(rows, members[:, 0].tolist(), length))
        order = members.flatten().to(rows["input_ids"].device)
        ids, mask = rows["input_ids"][order, -length:], rows["attention_mask"][order, -length:]
        used = max(int(mask.sum(1).max()), 1)
        packed = sharing.pack(model, prompts, ids[:, :used], mask[:, :used])
        family = sharing.family_of(model)
        told = sharing.inputs(packed, family, family.path(self._path, model, packed), model)
        with self._trainer.accelerator.autocast():
            out = model(**told, shift_labels=packed.labels, fused_lm_head=True)
        pad = (0, length - used)
        entropy = packed.rows(out.entropy) if out.entropy is not None else torch.zeros_like(packed.rows(out.log_probs))
        return torch.nn.functional.pad(packed.rows(out.log_probs), pad), torch.nn.functional.pad(entropy, pad)


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


def _take(rows: Mapping[str, Any], first: list[int], completion: int) -> dict[str, Any]:
    """Prompts and pictures of some rows, ids and masks without their last ``completion`` tokens and common padding."""
    index = torch.tensor(first)
    mask = rows["attention_mask"][index.to(rows["attention_mask"].device), :-completion]
    begin = int(mask.any(0).int().argmax())
    found: dict[str, Any] = {}
    for key, value in rows.items():
        if key in ("num_images", "num_tiles"):
            continue
        if isinstance(value, list):
            found[key] = [value[place] for place in first]
        elif value.ndim:
            found[key] = value[index.to(value.device)]
    for key in ("input_ids", "attention_mask", *sharing.PER_TOKEN):
        if key in found:
            found[key] = found[key][:, :-completion][:, begin:]
    return found


def shuffled(batch: dict[str, Any], groups: Int[Tensor, " B"]) -> dict[str, Any]:
    """The rows of a batch in a random order of groups; those of one group stay together."""
    names, member = groups.unique(return_inverse=True)
    order = torch.randperm(len(names))[member.cpu()].argsort(stable=True)

    def permuted(value: Any) -> Any:
        if value is None or (isinstance(value, Tensor) and value.ndim == 0):
            return value
        return value[order.to(value.device)] if isinstance(value, Tensor) else [value[place] for place in order]

    return {key: permuted(value) for key, value in batch.items()}


def chosen(wanted: Sharing, trainer: VantageTrainer) -> Sharing:
    """The path for a trainer, or ``off``, with a line in the log where ``auto`` finds a reason for it.

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
    logger.info("prompts are repeated, not shared: %s", reason)
    return "off"


def _reason(trainer: VantageTrainer) -> str:
    """Why prompts cannot be shared; empty where they can."""
    model = sharing.plain(trainer.model)
    name, text = model.config.model_type, model.config.get_text_config()
    if name not in sharing.FAMILIES:
        return f"the family {name!r} is not known (known: {', '.join(sharing.FAMILIES)})"
    if getattr(text, "attention_dropout", 0.0):
        return "attention has dropout, which differs between rows"
    if any(c.lora_dropout for c in getattr(trainer.model, "peft_config", {}).values() if hasattr(c, "lora_dropout")):
        return "lora_dropout would be drawn once for all rows of a group"
    if trainer.args.use_liger_kernel:
        return "use_liger_kernel computes the loss elsewhere"
    if trainer.aux_loss_enabled:
        return "the balance of experts counts repeated prompts"
    return ""

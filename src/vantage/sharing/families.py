"""Which models can share prompts, and by which path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import PreTrainedModel

from vantage.errors import ConfigError
from vantage.sharing.attention import packed_mask, plain
from vantage.sharing.kernels import kernel_for

if TYPE_CHECKING:
    from vantage.sharing.packing import Packed

Masks = Bool[Tensor, "B 1 N N"] | dict[str, Bool[Tensor, "B 1 N N"]]


@dataclass(frozen=True)
class Family:
    """What sharing must know of a kind of models.

    Attributes:
        name: ``model_type`` of its configuration.
        causal: every token of text and pictures sees what stands before it and nothing else; the fast path needs it.
        both_ways: tokens of one picture see each other both ways.
    """

    name: str
    causal: bool = True
    both_ways: bool = False

    def path(self, wanted: str, model: PreTrainedModel, packed: Packed) -> str:
        """``portable`` or ``fast``; of ``auto``, the fast one where the family and the device have it.

        Raises:
            ConfigError: the fast path was asked for, and the family has none.
        """
        if wanted == "auto":
            return "fast" if self.causal and self._has_kernel(model, packed) else "portable"
        if wanted == "fast" and not self.causal:
            raise ConfigError(f"{self.name} has no fast path: its tokens see more, or less, than what stands before")
        return wanted

    @staticmethod
    def _has_kernel(model: PreTrainedModel, packed: Packed) -> bool:
        """Whether the device has a kernel for heads like the model's and prompts padded like these."""
        text, device = plain(model).config.get_text_config(), packed.input_ids.device
        width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        mixed = torch.is_autocast_enabled(device.type)
        kind = torch.get_autocast_dtype(device.type) if mixed else plain(model).dtype
        query = torch.empty(1, 1, 1, width, dtype=kind, device=device)
        return kernel_for(query, not packed.valid[:, : packed.prompt].all()) is not None

    def masks(self, packed: Packed, model: PreTrainedModel) -> Masks:
        """Masks of the portable path, one, or one a kind of layer."""
        text = plain(model).config.get_text_config()
        positions = packed.position_ids if packed.position_ids.ndim == 2 else packed.position_ids[0]
        pictures = packed.more["token_type_ids"] == 1 if self.both_ways else None
        full = packed_mask(packed.valid, packed.segments, positions, pictures)
        kinds = set(getattr(text, "layer_types", None) or ())
        if kinds <= {"full_attention"}:
            return full
        window = packed_mask(packed.valid, packed.segments, positions, pictures, text.sliding_window)
        known = {"full_attention": full, "sliding_attention": window}
        if not kinds <= set(known):
            raise ConfigError(f"{self.name}: layers of kind {', '.join(sorted(kinds - set(known)))} are not known")
        return known


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("qwen2_5_vl"),
        Family("qwen3_vl"),
        Family("smolvlm"),
        Family("idefics3"),
        Family("llava"),
        Family("internvl"),
        Family("gemma3", causal=False, both_ways=True),
    )
}
"""By ``model_type``."""


def family_of(model: PreTrainedModel) -> Family:
    """The family of a model.

    Raises:
        ConfigError: it is not known, so nobody has checked that sharing changes nothing.
    """
    name = plain(model).config.model_type
    if name not in FAMILIES:
        raise ConfigError(f"prompts are not shared for {name!r}; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]

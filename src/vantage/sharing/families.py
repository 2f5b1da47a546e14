"""Which models can share prompts, and by which path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

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
        texts: those of the language models that have been checked inside it.
        causal: every token of text and pictures sees what stands before it and nothing else; the fast path needs it.
        both_ways: tokens of one picture see each other both ways.
    """

    name: str
    texts: tuple[str, ...]
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
        pictures = packed.more["token_type_ids"] == 1 if self.both_ways else None
        full = packed_mask(packed.valid, packed.segments, packed.position_ids, pictures)
        if not _windows(text):
            return full
        window = packed_mask(packed.valid, packed.segments, packed.position_ids, pictures, text.sliding_window)
        return {"full_attention": full, "sliding_attention": window}


def _windows(text: PreTrainedConfig) -> bool:
    """Whether some layer sees only so many tokens back."""
    kinds = getattr(text, "layer_types", None)
    if kinds:
        return set(kinds) != {"full_attention"}
    return getattr(text, "sliding_window", None) is not None and getattr(text, "use_sliding_window", True)


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("qwen2_5_vl", ("qwen2_5_vl_text",)),
        Family("qwen3_vl", ("qwen3_vl_text",)),
        Family("smolvlm", ("llama",)),
        Family("idefics3", ("llama", "mistral")),
        Family("llava", ("llama", "mistral", "qwen2", "qwen3")),
        Family("internvl", ("llama", "qwen2", "qwen3")),
        Family("gemma3", ("gemma3_text",), causal=False, both_ways=True),
    )
}
"""By ``model_type``."""


def family_of(model: PreTrainedModel) -> Family:
    """The family of a model.

    Raises:
        ConfigError: nobody has checked that sharing changes nothing for a model like this; says what is unlike.
    """
    config = plain(model).config
    family, text = FAMILIES.get(config.model_type), config.get_text_config()
    if family is None:
        raise ConfigError(f"the family {config.model_type!r} is not known (known: {', '.join(FAMILIES)})")
    if text.model_type not in family.texts:
        raise ConfigError(
            f"{family.name} is known with the language models {', '.join(family.texts)}, not with {text.model_type!r}"
        )
    if _windows(text) and not family.both_ways:
        raise ConfigError(f"layers of this {text.model_type!r} see only {text.sliding_window} tokens back")
    return family

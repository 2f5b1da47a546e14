"""The attention function that models call while prompts are shared, and the masks of the portable way.

``transformers`` looks attention functions up by name and hands them what is passed to the model besides its own
arguments. Under our name lies an ordinary attention that, where a ``Layout`` comes along, treats the prompt once. A
mask function of the same name is registered too: without it the 2-D padding mask would be dropped in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from vantage.errors import ConfigError
from vantage.sharing.kernels import kernel_for
from vantage.sharing.merged import merged_attention
from vantage.sharing.prefix import Prefix

NAME = "vantage_shared"
ARGUMENT = "vantage_layout"
"""Passed to a model, it reaches the attention function."""
_EXTRAS = ("softcap", "s_aux")
"""What some models ask of attention that ``sdpa`` passes over in silence."""


@dataclass(frozen=True)
class Layout:
    """Where prompt and completions stand in packed rows ``[prompt | completion 1 | ... | completion G]``.

    Attributes:
        prompt: Q, tokens of the prompt, padding on its left included.
        group: G, completions of a prompt.
        bias: minus infinity at padding of the prompt, 0 elsewhere; ``None`` where there is none.
        causal: what the prompt's tokens do not see of it, minus infinity; ``None`` where there is no padding.
    """

    prompt: int
    group: int
    bias: Float[Tensor, "B 1 1 Q"] | None = None
    causal: Float[Tensor, "B 1 Q Q"] | None = None

    @classmethod
    def of(cls, valid: Bool[Tensor, "B Q"], group: int, dtype: torch.dtype) -> Layout:
        """For prompts that are there where ``valid`` is true."""
        prompt = valid.shape[1]
        if valid.all():
            return cls(prompt, group)
        bias = torch.zeros(valid.shape, dtype=dtype, device=valid.device)[:, None, None]
        bias = bias.masked_fill(~valid[:, None, None], float("-inf"))
        causal = torch.full((prompt, prompt), float("-inf"), dtype=dtype, device=valid.device).triu(1) + bias
        causal.diagonal(dim1=-2, dim2=-1).zero_()  # padding attends to itself, so that no row is empty
        return cls(prompt, group, bias, causal)

    def to(self, dtype: torch.dtype) -> Layout:
        """In another precision."""
        if self.bias is None or self.causal is None or self.bias.dtype == dtype:
            return self
        return replace(self, bias=self.bias.to(dtype), causal=self.causal.to(dtype))


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    vantage_layout: Layout | Prefix | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """As ``sdpa``; where there is a layout, of packed rows or of rows behind shared prompts, whatever the mask says.

    Raises:
        ConfigError: dropout, tensors for which there is no kernel, or scores that are changed in a way of their own.
    """
    strange = [name for name in _EXTRAS if kwargs.get(name) is not None]
    if strange:
        raise ConfigError(f"prompts are not shared for attention with {' and '.join(strange)}")
    if vantage_layout is not None and torch.is_autocast_enabled(query.device.type):
        # As autocast does for attention by its public name; kernels by their own names take what they are given.
        kind = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(kind), key.to(kind), value.to(kind)
    if isinstance(vantage_layout, Prefix):
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return vantage_layout.attend(int(module.layer_idx), query, key, value, scale).transpose(1, 2), None  # type: ignore[arg-type]
    if vantage_layout is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    layout, split = vantage_layout.to(query.dtype), vantage_layout.prompt
    kernel = kernel_for(query, layout.bias is not None)
    if dropout or kernel is None:
        raise ConfigError(
            f"prompts cannot be shared by the fast way with attention dropout {dropout} on {query.device.type} in "
            f"{query.dtype}, heads of {query.shape[-1]}; use the portable one"
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    (prompt_q, own_q), (prompt_k, own_k), (prompt_v, own_v) = (
        x.split([split, x.shape[2] - split], dim=2) for x in (query, key, value)
    )
    prompt = _causal(prompt_q, prompt_k, prompt_v, layout.causal, scale)
    own = merged_attention(
        own_q.contiguous(), prompt_k, prompt_v, own_k, own_v,
        group=layout.group, scale=scale, kernel=kernel, bias=layout.bias,
    )  # fmt: skip
    return torch.cat([prompt, own], dim=2).transpose(1, 2).contiguous(), None


def _causal(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
    return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def install(model: PreTrainedModel) -> str:
    """Give a model's text part our attention, which without a layout is ``sdpa``; once is enough.

    It stays: gradient checkpointing calls the attention again in the backward pass, when no caller of the forward pass
    could still hold it in place.

    Returns:
        The name of the attention before.

    Raises:
        ConfigError: a model that does not let its attention be chosen.
    """
    model = plain(model)
    before = str(model.config.get_text_config()._attn_implementation)
    if before != NAME:
        set_attention(model, NAME)
    return before


def set_attention(model: PreTrainedModel, name: str) -> None:
    """Choose the attention of a model's text part alone.

    Raises:
        ConfigError: it does not take that one.
    """
    model = plain(model)
    parts = getattr(model.config, "sub_configs", {})
    model.set_attn_implementation({"text_config": name} if "text_config" in parts else name)
    if model.config.get_text_config()._attn_implementation != name:
        raise ConfigError(f"{type(model).__name__} does not take the attention {name!r}")


def plain(model: Any) -> PreTrainedModel:
    """The model inside adapters and the wrappers of distributed training."""
    while hasattr(model, "module"):
        model = model.module
    found: PreTrainedModel = model.get_base_model() if hasattr(model, "get_base_model") else model
    return found


def packed_mask(
    valid: Bool[Tensor, "B N"],
    segments: Int[Tensor, " N"],
    positions: Int[Tensor, "B N"],
    pictures: Bool[Tensor, "B N"] | None = None,
    window: int | None = None,
) -> Bool[Tensor, "B 1 N N"]:
    """Who attends to whom in packed rows, for any attention that takes a mask: the portable way.

    A token sees what stands before it in the prompt (segment 0) and in its own segment.

    Args:
        valid: false at padding.
        segments: 0 for the prompt, 1 to G for completions.
        positions: of tokens in their own conversation; only a window reads them.
        pictures: tokens of pictures where those of one picture see each other both ways (Gemma 3).
        window: a token sees so many positions back, itself included; ``None`` is all.
    """
    place = torch.arange(len(segments), device=valid.device)
    before = place[:, None] >= place
    mask = (before & ((segments == 0) | (segments[:, None] == segments))).expand(len(valid), -1, -1)
    if pictures is not None:
        starts = pictures & ~nn.functional.pad(pictures, (1, 0))[:, :-1]
        number = torch.where(pictures, starts.cumsum(1), 0)
        mask = mask | ((number[:, :, None] == number[:, None, :]) & (number > 0)[:, :, None])
    if window is not None:
        mask = mask & (positions[:, :, None] - positions[:, None, :] < window)
    mask = mask & valid[:, None, :]
    return (mask | torch.eye(len(segments), dtype=torch.bool, device=valid.device))[:, None]

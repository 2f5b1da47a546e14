"""Attention of many completions over one prompt, without copying the prompt's keys and values.

A query q of completion i attends the prompt's keys K_0 and, causally, its own completion's K_i:

    o_0, l_0 = attend(q, K_0, V_0)        o_1, l_1 = attend(q, K_i, V_i)
    l = log(e^l_0 + e^l_1)                o = e^(l_0 - l) o_0 + e^(l_1 - l) o_1

which is attention over both, as a softmax over a union is the mean of the parts' weighted by their sums. The queries
of all G completions stand in one row for the first part, so the prompt is read once. In the backward pass the
probability of a key is e^(s - l) with the merged l, and the softmax's correction is grad . o with the merged o; so the
kernel's backward of each part, given merged o and l, is that part's share of the gradient, and the shares add up
(as in ring attention, Liu et al. 2023, arXiv 2310.01889).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from vantage.sharing.kernels import Kernel, Part, merge


class _Merged(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        prompt_k: Tensor,
        prompt_v: Tensor,
        own_k: Tensor,
        own_v: Tensor,
        bias: Tensor | None,
        group: int,
        scale: float,
        kernel: Kernel,
    ) -> Tensor:
        shapes = _Shapes(q, prompt_k, group)
        whole = shapes.fold_part(
            kernel.forward(shapes.fold(q), prompt_k, prompt_v, bias, causal=False, scale=scale), back=True
        )
        own = kernel.forward(
            shapes.split(q), shapes.repeat(own_k), shapes.repeat(own_v), None, causal=True, scale=scale
        )
        merged = merge(whole, shapes.split_part(own, back=True))
        ctx.save_for_backward(q, prompt_k, prompt_v, own_k, own_v, bias, merged.out, merged.lse)
        ctx.group, ctx.scale, ctx.kernel = group, scale, kernel
        return merged.out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, prompt_k, prompt_v, own_k, own_v, bias, out, lse = ctx.saved_tensors
        shapes, merged, grad = _Shapes(q, prompt_k, ctx.group), Part(out, lse), grad.contiguous()
        dq_0, dk_0, dv_0 = ctx.kernel.backward(
            shapes.fold(grad), shapes.fold(q), prompt_k, prompt_v, bias, shapes.fold_part(merged),
            causal=False, scale=ctx.scale,
        )  # fmt: skip
        dq_1, dk_1, dv_1 = ctx.kernel.backward(
            shapes.split(grad), shapes.split(q), shapes.repeat(own_k), shapes.repeat(own_v), None,
            shapes.split_part(merged), causal=True, scale=ctx.scale,
        )  # fmt: skip
        dq = shapes.fold(dq_0, back=True) + shapes.split(dq_1, back=True)
        return dq, dk_0, dv_0, shapes.reduce(dk_1), shapes.reduce(dv_1), None, None, None, None


class _Shapes:
    """The two ways in which the queries (B, H, G*C, D) of completions stand, and back."""

    def __init__(self, q: Tensor, prompt_k: Tensor, group: int) -> None:
        self.rows, self.heads, tokens, _ = q.shape
        self.group, self.length = group, tokens // group
        self.key_heads = prompt_k.shape[1]
        self.shared = self.heads // self.key_heads  # heads of queries that share one of keys

    def fold(self, x: Tensor, back: bool = False) -> Tensor:
        """(B, H, G*C, D) as (B, K, H/K*G*C, D): queries over the one prompt."""
        heads = self.heads if back else self.key_heads
        return x.reshape(self.rows, heads, -1, x.shape[-1])

    def split(self, x: Tensor, back: bool = False) -> Tensor:
        """(B, H, G*C, D) as (B*G, H, C, D): every completion by itself."""
        if back:
            x = x.reshape(self.rows, self.group, -1, self.length, x.shape[-1]).transpose(1, 2)
            return x.reshape(self.rows, -1, self.group * self.length, x.shape[-1])
        x = x.reshape(self.rows, x.shape[1], self.group, self.length, x.shape[-1]).transpose(1, 2)
        return x.reshape(self.rows * self.group, x.shape[2], self.length, x.shape[-1])

    def fold_part(self, part: Part, back: bool = False) -> Part:
        return Part(self.fold(part.out, back), self.fold(part.lse.unsqueeze(-1), back).squeeze(-1).contiguous())

    def split_part(self, part: Part, back: bool = False) -> Part:
        return Part(self.split(part.out, back), self.split(part.lse.unsqueeze(-1), back).squeeze(-1).contiguous())

    def repeat(self, x: Tensor) -> Tensor:
        """Keys or values (B, K, G*C, D) of completions as (B*G, H, C, D)."""
        return self.split(x).repeat_interleave(self.shared, dim=1)

    def reduce(self, x: Tensor) -> Tensor:
        """The gradient of ``repeat``."""
        summed = x.reshape(x.shape[0], self.key_heads, self.shared, *x.shape[2:]).sum(2)
        return self.split(summed, back=True)


def merged_attention(
    q: Float[Tensor, "B H GC D"],
    prompt_k: Float[Tensor, "B K Q D"],
    prompt_v: Float[Tensor, "B K Q D"],
    own_k: Float[Tensor, "B K GC D"],
    own_v: Float[Tensor, "B K GC D"],
    *,
    group: int,
    scale: float,
    kernel: Kernel,
    bias: Float[Tensor, "B 1 1 Q"] | None = None,
) -> Float[Tensor, "B H GC D"]:
    """Attention of G completions of one length over their prompt and, causally, themselves.

    Args:
        q: queries, completion after completion.
        prompt_k: the prompt's keys, once; K divides H.
        prompt_v: its values.
        own_k: the completions' keys.
        own_v: their values.
        group: G, completions of a prompt.
        scale: multiplies the scores.
        kernel: see ``kernel_for``.
        bias: added to the scores of the prompt's keys; minus infinity where there is padding.
    """
    found: Tensor = _Merged.apply(q, prompt_k, prompt_v, own_k, own_v, bias, group, scale, kernel)  # type: ignore[no-untyped-call]
    return found

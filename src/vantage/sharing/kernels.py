"""Attention kernels that give the log-sum-exp of the scores too, and whose backward takes output and log-sum-exp.

These are the operations behind ``torch.nn.functional.scaled_dot_product_attention``, called by their own names because
parts of one softmax are merged (``vantage.sharing.merged``), which that function does not offer.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

_ops = torch.ops.aten


class Part(NamedTuple):
    """Attention over a part of the keys.

    Attributes:
        out: (B, H, M, D), normalised over this part alone.
        lse: (B, H, M), natural logarithm of the sum of the exponentiated scores, in single precision at least.
    """

    out: Tensor
    lse: Tensor


class Kernel(Protocol):
    """Forward and backward of one device; causal means that queries and keys are the same tokens."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool, scale: float) -> Part:
        """Attend."""

    def backward(
        self, grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, part: Part, causal: bool, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of q, k and v.

        With ``part`` of a softmax over more keys than these, they are the share of these keys in the whole gradient:
        the probabilities are exp(score - lse), and the sum over grad * out is that of the whole.
        """


class Flash:
    """The flash kernel of processors: any floating type, any additive bias."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool, scale: float) -> Part:  # noqa: D102
        return Part(
            *_ops._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal, attn_mask=bias, scale=scale)
        )

    def backward(  # noqa: D102
        self, grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, part: Part, causal: bool, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        found: tuple[Tensor, Tensor, Tensor] = _ops._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, q, k, v, part.out, part.lse, 0.0, causal, attn_mask=bias, scale=scale
        )
        return found


class CudaFlash:
    """Flash attention of CUDA devices from Ampere on, for half precision and no bias."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool, scale: float) -> Part:  # noqa: D102
        out, lse, *_ = _ops._scaled_dot_product_flash_attention(q, k, v, 0.0, causal, False, scale=scale)
        return Part(out, lse)

    def backward(  # noqa: D102
        self, grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, part: Part, causal: bool, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Without dropout the states of the random generator are not read.
        state = torch.zeros(2, dtype=torch.uint64, device=q.device)
        found: tuple[Tensor, Tensor, Tensor] = _ops._scaled_dot_product_flash_attention_backward(
            grad, q, k, v, part.out, part.lse, None, None, q.shape[2], k.shape[2], 0.0, causal, state, state[:1],
            scale=scale,
        )  # fmt: skip
        return found


class CudaEfficient:
    """Memory-efficient attention of CUDA devices, for single precision, half on older ones, and no bias."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool, scale: float) -> Part:  # noqa: D102
        out, lse, *_ = _ops._scaled_dot_product_efficient_attention(q, k, v, None, True, 0.0, causal, scale=scale)
        return Part(out, lse[..., : q.shape[2]])  # its rows are a multiple of 32

    def backward(  # noqa: D102
        self, grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, part: Part, causal: bool, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = -(-q.shape[2] // 32) * 32
        lse = torch.nn.functional.pad(part.lse, (0, rows - q.shape[2]), value=float("inf")).contiguous()
        state = torch.zeros((), dtype=torch.int64, device=q.device)
        dq, dk, dv, _ = _ops._scaled_dot_product_efficient_attention_backward(
            grad, q, k, v, None, part.out, lse, state, state, 0.0, (True, True, True, False), causal, scale=scale
        )
        return dq, dk, dv


def plain_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Part:
    """Forward alone, over all keys: by the kernel where there is one, else by matrix products, on any device."""
    kernel = kernel_for(q, bias is not None)
    if kernel is not None:
        return kernel.forward(q, k, v, bias, causal=False, scale=scale)
    scores = (q @ k.transpose(-1, -2)).to(torch.promote_types(q.dtype, torch.float32)) * scale
    scores = scores if bias is None else scores + bias
    lse = scores.logsumexp(-1)
    return Part(((scores - lse.unsqueeze(-1)).exp().to(v.dtype)) @ v, lse)


def kernel_for(query: Tensor, biased: bool) -> Kernel | None:
    """The kernel for tensors like these; ``None`` where there is none, and masked attention must do.

    Args:
        query: of what device, type and width.
        biased: whether keys are masked, as padding is.
    """
    if query.device.type == "cpu":
        return Flash() if query.is_floating_point() else None
    if query.device.type != "cuda" or biased or query.shape[-1] % 8:
        return None
    ampere = torch.cuda.get_device_capability(query.device) >= (8, 0)
    if query.dtype in (torch.bfloat16, torch.float16) and ampere:
        return CudaFlash() if query.shape[-1] <= 256 else None
    return CudaEfficient() if query.dtype in (torch.float32, torch.float16) else None


def merge(one: Part, two: Part) -> Part:
    """The softmax over both parts: weights exp(lse_i - lse) with lse = log(exp(lse_1) + exp(lse_2))."""
    lse: Float[Tensor, "B H M"] = torch.logaddexp(one.lse, two.lse)
    shares = [(part.lse - lse).exp().unsqueeze(-1).to(part.out.dtype) for part in (one, two)]
    return Part(one.out * shares[0] + two.out * shares[1], lse)


def mix(one: Part, two: Part) -> Float[Tensor, "B H M D"]:
    """The output of ``merge`` alone, in fewer steps: the second's share is sigmoid(lse_2 - lse_1)."""
    share = (two.lse - one.lse).sigmoid().unsqueeze(-1).to(one.out.dtype)
    return torch.lerp(one.out, two.out, share)

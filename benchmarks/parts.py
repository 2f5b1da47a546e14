"""Where the time of an update goes: one clock that is switched from part to part, forwards and backwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from measuring import synchronize
from torch import Tensor
from transformers import PreTrainedModel

PARTS = ("vision", "attention", "layers", "head", "rest")
"""The vision tower; attention of the text with its rotations, without projections; all else in the layers of the text;
the language-model head with its log-softmax; packing, masks and the loss."""


class Parts:
    """Seconds by part.

    Activations that are computed again count where that happens; the gradient of the table of words, which comes last,
    counts as vision.

    Args:
        device: is waited for at each switch, so the sum is more than an undisturbed step takes on an accelerator.
    """

    def __init__(self, device: str) -> None:
        self._device, self._part, self._since = device, "rest", 0.0
        self.seconds = dict.fromkeys(PARTS, 0.0)

    def switch(self, part: str) -> None:
        """What follows is this part."""
        synchronize(self._device)
        now = time.perf_counter()
        self.seconds[self._part] += now - self._since
        self._part, self._since = part, now

    def _after(self, output: Tensor, now: str, in_backward: str) -> None:
        """A part has ended with this output; in the backward pass it begins with the output's gradient."""
        self.switch(now)
        if output.requires_grad:
            output.register_hook(lambda _: self.switch(in_backward))

    @contextmanager
    def watch(self, model: PreTrainedModel) -> Iterator[None]:
        """Count what the model does inside."""
        backbone, vision = model.base_model, model.base_model.visual
        handles = [
            backbone.register_forward_pre_hook(lambda *_: self.switch("layers")),
            vision.register_forward_pre_hook(lambda *_: self.switch("vision")),
            vision.register_forward_hook(lambda _m, _i, out: self._after(out.pooler_output, "layers", "vision")),
            backbone.register_forward_hook(lambda _m, _i, out: self._after(out.last_hidden_state, "head", "layers")),
            model.register_forward_hook(lambda *_: self.switch("rest")),
        ]
        for layer in backbone.language_model.layers:
            part = layer.self_attn
            handles += [
                # The last projection before attention and the first after it.
                part.v_proj.register_forward_hook(lambda _m, _i, out: self._after(out, "attention", "layers")),
                part.o_proj.register_forward_pre_hook(lambda _m, given: self._after(given[0], "layers", "attention")),
            ]
        self._part, self._since = "rest", time.perf_counter()
        try:
            yield
        finally:
            self.switch("rest")
            for handle in handles:
                handle.remove()


def parts_of(step: Callable[[Callable[[], None]], Any], model: PreTrainedModel, device: str) -> dict[str, float]:
    """Seconds of each part of one step.

    Args:
        step: takes what it must call between its forward and its backward pass.
        model: that it is a step of.
        device: where.
    """
    parts = Parts(device)
    with parts.watch(model):
        step(lambda: parts.switch("head"))
    return parts.seconds

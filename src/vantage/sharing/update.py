"""Log-probabilities of completions with every prompt computed once, and their gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from vantage.errors import ConfigError
from vantage.sharing.attention import ARGUMENT, Layout, install, plain
from vantage.sharing.families import Family, family_of
from vantage.sharing.packing import Packed, pack

Path = Literal["auto", "portable", "fast"]


class LogProbs(NamedTuple):
    """Of every token of completions, 0 behind their ends.

    Attributes:
        values: natural logarithm of the probability of the token.
        entropy: of the distribution that it was drawn from, nats.
    """

    values: Float[Tensor, "BG C"]
    entropy: Float[Tensor, "BG C"]


def log_probs(
    model: PreTrainedModel,
    prompts: Mapping[str, Any],
    completion_ids: Int[Tensor, "BG C"],
    completion_mask: Bool[Tensor, "BG C"] | Int[Tensor, "BG C"],
    *,
    path: Path = "auto",
    temperature: float = 1.0,
) -> LogProbs:
    """Log-probabilities of G completions of each of B prompts, computed from P - 1 + G C tokens a prompt.

    They are those of a batch in which every completion has the prompt and its pictures before it, up to rounding.

    Args:
        model: a vision-language model of a known family; see ``vantage.sharing.families``.
        prompts: as the processor makes them, padded on the left, pictures once a prompt.
        completion_ids: G rows for each prompt, in the order of prompts, padded on the right.
        completion_mask: which of these tokens are there.
        path: ``portable``, a mask over packed rows; ``fast``, merged attention; ``auto``, the fast one where there is.
        temperature: divides the logits.

    Raises:
        ConfigError: the family, or the path for it, is not known.
        DataError: as ``pack``.
    """
    family = family_of(model)
    packed = pack(model, prompts, completion_ids, completion_mask)
    chosen = family.path(path, model, packed)
    count = packed.group * packed.length
    logits = model(**inputs(packed, family, chosen, model), logits_to_keep=count).logits
    scores = (packed.rows(logits).float() if logits.dtype.itemsize < 4 else packed.rows(logits)) / temperature
    whole = scores.log_softmax(-1)
    there = completion_mask.bool()
    values = whole.gather(-1, completion_ids.unsqueeze(-1)).squeeze(-1)
    entropy = -(whole.exp() * whole).sum(-1)
    return LogProbs(values.masked_fill(~there, 0.0), entropy.masked_fill(~there, 0.0))


def inputs(packed: Packed, family: Family, path: str, model: PreTrainedModel) -> dict[str, Any]:
    """What the model is called with, head and labels aside.

    The model's text has our attention from here on, which elsewhere is ``sdpa``; see ``install``.
    """
    common = {
        **packed.more,
        "input_ids": packed.input_ids,
        "position_ids": packed.position_ids,
        "use_cache": False,
    }
    # On both paths: another attention may read a mask of truth values as numbers, or not at all.
    install(model)
    if path == "portable":
        return {**common, "attention_mask": family.masks(packed, model)}
    if path != "fast":
        raise ConfigError(f"path is 'portable' or 'fast', not {path!r}")
    layout = Layout.of(packed.valid[:, : packed.prompt], packed.group, plain(model).dtype)
    # Of four dimensions, so that nobody makes a mask: ours does not look at it.
    nobody = torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=packed.valid.device)
    return {**common, "attention_mask": nobody, ARGUMENT: layout}


@contextmanager
def completions_alone(model: PreTrainedModel, packed: Packed) -> Iterator[None]:
    """Inside, the model's body hands on the states of completions and not those of prompts, which no label asks for.

    So a head that scores all it is given, as TRL's fused one does on a processor, takes ``packed.labels`` as they are.
    """

    def cut(_: Any, __: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, -packed.labels.shape[1] :]
        return output

    hook = plain(model).base_model.register_forward_hook(cut)
    try:
        yield
    finally:
        hook.remove()

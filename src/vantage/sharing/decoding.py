"""Rollouts whose prompts are read once: prefill each prompt, then let all of its rows grow behind it together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import (
    DynamicCache,
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedModel,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from vantage.errors import ConfigError, DataError
from vantage.sharing.attention import ARGUMENT, install, plain
from vantage.sharing.families import family_of
from vantage.sharing.packing import PER_TOKEN, check, prompt_positions
from vantage.sharing.pictures import encoded_once
from vantage.sharing.prefix import Prefix


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; greedy rows take the likeliest.

    Attributes:
        temperature: divides the logits.
        top_k: of so many likeliest tokens; 0 is all.
        top_p: of the smallest set of likeliest tokens that holds this share of the probability.
        min_p: of tokens at least so likely, as a share of the likeliest one's probability; ``None`` is all.
        suppressed: tokens that are never said, such as those that stand for pictures.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float | None = None
    suppressed: Collection[int] = ()

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"temperature is above 0, not {self.temperature!r}; for the likeliest token say greedy")

    def warpers(self) -> LogitsProcessorList:
        """What leaves out unlikely tokens, after the temperature."""
        found = LogitsProcessorList()
        if self.top_k:
            found.append(TopKLogitsWarper(self.top_k))
        if self.top_p < 1:
            found.append(TopPLogitsWarper(self.top_p))
        if self.min_p is not None:
            found.append(MinPLogitsWarper(self.min_p))
        return found


@dataclass(frozen=True)
class Rollouts:
    """What was said, prompt after prompt.

    Attributes:
        ids: tokens of each row, the one that ended it included.
        logprobs: of each of them, under the model at the temperature; what an update computes for them.
    """

    ids: list[list[int]]
    logprobs: list[list[float]]


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    prompts: Mapping[str, Any],
    groups: Sequence[int],
    *,
    max_new_tokens: int,
    ends: Collection[int],
    sampling: Sampling | None = None,
    greedy: Sequence[bool] | None = None,
) -> Rollouts:
    """Let each of B prompts be completed so many times.

    Prompts are prefilled once, and a picture that stands in several of them is encoded once. A row that has ended
    leaves the batch. Prompts of one number of rows should stand side by side. Where a family has no fast path, a
    prompt's keys and values are copied for each of its rows.

    Args:
        model: of a known family, in evaluation mode if dropout is not wanted.
        prompts: as the processor makes them, padded on the left.
        groups: rows of each prompt.
        max_new_tokens: a row's most tokens.
        ends: tokens that end a row.
        sampling: how tokens are drawn.
        greedy: of which prompts the rows take the likeliest token instead; none by default.

    Raises:
        ConfigError: the family is not known, or no token may be said.
        DataError: groups that do not fit the prompts, or prompts that end in padding.
    """
    number = len(prompts["input_ids"])
    if len(groups) != number or min(groups, default=0) < 1 or (greedy is not None and len(greedy) != number):
        raise DataError(f"{number} prompts take one number of rows each, at least 1, not {list(groups)}")
    check(prompts)
    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens is at least 1, not {max_new_tokens}")
    growing = _Growing(model, prompts, groups, sampling or Sampling(), greedy or [False] * number)
    for left in range(max_new_tokens - 1, -1, -1):
        if not growing.say(ends) or not left:
            break
        growing.read()
    return Rollouts(growing.ids, growing.logprobs)


MANY = 4096
"""Words from which on a processor draws by ``_draw``'s own way."""


def _draw(probabilities: Float[Tensor, "R V"]) -> Int[Tensor, " R"]:
    """One token for each row.

    ``multinomial`` makes a random number for every word: on a processor, with many words, that takes as long as a small
    model's step. There it is one number a row, and the first word up to which the probabilities sum to more than that.
    """
    if probabilities.device.type != "cpu" or probabilities.shape[1] < MANY:
        return torch.multinomial(probabilities, 1).squeeze(1)
    sums = probabilities.cumsum(-1, dtype=torch.float64)
    whole = sums[:, -1:]
    point = torch.rand_like(whole) * whole
    # Rounding may not lift a point to the whole, behind which there is no word.
    point = torch.minimum(point, torch.nextafter(whole, torch.zeros_like(whole)))
    return torch.searchsorted(sums, point, right=True).squeeze(1)


class _Growing:
    """Rows behind their prompts."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Mapping[str, Any],
        groups: Sequence[int],
        sampling: Sampling,
        greedy: Sequence[bool],
    ) -> None:
        self.model, self.sampling = model, sampling
        self.warpers = sampling.warpers()
        positions, following = prompt_positions(model, prompts)
        device = prompts["input_ids"].device
        counts = torch.tensor(groups, device=device)
        self.shared = family_of(model).causal
        install(model)
        with encoded_once(model):
            out = model(**prompts, position_ids=positions, use_cache=True, logits_to_keep=1)
        self.logits: Float[Tensor, "R V"] = out.logits[:, -1].repeat_interleave(counts, 0)
        self.rows = torch.arange(len(self.logits), device=device)
        self.following = following.repeat_interleave(counts)
        self.greedy = torch.tensor(greedy, device=device).repeat_interleave(counts)
        self.axes = positions.shape[0] if positions.ndim == 3 else 0
        self.valid = prompts["attention_mask"].bool()
        self.types = [key for key in PER_TOKEN if key in prompts]
        self.steps = 0
        if self.shared:
            layers = out.past_key_values.layers
            self.prefix = Prefix(
                [layer.keys for layer in layers], [layer.values for layer in layers], self.valid, groups, self.rows
            )
            self.cache = DynamicCache(config=plain(model).config.get_text_config())
        else:
            self.cache = out.past_key_values
            self.cache.batch_select_indices(torch.arange(len(counts), device=device).repeat_interleave(counts))
            self.valid = self.valid.repeat_interleave(counts, 0)
        self.ids: list[list[int]] = [[] for _ in self.rows]
        self.logprobs: list[list[float]] = [[] for _ in self.rows]

    def say(self, ends: Collection[int]) -> bool:
        """Choose every row's next token; rows that end leave. False where none is left."""
        scores = self.logits.float() if self.logits.dtype.itemsize < 4 else self.logits
        scores = scores if self.sampling.temperature == 1 else scores / self.sampling.temperature
        whole = scores.log_softmax(-1)
        if self.sampling.suppressed:
            scores = scores.clone()
            scores[:, list(self.sampling.suppressed)] = -torch.inf
        self.token = self._chosen(scores)
        told = whole.gather(1, self.token[:, None]).squeeze(1)
        for row, token, value in zip(self.rows.tolist(), self.token.tolist(), told.tolist(), strict=True):
            self.ids[row].append(token)
            self.logprobs[row].append(value)
        ended = torch.isin(self.token, torch.tensor(sorted(ends), device=self.token.device))
        if ended.any():
            self._keep((~ended).nonzero().flatten())
        return len(self.rows) > 0

    def _chosen(self, scores: Float[Tensor, "R V"]) -> Int[Tensor, " R"]:
        if self.greedy.all():
            return scores.argmax(-1)
        drawn = _draw(self.warpers(self.rows, scores).softmax(-1))
        return torch.where(self.greedy, scores.argmax(-1), drawn) if self.greedy.any() else drawn

    def _keep(self, alive: Int[Tensor, " A"]) -> None:
        self.rows, self.token = self.rows[alive], self.token[alive]
        self.following, self.greedy = self.following[alive], self.greedy[alive]
        if self.shared:
            self.prefix.rows = self.rows
        else:
            self.valid = self.valid[alive]
        if len(self.rows) and (self.steps or not self.shared):
            self.cache.batch_select_indices(alive)

    def read(self) -> None:
        """Give every row its new token and get the logits of the next one."""
        places = (self.following + self.steps)[:, None]
        self.steps += 1
        told: dict[str, Any] = {key: torch.zeros_like(self.token[:, None]) for key in self.types}
        if self.shared:
            told |= {"attention_mask": torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=places.device)}
            told |= {ARGUMENT: self.prefix}
        else:
            self.valid = torch.cat([self.valid, torch.ones_like(self.valid[:, :1])], 1)
            told |= {"attention_mask": self.valid.long()}
        self.logits = self.model(
            input_ids=self.token[:, None],
            position_ids=places.expand(self.axes, -1, -1) if self.axes else places,
            past_key_values=self.cache,
            use_cache=True,
            **told,
        ).logits[:, -1]

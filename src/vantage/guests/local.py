"""A vision-language model of this machine as a guest."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList, StoppingCriteriaList

from vantage import tiny
from vantage.endpoints.decoding import SeededSampling
from vantage.errors import ConfigError
from vantage.generation import Messages, generate, greedy
from vantage.guests.base import Guest, LogProbs, Utterance, as_values, draws_as_it_tells
from vantage.models import device as first_device
from vantage.models import load_model, load_processor
from vantage.samples import PromptStyle, Sample

_GATHERING = 0.005
"""Seconds in which questions that come together find into one batch."""


@dataclass(slots=True)
class _Row:
    """An answer that waits for its batch."""

    sample: Sample
    style: PromptStyle
    seed: int
    said: Future[Utterance] = field(default_factory=Future)
    left: bool = False
    """Nobody waits for it any more."""


class LocalGuest(Guest):
    """A vision-language model, loaded at once and run in a thread of its own while the policy speaks.

    It sees all sources of a sample as the policy does, by its own processor. What an answer draws depends on the seed,
    the guest's name, the sample's id and the answer's number alone; the random numbers of the process stay untouched,
    so that the policy draws the same with a guest beside it and without.

    Args:
        model: a folder, a name on the Hugging Face hub, or an embedded model.
        name: see ``Guest``.
        n: see ``Guest``.
        seed: of what it draws.
        temperature: 0 for the likeliest token every time.
        top_p: share of the probability that is drawn from.
        max_tokens: longest answer.
        logprobs: keep log-probabilities of what is drawn.
        batch_size: prompts that it reads at once.
        device: where it runs; by default the first accelerator, else the processor.
        dtype: see ``vantage.models.load_model``.
        processor: settings of the processor.
        trust_remote_code: run code that comes with the model.

    Raises:
        ConfigError: a model that does not load, or whose tokenizer cannot pad; a device that is not there;
            log-probabilities of another distribution than the one that is drawn from.
    """

    def __init__(
        self,
        model: str,
        name: str,
        n: int = 1,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_tokens: int = 512,
        logprobs: bool = False,
        batch_size: int = 16,
        device: str | None = None,
        dtype: str = "auto",
        processor: Mapping[str, Any] | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        super().__init__(name, n)
        self.gives_logprobs = logprobs
        if logprobs:
            draws_as_it_tells(temperature, top_p)
        path = tiny.path(model) if model in tiny.MODELS else model
        self.processor = load_processor(path, trust_remote_code=trust_remote_code, **(processor or {}))
        loaded = load_model(path, dtype=dtype, trust_remote_code=trust_remote_code)
        try:
            self.model = loaded.to(device or first_device())
        except (AssertionError, RuntimeError) as error:
            raise ConfigError(f"guest {name!r}: device {device!r} cannot be used here ({error})") from error
        self.seed, self.temperature, self.top_p = seed, temperature, top_p
        self.batch_size = batch_size
        self._settings = greedy(self.model, self.processor, max_tokens)
        self._waiting: list[_Row] = []
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vantage-guest")

    async def ask(self, sample: Sample, style: PromptStyle, turn: int) -> Sequence[Utterance | Exception]:
        """See ``Guest.ask``."""
        rows = [_Row(sample, style, self._seed(sample, number)) for number in self.numbers(turn)]
        try:
            self._waiting += rows
            await asyncio.sleep(_GATHERING)
            for _ in rows:  # a call for each, though a batch takes several: none is left waiting
                self._thread.submit(self._work)
            return as_values(await asyncio.gather(*map(_awaited, rows), return_exceptions=True))
        finally:
            for row in rows:
                row.left = True

    def close(self) -> None:
        """Stop after the next token."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _seed(self, sample: Sample, number: int) -> int:
        text = f"{self.name}/{self.seed}/{sample.id}/{number}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    def _work(self) -> None:
        """Answer a batch of those that wait, in the guest's thread."""
        taken = [self._waiting.pop(0) for _ in range(min(self.batch_size, len(self._waiting)))]
        batch, messages = [], []
        for row in taken:
            if row.left or not row.said.set_running_or_notify_cancel():
                continue
            try:
                messages.append(row.style.messages(row.sample))
                batch.append(row)
            except Exception as error:  # noqa: BLE001 - a picture that cannot be read is one row's fault
                row.said.set_exception(error)
        if not batch:
            return
        try:
            answers = self._generate(batch, messages)
        except Exception as error:  # noqa: BLE001 - told to everyone in the batch
            for row in batch:
                row.said.set_exception(error)
        else:
            for row, answer in zip(batch, answers, strict=True):
                row.said.set_result(answer)

    def _generate(self, batch: list[_Row], messages: list[Messages]) -> list[Utterance]:
        start = time.perf_counter()
        draws = None
        if self.temperature > 0:
            draws = _Draws([row.seed for row in batch], self.temperature, self.top_p)

        def stop(ids: Tensor, _: object, **__: object) -> Tensor:
            nobody = self._closed or all(row.left for row in batch)
            return torch.full((ids.shape[0],), nobody, device=ids.device)

        # Not `for_inference`, which winds the random state back: it is that of the whole process.
        with torch.inference_mode():
            said = generate(
                self.model,
                self.processor,
                messages,
                self._settings,
                logits_processor=LogitsProcessorList([draws] if draws else []),
                stopping_criteria=StoppingCriteriaList([stop]),
            )
        seconds = time.perf_counter() - start
        known = (
            [None] * len(said) if draws is None or not self.gives_logprobs else draws.logprobs(self.processor.tokenizer)
        )
        return [
            Utterance(
                one.text,
                self.name,
                logprobs=None if pairs is None else pairs[: one.tokens],
                tokens=one.tokens,
                cost=0.0,
                seconds=seconds,
                finished=one.finished,
            )
            for one, pairs in zip(said, known, strict=True)
        ]


class _Draws(SeededSampling):
    """Remembers what was drawn, and the log-probabilities of that at temperature 1 and top_p 1."""

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        super().__init__(seeds, temperature, top_p)
        self._steps: list[tuple[Tensor, Tensor]] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """See ``SeededSampling``."""
        chosen = super().__call__(input_ids, scores)
        drawn_B_1 = chosen.argmax(-1, keepdim=True)
        logprob_B_1 = scores.double().log_softmax(-1).gather(-1, drawn_B_1)
        self._steps.append((drawn_B_1[:, 0], logprob_B_1[:, 0]))
        return chosen

    def logprobs(self, tokenizer: Any) -> list[LogProbs]:
        """For every row its tokens and their log-probabilities; what follows its end means nothing."""
        ids_B_T, values_B_T = (torch.stack(part, dim=1).tolist() for part in zip(*self._steps, strict=True))
        return [
            tuple((tokenizer.decode([token]), value) for token, value in zip(ids, values, strict=True))
            for ids, values in zip(ids_B_T, values_B_T, strict=True)
        ]


async def _awaited(row: _Row) -> Utterance:
    return await asyncio.wrap_future(row.said)

"""``caption``: the success of a reasoner that reads the caption and never sees the pictures (RACRO, arXiv 2506.04559).

    reward = verify(answer(reasoner(caption, question)), truth)

Where this goes beyond the paper:

1. a caption without a word, or cut by the length limit, earns 0 and no call is made for it;
2. a call that fails is *unscored*: the member leaves every statistic, instead of learning from a broken server;
3. any reward of the library verifies the answer, not only equality with a box;
4. marks of pictures and chats in a caption or question do not reach the reasoner;
5. captions that state the answer are counted, and can be punished or cleaned; off by default, as in the paper.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, get_args

from vantage.captions import leak
from vantage.captions.prompts import Prompts, unmarked
from vantage.captions.reading import AnswerIn, handed, reads_boxes_only
from vantage.endpoints import Endpoint, Reply
from vantage.errors import ConfigError, DataError, EndpointError
from vantage.rewards import Reward, Score, call_many, get
from vantage.samples import Sample

Leakage = Literal["log", "penalty", "strip"]
"""What becomes of a caption that states an answer."""

LOGGED = MappingProxyType({f"reasoner/{part}": part for part in ("called", "failed", "cut", "leak", "mention")})
"""What a run logs of it, by the name of the figure."""

_FEW = 2
"""Captions whose calls failed, at least, that stop training."""


class CaptionReward(Reward):
    """The inner reward of what a reasoner answers from the caption alone.

    ``correct``: the reasoner's answer is. ``said``: its reply. ``formatted``: the caption says something and was not
    cut. ``error``: why there was no call, why it failed, or what the inner reward could not read. ``parts``, 0 or 1
    unless said otherwise:

    - ``called``: the reasoner was asked;
    - ``failed``: its call failed, and there is no reward;
    - ``cut``: its reply was cut by the length limit;
    - ``leak``: the caption states an answer (see ``vantage.captions.leak``);
    - ``mention``: the truth occurs in the caption;
    - ``answer``: the inner reward, in its own range, and its parts as ``answer/...``; only where there was a reply.

    Args:
        endpoint: the reasoner. Equal captions of one question in a batch are asked once.
        inner: verifies its answer; a name, a weighted sum or a reward. ``None``: the row's own, and the range is open.
        prompts: how the reasoner is asked.
        leakage: of a caption that states an answer: ``log`` counts it; ``penalty`` also takes ``penalty`` from its
            reward; ``strip`` leaves the sentences that state one out of what the reasoner reads.
        penalty: above 0.
        max_failed: share of a batch's captions whose calls may fail, 0..1; more, and at least 2, end training.
        answer_in: how the inner reward is handed the reasoner's final answer: in a ``box``, in answer ``tags``, or
            not at all, but the whole ``text``. ``auto``: a box for ``racro-boxed``, tags for all others.

    Raises:
        ConfigError: a setting that cannot be, or an inner reward that does not exist or is a caption reward itself.
    """

    name = "caption"
    logged: Mapping[str, str] = LOGGED

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        inner: str | Reward | None = None,
        prompts: Prompts | None = None,
        leakage: Leakage = "log",
        penalty: float = 0.5,
        max_failed: float = 0.2,
        answer_in: AnswerIn = "auto",
    ) -> None:
        if not isinstance(endpoint, Endpoint):
            raise ConfigError(f"the reasoner is an endpoint (see vantage.endpoints.open_endpoint), not {endpoint!r}")
        for key, value, known in (("leakage", leakage, Leakage), ("answer_in", answer_in, AnswerIn)):
            if value not in get_args(known):
                raise ConfigError(f"{key}: one of {', '.join(get_args(known))}, not {value!r}")
        if not (math.isfinite(penalty) and penalty > 0):
            raise ConfigError(f"penalty: a number above 0, not {penalty!r}")
        if not 0 <= max_failed <= 1:
            raise ConfigError(f"max_failed: a share from 0 to 1, not {max_failed!r}")
        self.endpoint, self.prompts = endpoint, prompts or Prompts()
        self.leakage, self.penalty = leakage, penalty
        self.max_failed, self.answer_in = max_failed, answer_in
        self.inner = get(inner) if isinstance(inner, str) else inner
        self.low, self.high = -math.inf, math.inf
        if self.inner is not None:
            _not_itself(self.inner, "inner")
            self.low, self.high = min(0.0, self.inner.low), max(0.0, self.inner.high)
            self.low -= penalty if leakage == "penalty" else 0.0
            self.needs_truth = self.inner.needs_truth

    def check(self, sample: Sample) -> None:
        """Raise what the reward that verifies the answer raises; ``ConfigError`` where there is none.

        Raises:
            DataError: there is no question that the reasoner could answer.
        """
        self.verifier(sample).check(sample)
        if not sample.question.strip():
            raise DataError(f"row {sample.id!r}: the reasoner has nothing to answer, since the question is empty")

    def verifier(self, sample: Sample) -> Reward:
        """The reward that verifies the reasoner's answer for that row.

        Raises:
            ConfigError: none is named, or one that does not exist or reads captions itself.
        """
        if self.inner is not None:
            return self.inner
        if not sample.reward:
            raise ConfigError(f"row {sample.id!r} names no reward; name one for all rows: CaptionReward(inner='...')")
        return _not_itself(get(sample.reward), f"row {sample.id!r}")

    def score(self, completion: str, sample: Sample) -> Score:
        """Score one caption; several at once, with ``score_many``, are asked for side by side."""
        return self.score_many([completion], [sample])[0]

    def score_many(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Score]:
        """Score several captions, all calls under way at once; also where an event loop runs.

        Raises:
            EndpointError: more calls failed than ``max_failed`` allows; names the share and the first reason.
            BudgetError: what may be spent is spent.
            VantageError: what the inner reward raises for a row.
        """
        batch = _Batch(self, completions, samples)
        return batch.scores(self.endpoint.ask_many_sync(batch.asked) if batch.asked else [])

    async def score_async(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Score]:
        """As ``score_many``, without holding the event loop."""
        batch = await asyncio.to_thread(_Batch, self, completions, samples)
        replies = await self.endpoint.ask_many(batch.asked) if batch.asked else []
        return await asyncio.to_thread(batch.scores, replies)


class _Caption:
    """A caption, what is known of it before any call, and which of the batch's calls is its own."""

    def __init__(self, reward: CaptionReward, completion: str, sample: Sample) -> None:
        self.sample = sample
        self.verifier = reward.verifier(sample)
        self.leaks = leak.states(completion, sample)
        self.mentions = leak.mentions(completion, sample)
        finished = bool(getattr(completion, "finished", True))
        text = unmarked(completion)
        self.formatted = finished and _says_something(text)
        self.error = "" if self.formatted else "the caption is empty" if finished else "the caption was cut"
        if self.formatted and self.leaks and reward.leakage == "strip":
            text = leak.stripped(text, sample)
            if not _says_something(text):
                self.error = "the caption is empty but for an answer"
        self.key = (sample.question, text)
        self.call: int | None = None

    def score(self, reply: Reply | EndpointError | None, found: Score | None, penalty: float) -> Score:
        parts = {
            "called": float(reply is not None),
            "failed": float(isinstance(reply, EndpointError)),
            "cut": float(isinstance(reply, Reply) and not reply.finished),
            "leak": float(self.leaks),
            "mention": float(self.mentions),
        }
        if isinstance(reply, EndpointError):
            return Score(None, formatted=self.formatted, parts=parts, error=f"the reasoner's call failed: {reply}")
        if reply is None or found is None:
            return Score(0.0, formatted=self.formatted, parts=parts, error=self.error)
        parts |= {f"answer/{name}": value for name, value in found.parts.items()}
        if found.reward is not None:
            parts["answer"] = float(found.reward)
        cut = "the reasoner's reply was cut; " if found.error and not reply.finished else ""
        return Score(
            reward=None if found.reward is None else found.reward - penalty * self.leaks,
            correct=found.correct,
            formatted=self.formatted,
            parts=parts,
            error=f"{cut}answer: {found.error}" if found.error else "",
            timed_out=found.timed_out,
            said=reply.text,
        )


class _Batch:
    """The captions of a batch and the calls that they need, each different one once."""

    def __init__(self, reward: CaptionReward, completions: Sequence[str], samples: Sequence[Sample]) -> None:
        self.reward = reward
        self.captions = [_Caption(reward, text, sample) for text, sample in zip(completions, samples, strict=True)]
        calls: dict[tuple[str, str], int] = {}
        for caption in self.captions:
            if not caption.error:
                caption.call = calls.setdefault(caption.key, len(calls))
        self.asked = [reward.prompts.messages(*key) for key in calls]

    def scores(self, replies: Sequence[Reply | EndpointError]) -> list[Score]:
        self._enough(replies)
        of = [None if caption.call is None else replies[caption.call] for caption in self.captions]
        read = [(caption, reply) for caption, reply in zip(self.captions, of, strict=True) if isinstance(reply, Reply)]
        verified = call_many(
            [caption.verifier for caption, _ in read],
            [handed(reply.text, self._answer_in(caption.verifier)) for caption, reply in read],
            [caption.sample for caption, _ in read],
        )
        found = {id(caption): score for (caption, _), score in zip(read, verified, strict=True)}
        penalty = self.reward.penalty if self.reward.leakage == "penalty" else 0.0
        return [
            caption.score(reply, found.get(id(caption)), penalty)
            for caption, reply in zip(self.captions, of, strict=True)
        ]

    def _answer_in(self, verifier: Reward) -> AnswerIn:
        if self.reward.answer_in != "auto":
            return self.reward.answer_in
        return "box" if reads_boxes_only(verifier) else "tags"

    def _enough(self, replies: Sequence[Reply | EndpointError]) -> None:
        """Stop where too many captions have no reply: equal ones are asked for once, and fail together."""
        called = [replies[caption.call] for caption in self.captions if caption.call is not None]
        failed = [reply for reply in called if isinstance(reply, EndpointError)]
        if len(failed) >= _FEW and len(failed) > self.reward.max_failed * len(called):
            raise EndpointError(
                f"{self.reward.endpoint.name}: the calls of {len(failed)} of {len(called)} captions failed "
                f"({len(failed) / len(called):.0%}), more than max_failed={self.reward.max_failed:g} allows; "
                f"the first: {failed[0]}"
            ) from failed[0]


def _says_something(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _not_itself(inner: Reward, where: str) -> Reward:
    if isinstance(inner, CaptionReward) or any(
        isinstance(term, CaptionReward) for term in getattr(inner, "terms", {}).values()
    ):
        raise ConfigError(f"{where}: {inner.name!r} reads captions; name a reward that reads the reasoner's answer")
    return inner

"""Answering in two steps (RACRO, arXiv 2506.04559): one model describes the pictures, another answers without them.

The *extractor*, a vision-language model, writes a caption for the question, greedily; where asked for, also a
tentative answer. The *reasoner*, any text model at an endpoint, answers from these. A better reasoner needs no
retraining: the same captions are put to another one with ``Pipeline.reason``.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any, Literal

import torch
from transformers import StoppingCriteriaList

from vantage.captions import Prompts, final_answer
from vantage.captions.prompts import Part
from vantage.datasets.check import marks_of, question_problems
from vantage.endpoints import Endpoint, EndpointSettings, Reply, loop, open_endpoint
from vantage.endpoints.decoding import PieceStreamer
from vantage.errors import BudgetError, ConfigError, DataError, EndpointError
from vantage.generation import Messages, Said, for_inference, fused, generate, greedy, prompts
from vantage.groups import FUSED, Origin
from vantage.samples import MonoView, Sample

Stage = Literal["caption", "tentative", "reasoner"]

CAPTION: tuple[Part, ...] = ("caption",)
BOTH: tuple[Part, ...] = ("caption", "tentative")
ALONE: tuple[Part, ...] = ("tentative",)
"""The extractor answers by itself; no reasoner is asked."""

SAMPLING: Mapping[str, Any] = {"temperature": 0.6, "top_p": 0.95, "seed": 0}
"""How the paper's inference asks a reasoner; the seed is ours."""

BEAT, LEAVING = 0.1, 1.0
"""Seconds: after so much silence a stream gives an empty piece, so that whoever reads it may leave; so long, at most,
leaving it waits for the model to end the word that it is at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the two models made of one view of one sample.

    Attributes:
        id: the sample's.
        question: the sample's.
        origin: of which sources the extractor saw pictures.
        caption: what the extractor describes; empty where it said nothing.
        tentative: its own answer, whole; ``None`` where none was asked for.
        reasoning: the reasoner's whole reply; ``None`` where it gave none.
        final: the answer in that reply, or in ``tentative`` where the extractor was asked alone; ``None`` where it
            states none.
        reasoner: the reasoner's name; empty where none was asked.
        finished: for each stage whether its text ended by itself, and was not cut off at the limit; without the
            reasoner where its reply was streamed.
        tokens: for each stage how many tokens it wrote; the reasoner's only where its server counts them.
        seconds: for each stage how long it took; a member of a batch has an equal share of the batch's time.
        error: why there is no reply of the reasoner; empty where there is one or none was asked for.
    """

    id: str
    question: str
    origin: Origin = FUSED
    caption: str
    tentative: str | None = None
    reasoning: str | None = None
    final: str | None = None
    reasoner: str = ""
    finished: dict[Stage, bool] = field(default_factory=dict)
    tokens: dict[Stage, int] = field(default_factory=dict)
    seconds: dict[Stage, float] = field(default_factory=dict)
    error: str = ""

    @property
    def asked(self) -> bool:
        """Whether there is something to ask a reasoner about: the caption says something."""
        return any(map(str.isalnum, self.caption))

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "origin": str(self.origin)}


def open_reasoner(where: str, **settings: Any) -> Endpoint:
    """A reasoner by its line: ``http://host:8000/v1#model``, a local text model, or an embedded one.

    It is sampled as in the paper; an embedded model is asked for the likeliest words, as while it trains another.

    Args:
        where: see ``vantage.endpoints.open_endpoint``.
        **settings: of ``EndpointSettings``, before these.

    Raises:
        ConfigError: settings that cannot be, or a local model that does not load.
    """
    told = EndpointSettings.parse(where).model_dump(exclude_unset=True)
    embedded = told.get("url") is None and where.startswith("tiny-")
    return open_endpoint({**told, **({} if embedded else SAMPLING), **settings})


class Pipeline:
    """An extractor and a reasoner.

    Several threads may use it at once; the extractor then works for one after the other.

    Args:
        model: the extractor; on any device.
        processor: its processor, with a chat template and a ``tokenizer``.
        reasoner: who answers from captions; ``None`` where only captions are wanted.
        prompts: what both are told.
        label_sources: write each source's name before its picture.
        mono: what stands in the other picture slots when one source is shown; see ``vantage.samples.view``.
        max_new_tokens: the longest caption, and the longest tentative answer.
        batch_size: prompts that the extractor completes at once.

    Raises:
        ConfigError: a batch or a limit below 1, or a tokenizer that cannot pad.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        reasoner: Endpoint | None = None,
        *,
        prompts: Prompts | None = None,
        label_sources: bool = False,
        mono: MonoView = "fill",
        max_new_tokens: int = 512,
        batch_size: int = 64,
    ) -> None:
        if batch_size < 1 or max_new_tokens < 1:
            raise ConfigError(f"batch_size and max_new_tokens are at least 1, not {batch_size} and {max_new_tokens}")
        self.model, self.processor, self.reasoner = model, processor, reasoner
        self.prompts, self.label_sources, self.mono = prompts or Prompts(), label_sources, mono
        self.max_new_tokens, self.batch_size = max_new_tokens, batch_size
        self._settings = greedy(model, processor, max_new_tokens)
        self._marks = marks_of(processor)
        self._one_at_a_time = threading.RLock()

    def answer(
        self,
        samples: Iterable[Sample],
        parts: Sequence[Part] = CAPTION,
        *,
        origins: Callable[[Sample], Iterable[Origin]] = fused,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Answer]:
        """Describe, then reason; see these.

        Args:
            samples: what is asked.
            parts: what the reasoner gets: the caption, or the tentative answer too; ``ALONE`` asks the extractor only.
            origins: of which views a sample is asked: ``fused``, or ``each`` of ``vantage.generation``.
            progress: called with the steps done so far and in all; an answer is two, one of the extractor alone.
        """

        def told(half: int) -> Callable[[int, int], None] | None:
            return None if progress is None else lambda done, total: progress(half * total + done, 2 * total)

        if tuple(parts) == ALONE:
            return self.describe(samples, parts, origins=origins, progress=progress)
        described = self.describe(samples, parts, origins=origins, progress=told(0))
        return self.reason(described, progress=told(1))

    def describe(
        self,
        samples: Iterable[Sample],
        parts: Sequence[Part] = CAPTION,
        *,
        origins: Callable[[Sample], Iterable[Origin]] = fused,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Answer]:
        """What the extractor says: answers that no reasoner has seen yet, each sample's views together and in order.

        Raises:
            ConfigError: parts other than ``CAPTION``, ``BOTH`` and ``ALONE``.
            DataError: a question is blank, or holds what stands for a picture or steers the model.
            PictureError: a sample's picture cannot be read.
        """
        wanted = _checked(parts)
        samples = list(samples) if not isinstance(samples, Sequence) else samples
        for sample in samples:
            self.require_text(sample)
        total = sum(len(tuple(origins(sample))) for sample in samples)
        views = prompts(samples, [self.style(part) for part in wanted], self.mono, origins)
        answers: list[Answer] = []
        while batch := list(islice(views, self.batch_size)):
            found = [Answer(id=v.sample.id, question=v.sample.question, origin=v.origin, caption="") for v in batch]
            for place, part in enumerate(wanted):
                start = time.perf_counter()
                said = self._generate([prompt.messages[place] for prompt in batch])
                share = (time.perf_counter() - start) / len(batch)
                found = [saying(answer, part, one, share) for answer, one in zip(found, said, strict=True)]
            answers += [_by_itself(answer) for answer in found] if wanted == ALONE else found
            if progress is not None:
                progress(len(answers), total)
        return answers

    def reason(
        self,
        described: Sequence[Answer],
        reasoner: Endpoint | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Answer]:
        """The same answers with what a reasoner makes of them, in order; unchanged where there is no reasoner.

        An empty caption is not put to it; one that was cut is, and says so in ``finished``. A question that it did not
        answer, because it could not be asked or its budget was spent, says so in ``error``; the others stay.

        Args:
            described: what ``describe`` gave.
            reasoner: another one than the pipeline's own.
            progress: called with the replies so far and in all.
        """
        endpoint = reasoner or self.reasoner
        if endpoint is None:
            return list(described)
        asked = [answer for answer in described if answer.asked]
        replies = _replies(endpoint, [self._conversation(answer) for answer in asked], progress)
        left = iter(replies)
        return [_reasoned(answer, next(left) if answer.asked else EMPTY, endpoint.name) for answer in described]

    def stream(
        self,
        sample: Sample,
        parts: Sequence[Part] = CAPTION,
        *,
        origin: Origin = FUSED,
        reasoner: Endpoint | None = None,
    ) -> Generator[tuple[Stage, str] | Answer, None, None]:
        """One answer as it comes into being: pieces of text with their stage, and at the end the ``Answer``.

        A stage begins with an empty piece, and while nobody speaks one comes every ``BEAT`` seconds. Whoever leaves
        early stops the models.

        Raises (when it is read): as ``describe``.
        """
        wanted = _checked(parts)
        self.require_text(sample)
        (view,) = prompts([sample], [self.style(part) for part in wanted], self.mono, lambda _: [origin])
        answer = Answer(id=sample.id, question=sample.question, origin=origin, caption="")
        for part, messages in zip(wanted, view.messages, strict=True):
            start = time.perf_counter()
            said = yield from self._tell(part, messages)
            answer = saying(answer, part, said, time.perf_counter() - start)
        endpoint = None if wanted == ALONE else reasoner or self.reasoner
        if wanted == ALONE:
            answer = _by_itself(answer)
        elif endpoint is not None and answer.asked:
            pieces: list[str] = []
            yield "reasoner", ""
            start = time.perf_counter()
            try:
                for piece in _pieces(endpoint, self._conversation(answer)):
                    pieces.append(piece)
                    yield "reasoner", piece
                reply: Reply | Exception = Reply("".join(pieces), seconds=time.perf_counter() - start)
            except (EndpointError, BudgetError) as error:
                reply = error
            answer = _reasoned(answer, reply, endpoint.name)
            answer.finished.pop("reasoner", None)  # pieces do not say why they end
        elif endpoint is not None:
            answer = _reasoned(answer, EMPTY, endpoint.name)
        yield answer

    def style(self, part: Part) -> Any:
        """How a sample becomes the messages that ask for a part."""
        return self.prompts.style(part, label_sources=self.label_sources)

    def require_text(self, sample: Sample) -> None:
        """Refuse (``DataError``) a question that is blank, stands for a picture or steers the model."""
        if problems := question_problems(sample, self._marks):
            raise DataError(problems[0])

    def _conversation(self, answer: Answer) -> Messages:
        return self.prompts.messages(answer.question, answer.caption, answer.tentative)

    def _generate(self, messages: Sequence[Messages], **watchers: Any) -> list[Said]:
        with self._one_at_a_time, for_inference(self.model, self.processor):
            return generate(self.model, self.processor, messages, self._settings, **watchers)

    def _tell(self, stage: Stage, messages: Messages) -> Generator[tuple[Stage, str], None, Said]:
        """Pieces of a completion as they come; returns the whole."""
        came: queue.Queue[str | list[Said] | BaseException] = queue.Queue()
        left = threading.Event()
        tokenizer = self.processor.tokenizer

        def work() -> None:
            try:
                streamer = PieceStreamer(lambda ids: tokenizer.decode(ids, skip_special_tokens=True), came.put)
                stop = StoppingCriteriaList([lambda ids, _: torch.tensor([left.is_set()], device=ids.device)])
                with self._one_at_a_time:
                    if not left.is_set():  # while another answer had its turn
                        came.put(self._generate([messages], streamer=streamer, stopping_criteria=stop))
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                came.put(error)

        worker = threading.Thread(target=work, name="vantage-extractor", daemon=True)
        worker.start()
        item: str | list[Said] | BaseException = ""
        try:
            while isinstance(item, str):
                yield stage, item
                try:
                    item = came.get(timeout=BEAT)
                except queue.Empty:
                    item = ""
        finally:
            left.set()
            worker.join(LEAVING)
        if isinstance(item, BaseException):
            raise item
        return item[0]


EMPTY = EndpointError("the caption is empty, so there was nothing to reason from")


def _checked(parts: Sequence[Part]) -> tuple[Part, ...]:
    if tuple(parts) not in (CAPTION, BOTH, ALONE):
        raise ConfigError(f"parts are {CAPTION}, {BOTH} or {ALONE}, not {parts!r}")
    return tuple(parts)


def saying(answer: Answer, part: Part, said: Said, seconds: float) -> Answer:
    """The answer with what the extractor said as one of its parts."""
    text = said.text.strip()
    answer = replace(answer, caption=text) if part == "caption" else replace(answer, tentative=text)
    return replace(
        answer,
        finished={**answer.finished, part: said.finished},
        tokens={**answer.tokens, part: said.tokens},
        seconds={**answer.seconds, part: seconds},
    )


def _by_itself(answer: Answer) -> Answer:
    return replace(answer, final=final_answer(answer.tentative or ""))


def _reasoned(answer: Answer, reply: Reply | Exception, name: str) -> Answer:
    if isinstance(reply, Exception):
        return replace(answer, reasoner=name, reasoning=None, final=None, error=str(reply))
    tokens = {**answer.tokens, "reasoner": reply.completion_tokens} if reply.completion_tokens else answer.tokens
    return replace(
        answer,
        reasoner=name,
        reasoning=reply.text,
        final=final_answer(reply.text),
        finished={**answer.finished, "reasoner": reply.finished},
        tokens=tokens,
        seconds={**answer.seconds, "reasoner": reply.seconds},
        error="",
    )


def _replies(
    endpoint: Endpoint, conversations: list[Messages], progress: Callable[[int, int], None] | None
) -> list[Reply | Exception]:
    """What came, in order; a spent budget leaves what came before it."""
    try:
        return list(endpoint.ask_many_sync(conversations, progress=progress))
    except BudgetError as error:
        replies = error.replies or (None,) * len(conversations)
        return [error if reply is None else reply for reply in replies]  # type: ignore[misc]  # objects are replies


def _pieces(endpoint: Endpoint, messages: Messages) -> Iterator[str]:
    """An endpoint's pieces in plain code, also where an event loop runs; an empty one after each silent ``BEAT``."""
    pieces = endpoint.stream(messages)
    waiting: asyncio.Future[str | None] | None = None

    async def one() -> str | None:
        nonlocal waiting
        waiting = waiting or asyncio.ensure_future(anext(pieces, None))
        done, _ = await asyncio.wait([waiting], timeout=BEAT)
        if not done:
            return ""
        came, waiting = waiting, None
        return came.result()

    async def close() -> None:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        if hasattr(pieces, "aclose"):
            await pieces.aclose()

    try:
        while (piece := loop.run_sync(one())) is not None:
            yield piece
    finally:
        loop.run_sync(close())

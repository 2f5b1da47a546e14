"""What goes to a model and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vantage.endpoints.messages import Message
from vantage.errors import EndpointError

Conversation = Sequence[Mapping[str, Any]]
Emit = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said.

    Attributes:
        text: the reply.
        finished: whether it ended by itself; ``False`` where the length limit cut it.
        prompt_tokens, completion_tokens: as the server counted them; 0 where it did not.
        model: the model's name as the server gives it.
        cached: whether it cost nothing: from the cache, or shared with an equal request under way.
        seconds: from asking to having it, waiting included.
        logprobs: text and log-probability of every token; ``None`` where they were not asked for (``extra`` with
            ``logprobs: true``), did not come, or the reply was streamed.
    """

    text: str
    finished: bool = True
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model: str = ""
    cached: bool = False
    seconds: float = 0.0
    logprobs: tuple[tuple[str, float], ...] | None = None

    def __post_init__(self) -> None:
        if self.logprobs is not None:  # a file of replies gives lists
            object.__setattr__(self, "logprobs", tuple((text, value) for text, value in self.logprobs))


@dataclass(frozen=True, slots=True)
class Stats:
    """What an endpoint did so far.

    Attributes:
        calls: requests sent, retries included.
        cached: replies that cost nothing.
        retries: tries after the first.
        failures: questions without a reply.
        prompt_tokens, completion_tokens: as servers counted them; of requests whose fate is unknown, the most that
            they can have been.
        cost: money, where prices are given.
        seconds: of requests, added up over those under way at once.
    """

    calls: int = 0
    cached: int = 0
    retries: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0


class Refusal(EndpointError):
    """The server answered, and will not serve this question: asking again is no use.

    Attributes:
        charged: whether it may have charged for its answer all the same.
    """

    charged: bool = False


class Again(Exception):
    """A try that failed and may be repeated.

    Args:
        error: what came.
        wait: seconds that the server asked for.
        charged: whether the server may have answered, and charged for it.
        reached: whether there was a server at all.
    """

    def __init__(self, error: str, wait: float | None = None, charged: bool = False, reached: bool = True) -> None:
        super().__init__(error)
        self.error, self.wait, self.charged, self.reached = error, wait, charged, reached


@dataclass(frozen=True, slots=True)
class Request:
    """One question as it is put.

    Attributes:
        messages: prepared.
        key: hash of everything that decides the reply.
        seed: of a sampled reply; ``None`` where there is none.
        longest: tokens of the reply, at most.
    """

    messages: list[Message] = field(repr=False)
    key: str
    seed: int | None
    longest: int

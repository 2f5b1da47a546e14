"""What a guest is: a model beside the policy, whose answers join a group (Vision-EKIPL, arXiv 2506.06856)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from vantage.errors import ConfigError
from vantage.samples import PromptStyle, Sample

LogProbs = tuple[tuple[str, float], ...]
"""The text of every token and its log-probability, in order."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a guest said.

    Attributes:
        text: the answer; from outside, so anything may stand in it.
        model: the guest's name.
        logprobs: of the distribution that the answer was drawn from; ``None`` where they are not known.
        tokens: how many, as the guest counts; ``None`` where it does not.
        cost: money, in the currency of its prices; ``None`` where there are no prices.
        seconds: from asking to having it.
        finished: false where a limit on its length cut it off.
    """

    text: str
    model: str
    logprobs: LogProbs | None = None
    tokens: int | None = None
    cost: float | None = None
    seconds: float = 0.0
    finished: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a place in a group stays empty.

    Attributes:
        reason: a word, and after a colon what it was exactly: ``late``, ``failed: ...``, ``budget: ...``, ``cut: ...``,
            or what ``vantage.guests.tokens`` finds.
    """

    reason: str

    @property
    def kind(self) -> str:
        """The word alone, under which refusals are counted."""
        return self.reason.partition(":")[0]


class Guest(ABC):
    """A model, or what stands in its place, that answers the policy's questions.

    Args:
        name: in origins (``guest:<name>``), logs and files.
        n: answers to a question.

    Attributes:
        needs_group: whether it could answer only once the policy has; nothing asks such a guest yet.
        gives_logprobs: whether its answers may carry log-probabilities.
        may_rest: whether it is left alone for a while where it gives nothing; see ``vantage.guests.rest``.

    Raises:
        ConfigError: no name, or fewer than one answer.
    """

    needs_group: bool = False
    gives_logprobs: bool = True
    may_rest: bool = True

    def __init__(self, name: str, n: int = 1) -> None:
        if not name.strip():
            raise ConfigError("a guest needs a name, under which its answers are logged")
        if n < 1:
            raise ConfigError(f"guest {name!r}: n is at least 1, not {n}")
        self.name, self.n = name, n

    @abstractmethod
    async def ask(self, sample: Sample, style: PromptStyle, turn: int) -> Sequence[Utterance | Exception]:
        """Its answers to one question, on the event loop of the endpoints, which must not be held up.

        Args:
            sample: the question and its pictures.
            style: how the policy is asked.
            turn: which of a guest's answers are wanted; in training, how often the data was gone through before. The
                same turn gives the same answers, as far as the guest can.

        Returns:
            ``n`` entries; a failure is a value in its place.
        """

    def check(self, samples: Sequence[Sample]) -> None:
        """Find out whether it can answer questions like these, before work that depends on it.

        Args:
            samples: all that it may be asked about; one that is drawn or decoded when it is looked at costs its time.

        Raises:
            VantageError: it cannot; says why.
        """

    def trouble(self) -> str | None:
        """What went wrong last and has been tried again since; ``None`` where nothing did, or nobody knows."""
        return None

    def close(self) -> None:
        """Stop what is under way and let go of what it holds."""

    def numbers(self, turn: int) -> range:
        """Numbers of the answers of a turn among all its answers to a question: ``turn * n`` and so on."""
        return range(turn * self.n, (turn + 1) * self.n)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, n={self.n})"


_BENT = {"top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "logit_bias"}
"""Fields of a request that change what is drawn from."""


def draws_as_it_tells(temperature: float, top_p: float, extra: Collection[str] = ()) -> None:
    """Refuse log-probabilities of another distribution than the one that is drawn from.

    Args:
        temperature: of what is drawn.
        top_p: likewise.
        extra: names of further fields of a request.

    Raises:
        ConfigError: names what bends the distribution.
    """
    named = {"temperature": temperature, "top_p": top_p}
    bent = [f"{key} {value:g}" for key, value in named.items() if value != 1] + sorted(_BENT & set(extra))
    if bent:
        raise ConfigError(
            f"logprobs are those of the model itself, at temperature 1 and top_p 1; with {', '.join(bent)} it "
            "draws from another distribution"
        )


def as_values(found: Iterable[Utterance | BaseException]) -> list[Utterance | Exception]:
    """What ``asyncio.gather`` returns with its exceptions: failures stay values, but a task's end is no failure."""
    values: list[Utterance | Exception] = []
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, Exception):
            raise one
        values.append(one)
    return values

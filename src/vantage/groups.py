"""Groups: everything said about one sample in one step, each member with its origin.

A group is what every method works on: GRPO normalises over its ``fused`` members, MARS over ``fused`` and
``mono:<source>``, and completions of external models join as ``guest:<model>``. Evaluations ask of some sources, too:
``subset:<source>+<source>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vantage.errors import ConfigError

if TYPE_CHECKING:
    from vantage.rewards.base import Score
    from vantage.samples import Sample

Kind = Literal["fused", "mono", "guest", "subset"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who said it: the policy from all sources, from one or from some of them, or another model.

    Args:
        kind: ``fused``, ``mono``, ``guest`` or ``subset``.
        name: the source of a ``mono`` member, the model of a ``guest``, the sources of a ``subset`` as ``subset``
            writes them; empty for ``fused``.

    Raises:
        ConfigError: a kind that does not exist, or a name where none belongs (or none where one does).
    """

    kind: Kind = "fused"
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("fused", "mono", "guest", "subset"):
            raise ConfigError(
                "an origin is 'fused', 'mono:<source>', 'guest:<model>' or 'subset:<source>+<source>', not "
                f"{self.kind!r}"
            )
        if (self.kind == "fused") != (self.name == ""):
            raise ConfigError(
                f"origin {self.kind!r} with name {self.name!r}: 'fused' carries no name, the others need one"
            )
        names = set(self.sources)
        if self.kind == "subset" and (len(names) < 2 or "" in names or len(names) < len(self.sources)):
            raise ConfigError(f"origin 'subset' with name {self.name!r}: it needs two different sources or more")

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Read ``fused``, ``mono:<source>`` and the others, as ``str(origin)`` writes them."""
        kind, _, name = text.partition(":")
        return cls(kind, name)  # type: ignore[arg-type]  # checked in __post_init__

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that a ``mono`` or a ``subset`` member sees; empty for the others, which see all."""
        if self.kind == "subset":
            return tuple(name.replace("%2B", "+").replace("%25", "%") for name in self.name.split("+"))
        return (self.name,) if self.kind == "mono" else ()

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


FUSED = Origin()


def mono(source: str) -> Origin:
    """Origin of an answer that the policy gives from ``source`` alone."""
    return Origin("mono", source)


def subset(sources: Iterable[str]) -> Origin:
    """Origin of an answer that the policy gives from several sources, but not all.

    Raises:
        ConfigError: fewer than two, or one twice.
    """
    return Origin("subset", "+".join(name.replace("%", "%25").replace("+", "%2B") for name in sources))


def guest(model: str) -> Origin:
    """Origin of an answer that another model gives."""
    return Origin("guest", model)


@dataclass(slots=True)
class Member:
    """One completion of a group.

    Attributes:
        origin: who said it.
        text: the completion, decoded without special tokens.
        token_ids: its tokens, end-of-sequence token included; empty where only text is known.
        score: what the verifier made of it; ``None`` until scored.
        reward: what the method normalises: the score and every other term; ``None`` where unscored.
        advantage: what the method made of the score; ``None`` until judged.
        trained: whether the update learns from it.
        logprobs: log-probs of its tokens under who said it and from the prompt it was said to, where a ratio weighs by
            them: those of a guest, and of a transferred anchor, which the policy said to one source.
        refused: why there is nothing to learn from: a guest's answer came late, failed, or is nothing that the policy's
            tokens can say; or what was to be placed for an anchor is. Empty elsewhere.
        placed: the text that is learned in its place, in controls of anchor transfer; empty elsewhere.
    """

    origin: Origin
    text: str
    token_ids: list[int] = field(default_factory=list)
    score: Score | None = None
    reward: float | None = None
    advantage: float | None = None
    trained: bool = False
    logprobs: list[float] | None = None
    refused: str = ""
    placed: str = ""


@dataclass(slots=True)
class Group:
    """A sample and everything said about it in one step."""

    sample: Sample
    members: list[Member] = field(default_factory=list)

    def of(self, kind: Kind) -> Iterator[Member]:
        """Members of one kind, in the order in which they were added."""
        return (member for member in self.members if member.origin.kind == kind)

    def record(self) -> Mapping[str, object]:
        """What a log keeps of this group: plain JSON values, pictures by reference."""
        return {
            "id": self.sample.id,
            "question": self.sample.question,
            "truth": self.sample.truth,
            "reward": self.sample.reward,
            "pictures": {name: source.ref for name, source in self.sample.sources.items()},
            "metadata": dict(self.sample.metadata),
            "members": [
                {
                    "origin": str(member.origin),
                    "text": member.text,
                    **({} if member.score is None else member.score.record()),
                    "reward": member.reward,
                    "advantage": member.advantage,
                    "trained": member.trained,
                    **{key: value for key in ("refused", "placed") if (value := getattr(member, key))},
                }
                for member in self.members
            ],
        }

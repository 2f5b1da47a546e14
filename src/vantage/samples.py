"""Samples, their named sources, and the views through which a model sees them.

A sample is a question about one scene, the *named* pictures of that scene in order, the truth, and the name of the
reward that checks an answer. A view says which source each picture slot of the prompt shows:

- ``fused``: every slot its own source;
- ``mono(source)``: every slot shows that one source, so that the prompt's text and length do not change (MARS,
  arXiv 2605.25437), or, with ``drop``, only that source's slot remains;
- ``subset``: the slots of some sources their own, the others one of these in turn, or, with ``drop``, none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Literal, overload

from PIL import Image

from vantage.errors import DataError, PictureError
from vantage.groups import FUSED, Origin
from vantage.pictures import Source

MonoView = Literal["fill", "drop"]
"""How a single source is shown: ``fill`` puts it in every slot (the paper's way), ``drop`` keeps its slot only."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A question whose answer can be checked, and the pictures that it is about.

    Args:
        id: unique in its data set; errors and logs name the row by it.
        question: what is asked, without picture placeholders.
        sources: name to picture, in the order in which the prompt shows them; at least one.
        truth: what the reward compares with; its form is the reward's to define.
        reward: name of the reward (see ``vantage.rewards``).
        metadata: anything else worth keeping; plain JSON values.

    Raises:
        DataError: no source, or a source without a name.
    """

    id: str
    question: str
    sources: Mapping[str, Source]
    truth: Any
    reward: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sources:
            raise DataError(f"row {self.id!r}: a sample needs at least one source, none given")
        for name in self.sources:
            if not isinstance(name, str) or not name.strip():
                raise DataError(f"row {self.id!r}: a source needs a name, got {name!r}")
        wrapped = {n: s if isinstance(s, Source) else Source(s) for n, s in self.sources.items()}
        object.__setattr__(self, "sources", wrapped)

    def picture(self, name: str) -> Image.Image:
        """The decoded picture of a source.

        Raises:
            DataError: the row has no such source.
            PictureError: it cannot be decoded; names the row and the source.
        """
        try:
            return self.source(name).load()
        except PictureError as error:
            raise PictureError(f"row {self.id!r}, source {name!r}: {error}") from error

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises:
            DataError: the row has no such source.
        """
        if name not in self.sources:
            raise DataError(f"row {self.id!r} has no source {name!r}; it has {', '.join(self.sources)}")
        return self.sources[name]


class MappedSamples(Sequence[Sample]):
    """A view of samples that changes each one when it is taken; nothing is drawn or read before.

    Args:
        samples: what is viewed.
        change: makes of a sample what the view shows.
    """

    def __init__(self, samples: Sequence[Sample], change: Callable[[Sample], Sample]) -> None:
        self._samples, self._change = samples, change

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return MappedSamples(self._samples[index], self._change)
        return self._change(self._samples[index])


@dataclass(frozen=True, slots=True)
class Slot:
    """One picture slot of a prompt: the label written beside it, and the source that it shows."""

    label: str
    source: str


def view(sample: Sample, origin: Origin = FUSED, mono: MonoView = "fill") -> tuple[Slot, ...]:
    """The picture slots of a sample's prompt as a member of that origin sees them.

    A guest sees what a fused member sees. Labels stay those of the fused prompt under ``fill``.

    Raises:
        DataError: the origin names a source that the row does not have.
    """
    shown = origin.sources
    if not shown:
        return tuple(Slot(name, name) for name in sample.sources)
    for name in shown:
        sample.source(name)
    if mono == "drop":
        return tuple(Slot(name, name) for name in sample.sources if name in shown)
    others = cycle(shown)
    return tuple(Slot(name, name if name in shown else next(others)) for name in sample.sources)


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """How a sample becomes chat messages.

    Args:
        system: system message; none where empty.
        label_sources: write each source's name before its picture.
        instruction: text after the question, for example how the answer must be laid out.
    """

    system: str = ""
    label_sources: bool = False
    instruction: str = ""

    def messages(
        self,
        sample: Sample,
        origin: Origin = FUSED,
        mono: MonoView = "fill",
        pictures: Mapping[str, Image.Image] | None = None,
    ) -> list[dict[str, Any]]:
        """Chat messages with the pictures in their slots, ready for a processor's chat template.

        Args:
            sample: what is asked.
            origin: as whom; see ``view``.
            mono: how a single source is shown; see ``view``.
            pictures: already decoded pictures by source name; decoded here where missing.
        """
        content: list[dict[str, Any]] = []
        for slot in view(sample, origin, mono):
            if self.label_sources:
                content.append({"type": "text", "text": slot.label})
            known = pictures.get(slot.source) if pictures else None
            loaded = sample.picture(slot.source) if known is None else known
            content.append({"type": "image", "image": loaded})
        question = f"{sample.question}\n{self.instruction}" if self.instruction else sample.question
        content.append({"type": "text", "text": question})
        system = [{"role": "system", "content": [{"type": "text", "text": self.system}]}] if self.system else []
        return [*system, {"role": "user", "content": content}]

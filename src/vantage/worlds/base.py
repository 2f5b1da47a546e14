"""A world draws scenes of several sources with questions whose answers are known.

A scene is a pure function of its id, ``<world>/<split>/<mix>/<seed>/<index>``: the id seeds its dice, so that train and
test can never meet, order of access does not matter, and any sample can be drawn again from its id alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, overload

import numpy as np
from PIL import Image

from vantage.errors import ConfigError
from vantage.pictures import Source
from vantage.samples import Sample
from vantage.worlds.dice import Dice

SPLITS = ("train", "test")
CACHED_SCENES = 4096
"""Scenes that one data set keeps in memory, about 25 kB each; the least recently used leave first."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a world draws: pictures, a question about them, and all that is known of the answer.

    Attributes:
        question: natural English.
        pictures: source name to pixels, uint8, (height, width) or (height, width, 3); all of the world's sources, or
            some of them.
        truth: what the reward compares with.
        reward: the reward that checks an answer.
        condition: what is special about the scene, for example ``night``.
        reasoning: the chain of evidence that leads to the answer, as the gold completion writes it.
        enough: sources that show all the question needs and nothing false, so that each of them alone is enough.
        objects: what stands where, one plain JSON mapping each: at least its ``kind`` and ``cell``, and, where pictures
            show different things, the name of its ``source``.
        frame: coordinate frame of a box truth; empty where the truth is no box.
    """

    question: str
    pictures: Mapping[str, np.ndarray]
    truth: Any
    reward: str
    condition: str
    reasoning: str
    enough: tuple[str, ...]
    objects: tuple[Mapping[str, Any], ...]
    frame: str = ""


class World(ABC):
    """A family of scenes.

    Attributes:
        name: how recipes name it.
        about: one sentence for listings.
        sources: names of the sources, in the order in which a prompt shows them; a scene may lack some of them.
        tasks: kinds of question; the sample of index i has kind ``tasks[i % len(tasks)]``.
        mixes: difficulty mixes; for each, the probabilities from which its scenes are drawn.
        kinds: kinds of its objects, beside those that models are taught to tell apart in any case
            (``vantage.tiny.lessons.KINDS``).
    """

    name: ClassVar[str]
    about: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]
    tasks: ClassVar[tuple[str, ...]]
    mixes: ClassVar[Mapping[str, Mapping[str, float]]]
    kinds: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def draw(self, dice: Dice, task: str, mix: str, turn: int) -> Scene:
        """Draw one scene.

        Args:
            dice: the only source of chance.
            task: one of ``tasks``.
            mix: one of ``mixes``.
            turn: how many scenes of this task come before; answers take turns, so that they are balanced exactly.
        """

    def dataset(
        self,
        split: str = "train",
        n: int = 1000,
        mix: str = "hard",
        seed: int = 0,
        tasks: Sequence[str] | None = None,
    ) -> WorldDataset:
        """The first ``n`` samples of a split, drawn when they are asked for.

        Args:
            split: ``train`` or ``test``; no scene is in both.
            n: number of samples.
            mix: difficulty mix, one of ``mixes``.
            seed: another seed gives other scenes.
            tasks: only these kinds of question; a sample keeps its id and its pictures whatever else is left out.

        Raises:
            ConfigError: a split, mix, task or size that this world does not have.
        """
        return WorldDataset(self, split=split, n=n, mix=mix, seed=seed, tasks=tasks)

    def sample(self, split: str, mix: str, seed: int, index: int) -> Sample:
        """Draw one sample; see ``dataset`` for the arguments."""
        self._check(split, mix)
        turn, place = divmod(index, len(self.tasks))
        task, name = self.tasks[place], f"{self.name}/{split}/{mix}/{seed}/{index}"
        scene = self.draw(Dice(name), task, mix, turn)
        metadata = {
            "world": self.name,
            "task": task,
            "condition": scene.condition,
            "mix": mix,
            "reasoning": scene.reasoning,
            "enough": list(scene.enough),
            "objects": [dict(thing) for thing in scene.objects],
        }
        if scene.frame:
            metadata["frame"] = scene.frame
        return Sample(
            id=name,
            question=scene.question,
            sources={
                source: Source(Image.fromarray(scene.pictures[source]), ref=f"world:{name}#{source}")
                for source in self.sources
                if source in scene.pictures
            },
            truth=scene.truth,
            reward=scene.reward,
            metadata=metadata,
        )

    def credulous(self, sample: Sample) -> Sample | None:
        """The sample as one would answer it who believes every picture, deceptions too.

        Its truth and chain of evidence are then wrong on purpose; ``None`` where nothing deceives, or where this world
        has no such answer. A model that was partly taught by it knows what it sees but not yet what to trust.
        """
        return None

    def _check(self, split: str, mix: str) -> None:
        if split not in SPLITS:
            raise ConfigError(f"world {self.name!r}: split is {' or '.join(SPLITS)}, not {split!r}")
        if mix not in self.mixes:
            raise ConfigError(f"world {self.name!r} has no mix {mix!r}; it has {', '.join(self.mixes)}")


@dataclass(slots=True)
class _Cache:
    """Scenes already drawn, least recently used first."""

    capacity: int
    kept: OrderedDict[int, Sample] = field(default_factory=OrderedDict)

    def get(self, index: int) -> Sample | None:
        found = self.kept.get(index)
        if found is not None:
            with suppress(KeyError):  # another thread may have let it go in between
                self.kept.move_to_end(index)
        return found

    def put(self, index: int, sample: Sample) -> None:
        self.kept[index] = sample
        while len(self.kept) > self.capacity:
            self.kept.popitem(last=False)


class WorldDataset(Sequence[Sample]):
    """Samples of one world, drawn lazily and kept in a bounded cache.

    Slicing gives another data set, without drawing anything.

    Raises:
        ConfigError: a split, mix, task or size that the world does not have.
    """

    def __init__(
        self,
        world: World,
        *,
        split: str = "train",
        n: int = 1000,
        mix: str = "hard",
        seed: int = 0,
        tasks: Sequence[str] | None = None,
        cached: int = CACHED_SCENES,
    ) -> None:
        world._check(split, mix)
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ConfigError(f"world {world.name!r}: n is a whole number of samples, at least 1, not {n!r}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ConfigError(f"world {world.name!r}: seed is a whole number, not {seed!r}")
        wanted = (tasks,) if isinstance(tasks, str) else world.tasks if tasks is None else tuple(tasks)
        unknown = [task for task in wanted if task not in world.tasks]
        if unknown or not wanted:
            raise ConfigError(
                f"world {world.name!r} has no task {', '.join(map(repr, unknown)) or '(none given)'}; "
                f"it has {', '.join(world.tasks)}"
            )
        self.world, self.split, self.mix, self.seed = world, split, mix, seed
        self._places = tuple(i for i, task in enumerate(world.tasks) if task in wanted)
        self._range = range(n)
        self._cache = _Cache(cached)

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, item: int) -> Sample: ...
    @overload
    def __getitem__(self, item: slice) -> WorldDataset: ...

    def __getitem__(self, item: int | slice) -> Sample | WorldDataset:
        if isinstance(item, slice):
            part = object.__new__(WorldDataset)
            part.__dict__.update(self.__dict__)
            part._range = self._range[item]
            return part
        turn, place = divmod(self._range[item], len(self._places))
        index = turn * len(self.world.tasks) + self._places[place]
        sample = self._cache.get(index)
        if sample is None:
            sample = self.world.sample(self.split, self.mix, self.seed, index)
            self._cache.put(index, sample)
        return sample

    def __iter__(self) -> Iterator[Sample]:
        # Not by index until an IndexError, which a fault inside a world would be taken for.
        return (self[place] for place in range(len(self)))

    def __repr__(self) -> str:
        return f"WorldDataset({self.world.name}/{self.split}/{self.mix}/{self.seed}, {len(self)} samples)"


def answer_text(truth: Any) -> str:
    """A truth as an answer writes it: a box as its numbers with spaces between."""
    return " ".join(map(str, truth)) if isinstance(truth, (list, tuple)) else str(truth)


def gold(sample: Sample) -> str:
    """The completion that a perfect, well-behaved model would give; at most 14 words.

    Raises:
        ConfigError: the sample was not drawn by a world and carries no chain of evidence.
    """
    if "reasoning" not in sample.metadata:
        raise ConfigError(f"row {sample.id!r} has no metadata 'reasoning'; only samples drawn by a world carry it")
    return f"<think> {sample.metadata['reasoning']} </think> <answer> {answer_text(sample.truth)} </answer>"

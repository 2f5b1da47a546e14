"""What the tiny model is taught from: drawn samples as tensors, with the very prompts that a processor makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import torch
from transformers import LlavaProcessor

from vantage import worlds
from vantage.groups import FUSED, mono
from vantage.samples import PromptStyle, Sample, view
from vantage.tiny.architecture import PATCHES
from vantage.tiny.vocabulary import EOS, IMAGE, PAD, WORDS
from vantage.worlds import World
from vantage.worlds.canvas import CELLS

STYLE = PromptStyle(label_sources=True)
"""How the shipped model expects to be asked: each source's name before its picture, then the question."""

DRILL_STYLE = PromptStyle(label_sources=True, instruction="")
"""How a drill is asked for, in a lesson alone."""

CAPTION_STYLE = PromptStyle(label_sources=True, instruction="Describe.")
"""How the shipped captioner is asked for a caption; asked as ``STYLE`` does, it answers."""

_SHAPES = ("circle", "square", "triangle", "cross")
KINDS = ("nothing", "person", "poster", "lamp", "bush", *_SHAPES, *(f"glass {shape}" for shape in _SHAPES))
"""Kinds that every model is asked to tell apart in the cells; a world may name further ones, ``World.kinds``."""
LEVELS = 7
"""Levels of distance, 1 to 6; 0 where an object has none."""
MOST_SOURCES = 8
"""Most sources of a scene that is taught."""
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Lesson:
    """A sample, ready for batches.

    Attributes:
        prompt: token ids.
        completion: token ids of the gold completion, end-of-sequence token included.
        pixels: every source's picture; uint8 (S, 3, 64, 64).
        views: the fused view, then that of every source alone: which source each slot shows.
        enough: which of the views show enough to answer.
        credulous: whether the completion is that of one who believes every picture; then only the fused view fits it.
        kinds, levels: what every source shows in every cell, indices into the teacher's kinds and levels; (S, 16).
        differ: whether the sources show different things, rather than the same scene each in its way.
        sources: their names.
        drill: token ids of the prompt that asks for a drill upon the same pictures.
        learned: which tokens of the completion are learned; all of them unless given.
    """

    prompt: list[int]
    completion: list[int]
    pixels: np.ndarray
    views: tuple[tuple[int, ...], ...]
    enough: tuple[int, ...]
    kinds: np.ndarray
    levels: np.ndarray
    credulous: bool = False
    differ: bool = False
    sources: tuple[str, ...] = ()
    drill: list[int] = field(default_factory=list)
    learned: tuple[bool, ...] = ()


def kinds_of(scenes: Sequence[str]) -> tuple[str, ...]:
    """``KINDS``, then the further kinds of these worlds and mixes (``cameras/hard``)."""
    further = (worlds.get(scene.partition("/")[0]).kinds for scene in scenes)
    return tuple(dict.fromkeys((*KINDS, *chain.from_iterable(further))))


class Teacher:
    """Turns samples into lessons; prompts come from the processor, once for every distinct question.

    Args:
        processor: of the model that is taught.
        scenes: worlds, with or without a mix, whose samples are taught.

    Attributes:
        kinds: what can stand in a cell, in the order of the lessons' indices.
    """

    def __init__(self, processor: LlavaProcessor, scenes: Sequence[str] = worlds.NAMES) -> None:
        self.kinds = kinds_of(scenes)
        self._processor = processor
        self._prompts: dict[tuple[str, ...], list[int]] = {}

    def prompt(self, sample: Sample, style: PromptStyle = STYLE) -> list[int]:
        """Prompt ids exactly as ``apply_chat_template`` gives them; they do not depend on the pixels."""
        key = (style.instruction, sample.question, *sample.sources)
        if key not in self._prompts:
            text = self._processor.apply_chat_template(style.messages(sample), add_generation_prompt=True)
            # What the processor does to a text once it has read the pictures, without reading them.
            text = text.replace(IMAGE, " ".join([IMAGE] * PATCHES))
            self._prompts[key] = self._processor.tokenizer(text).input_ids
        return self._prompts[key]

    def completion(self, text: str) -> list[int]:
        """Token ids of a completion, end-of-sequence token included."""
        return [*self._processor.tokenizer(text).input_ids, WORDS.index(EOS)]

    def lesson(self, sample: Sample, credulous: bool = False) -> Lesson:
        """A sample with its gold completion and what stands in its cells, from its metadata.

        Args:
            sample: drawn by a world.
            credulous: answer it as one who believes every picture, where something in it deceives.
        """
        fooled = worlds.get(sample.metadata["world"]).credulous(sample) if credulous else None
        order = list(sample.sources)
        pixels = np.stack([np.asarray(source.load()).transpose(2, 0, 1) for source in sample.sources.values()])
        origins = [FUSED, *(mono(name) for name in sample.sources)]
        enough = (0, *(i for i, name in enumerate(sample.sources, 1) if name in sample.metadata["enough"]))
        things = sample.metadata["objects"]
        kinds, levels = np.zeros((2, len(order), len(CELLS)), np.int64)
        for thing in things:
            shown = [order.index(thing["source"])] if "source" in thing else slice(None)
            place = CELLS.index(thing["cell"])
            kind = " ".join((*(mark for mark in ("glass", "struck") if thing.get(mark)), thing["kind"]))
            kinds[shown, place], levels[shown, place] = self.kinds.index(kind), thing.get("level", 0)
        return Lesson(
            prompt=self.prompt(sample),
            completion=self.completion(worlds.gold(fooled or sample)),
            pixels=pixels,
            views=tuple(tuple(order.index(slot.source) for slot in view(sample, origin)) for origin in origins),
            enough=enough,
            kinds=kinds,
            levels=levels,
            credulous=fooled is not None,
            differ=any("source" in thing for thing in things),
            sources=tuple(order),
            drill=self.prompt(replace(sample, question="Describe"), DRILL_STYLE),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Lessons side by side, padded on the right (causal attention never looks there).

    Attributes:
        ids: prompt and completion; (B, T).
        targets: the next token where it belongs to a completion, else ``IGNORED``; (B, T).
        pixels: float32 in [-1, 1]; (all pictures of the batch, 3, 64, 64).
        kinds, levels: what each picture shows in each cell; (all pictures of the batch, 16).
        asked: which pictures the second stage asks about: the last of each lesson, or all where they differ; bool (all
            pictures of the batch,).
        slots: which of its lesson's slots each picture stands in; (all pictures of the batch,).
        earlier: what the picture before shows in each cell, ``IGNORED`` of a first one; (all pictures of the batch,
            16).
    """

    ids: torch.Tensor
    targets: torch.Tensor
    pixels: torch.Tensor
    kinds: torch.Tensor
    levels: torch.Tensor
    asked: torch.Tensor
    slots: torch.Tensor
    earlier: torch.Tensor


def normalise(pixels: np.ndarray) -> torch.Tensor:
    """Grey levels 0..255 to [-1, 1], in the order of operations of the image processor."""
    return torch.from_numpy((pixels.astype(np.float32) / 255 - 0.5) / 0.5)


def collate(lessons: Sequence[Lesson], views: Sequence[int]) -> Batch:
    """A batch that shows each lesson in the view of that index."""
    longest = max(len(lesson.prompt) + len(lesson.completion) for lesson in lessons)
    ids = torch.full((len(lessons), longest), WORDS.index(PAD))
    targets = torch.full((len(lessons), longest), IGNORED)
    for row, lesson in enumerate(lessons):
        start, whole = len(lesson.prompt), torch.tensor(lesson.prompt + lesson.completion)
        ids[row, : len(whole)] = whole
        learned = torch.tensor(lesson.learned or [True] * (len(whole) - start))
        targets[row, start - 1 : len(whole) - 1] = whole[start:].where(learned, IGNORED)
    shown = [(lesson, list(lesson.views[view])) for lesson, view in zip(lessons, views, strict=True)]
    # Of one scene seen by several sources, all of it is known once the last picture has been read.
    asked = [lesson.differ or place + 1 == len(slots) for lesson, slots in shown for place in range(len(slots))]
    first = np.full((1, len(CELLS)), IGNORED)
    return Batch(
        ids=ids,
        targets=targets,
        pixels=normalise(np.concatenate([lesson.pixels[slots] for lesson, slots in shown])),
        kinds=torch.from_numpy(np.concatenate([lesson.kinds[slots] for lesson, slots in shown])),
        levels=torch.from_numpy(np.concatenate([lesson.levels[slots] for lesson, slots in shown])),
        asked=torch.tensor(asked),
        slots=torch.tensor([place for _, slots in shown for place in range(len(slots))]),
        earlier=torch.from_numpy(
            np.concatenate([part for lesson, slots in shown for part in (first, lesson.kinds[slots[:-1]])])
        ),
    )


def endless(world: World, mix: str, seed: int) -> Iterator[Sample]:
    """Training samples of a world in order, for ever, none kept."""
    index = 0
    while True:
        yield world.sample("train", mix, seed, index)
        index += 1

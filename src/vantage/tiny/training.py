"""Supervised training of the tiny model from nothing, in minutes on a processor.

Two stages: the vision tower first learns to tell what stands in each cell of a single picture, then the whole model
learns to answer. Beside the answer, the second stage asks what stands in each cell once the last picture has been read,
which teaches the model to look at the same place in both pictures; of pictures that show different things it asks as
each is read. The heads that ask are thrown away.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from vantage import worlds
from vantage.errors import ConfigError
from vantage.tiny.architecture import PATCHES, build_model, build_processor
from vantage.tiny.drills import Drills, Stage
from vantage.tiny.heads import CellHeads
from vantage.tiny.lessons import IGNORED, Batch, Lesson, Teacher, collate, endless
from vantage.tiny.vocabulary import IMAGE, WORDS

CELL_LAYER = 2
"""After which layer of the text model the cell question is asked; the layers after it can use what it taught."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands: the stage, the step out of how many, the mean loss since the last report, seconds."""

    stage: str
    step: int
    steps: int
    loss: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.stage} {self.step}/{self.steps}  loss {self.loss:.3f}  {self.seconds:.0f} s"


@dataclass(frozen=True, slots=True)
class Curriculum:
    """How much the tiny model is taught.

    Attributes:
        steps: steps of the second stage; the first takes ``sight_steps``.
        batch: lessons a step.
        fresh: scenes newly drawn a step.
        pool: scenes kept, the latest ones; a batch is chosen from them, so that a scene is drawn once and seen often.
        scenes: worlds and difficulty mixes, which take turns; naming one again gives it another turn.
        single: share of lessons shown from one source that is enough, where there is one.
        blind: share of lessons shown from any one source, enough or not, so that the model keeps its form when it
            can only guess.
        credulous: share of the scenes with a deception whose answer is that of one who believes every picture. The
            model so learns to see better than it answers: what it must still learn is which source to trust.
        cells: weight of the cell question beside the answer.
        places: weight, beside the cell question, of which cell a vector is of and, once a picture has been read, of
            which picture: what must be known before anything can be looked up.
        recall: weight, beside the cell question, of what the picture before shows in the same cell, and whether that
            differs; of use where all pictures show the same cells. Drills then ask for the cells that differ, too.
        drills: stages of the second stage in which a share of the lessons are drills.
        muon: learning rate of Muon (Jordan et al., 2024), which then moves the matrices of the second stage; AdamW
            moves them where it is 0, and all else. With Muon, looking things up is learned in fewer steps.
    """

    steps: int = 900
    sight_steps: int = 300
    batch: int = 64
    fresh: int = 32
    pool: int = 6_000
    scenes: tuple[str, ...] = ("night/balanced", "depth/balanced", "night/balanced")
    single: float = 0.25
    blind: float = 0.05
    credulous: float = 0.6
    cells: float = 0.3
    learning_rate: float = 2e-3
    places: float = 0.0
    recall: float = 0.0
    drills: tuple[Stage, ...] = ()
    muon: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.sight_steps < 0 or not 1 <= self.fresh <= self.pool:
            raise ConfigError(
                "steps must be at least 1, sight_steps at least 0 and fresh between 1 and pool; "
                f"got steps={self.steps}, sight_steps={self.sight_steps}, fresh={self.fresh}, pool={self.pool}"
            )


class Lessons:
    """A growing pool of lessons from all worlds and mixes, from which batches are drawn."""

    def __init__(self, teacher: Teacher, curriculum: Curriculum, seed: int) -> None:
        self._teacher, self._curriculum = teacher, curriculum
        named = {scene: scene.partition("/") for scene in curriculum.scenes}
        self._streams = {scene: endless(worlds.get(world), mix, seed) for scene, (world, _, mix) in named.items()}
        self._chance = torch.Generator().manual_seed(seed)
        self._drills = Drills(curriculum.drills, teacher.kinds, seed, changes=curriculum.recall > 0)
        self._pool: list[Lesson] = []
        self._drawn = 0

    def batch(self, step: int | None = None) -> Batch:
        """The next batch: draw a few fresh scenes, then choose from the pool; at a step, with that step's drills."""
        settings = self._curriculum
        for _ in range(settings.fresh if self._pool else max(settings.fresh, settings.batch)):
            sample = next(self._streams[settings.scenes[self._drawn % len(settings.scenes)]])
            place = self._drawn % settings.pool
            fooled = float(torch.rand((), generator=self._chance)) < settings.credulous
            self._pool[place : place + 1] = [self._teacher.lesson(sample, fooled)]
            self._drawn += 1
        places = torch.randint(len(self._pool), (settings.batch,), generator=self._chance).tolist()
        dice = torch.rand(settings.batch, 2, generator=self._chance).tolist()
        lessons = [self._pool[place] for place in places]
        views = [self._view(lesson, *throw) for lesson, throw in zip(lessons, dice, strict=True)]
        if step is not None:
            drills = [self._drills.drilled(lesson, step) for lesson in lessons]
            lessons = [drill or lesson for drill, lesson in zip(drills, lessons, strict=True)]
            views = [0 if drill else view for drill, view in zip(drills, views, strict=True)]
        return collate(lessons, views)

    def _view(self, lesson: Lesson, kind: float, which: float) -> int:
        """The view of a lesson that two throws in [0, 1) choose."""
        if lesson.credulous:
            return 0
        if kind < self._curriculum.blind:
            choice: tuple[int, ...] = tuple(range(1, len(lesson.views)))
        elif kind < self._curriculum.blind + self._curriculum.single:
            choice = lesson.enough[1:]
        else:
            choice = ()
        return choice[int(which * len(choice))] if choice else 0


def warm_cosine(step: int, steps: int, warmup: int = 50) -> float:
    """Learning-rate factor: linear warm-up, then a cosine from 1 to 0.05."""
    return min(1.0, (step + 1) / warmup) * (0.05 + 0.475 * (1 + math.cos(math.pi * step / steps)))


def learn(
    stage: str,
    steps: int,
    rate: float,
    parameters: list[nn.Parameter],
    loss_of: Callable[[int], torch.Tensor],
    report: Callable[[Progress], None] | None,
    matrices: Sequence[nn.Parameter] = (),
    muon: float = 0.0,
) -> None:
    """AdamW on ``loss_of``, which is given the step, for that many steps; Muon moves the ``matrices`` if there are."""
    chosen = {id(matrix) for matrix in matrices}
    rest = [parameter for parameter in parameters if id(parameter) not in chosen]
    optimisers: list[tuple[torch.optim.Optimizer, float]] = [
        (torch.optim.AdamW(rest, rate, betas=(0.9, 0.95), weight_decay=0.01), rate)
    ]
    if matrices:
        optimisers.append((torch.optim.Muon(matrices, muon, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"), muon))
    started, since, total = time.monotonic(), 0, 0.0
    for step in range(steps):
        for optimiser, highest in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = highest * warm_cosine(step, steps)
        loss = loss_of(step)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimiser, _ in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        since, total = since + 1, total + loss.item()
        if report and (since == 50 or step + 1 == steps):
            report(Progress(stage, step + 1, steps, total / since, time.monotonic() - started))
            since, total = 0, 0.0


def teach(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    curriculum: Curriculum,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
    teacher: Teacher | None = None,
) -> None:
    """Train a model in place; the teacher is one who wants answers unless given.

    Raises:
        ConfigError: the curriculum wants Muon, and this PyTorch has none.
    """
    if curriculum.muon and not hasattr(torch.optim, "Muon"):
        raise ConfigError(
            f"this curriculum moves matrices by Muon, which PyTorch has since 2.9; here is {torch.__version__}"
        )
    teacher = teacher or Teacher(processor, curriculum.scenes)
    tower, lessons = model.model.vision_tower, Lessons(teacher, curriculum, seed)
    sight = CellHeads(model.config.vision_config.hidden_size, len(teacher.kinds), curriculum.places)
    fused = CellHeads(model.config.text_config.hidden_size, len(teacher.kinds), curriculum.places, curriculum.recall)
    model.train()

    def see(step: int) -> torch.Tensor:
        batch = lessons.batch()
        cells = tower(batch.pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
        return sight(cells, batch.kinds, batch.levels)

    def answer(step: int) -> torch.Tensor:
        batch = lessons.batch(step)
        read = model.model(input_ids=batch.ids, pixel_values=batch.pixels, output_hidden_states=True)
        states, midway = read.last_hidden_state, read.hidden_states[CELL_LAYER]
        asked = batch.targets != IGNORED
        loss = F.cross_entropy(model.lm_head(states[asked]), batch.targets[asked])
        if curriculum.cells:
            # Slots of all pictures, in the order of the pictures.
            rows, places = (batch.ids == WORDS.index(IMAGE)).nonzero().reshape(-1, PATCHES, 2)[batch.asked].unbind(-1)
            loss = loss + curriculum.cells * fused(
                midway[rows, places],
                *(part[batch.asked] for part in (batch.kinds, batch.levels, batch.slots, batch.earlier)),
            )
        return loss

    rate = curriculum.learning_rate
    learn("sight", curriculum.sight_steps, rate, [*tower.parameters(), *sight.parameters()], see, report)
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    learn(
        "words", curriculum.steps, rate, [*model.parameters(), *fused.parameters()], answer, report,
        matrices if curriculum.muon else (), curriculum.muon,
    )  # fmt: skip
    model.eval()


def train(
    output: str | Path,
    curriculum: Curriculum | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = print,
) -> Path:
    """Train the tiny model from nothing and save it with its processor.

    The same seed, settings and number of torch threads give the same weights on the same machine.

    Args:
        output: folder to write; created if missing.
        curriculum: how much is taught; the shipped model's settings unless given.
        seed: of the weights, the scenes and the order of lessons.
        progress: called about every 50 steps; ``None`` for silence.

    Returns:
        The folder, which ``AutoProcessor`` and ``AutoModelForImageTextToText`` load.
    """
    return make(output, build_model, curriculum or Curriculum(), seed, progress)


def shipped() -> LlavaForConditionalGeneration:
    """The tiny model that ships with Vantage, to be taught on."""
    from vantage import tiny

    return LlavaForConditionalGeneration.from_pretrained(tiny.path())


def make(
    output: str | Path,
    start: Callable[[], LlavaForConditionalGeneration],
    curriculum: Curriculum,
    seed: int,
    progress: Callable[[Progress], None] | None,
    teacher: Callable[[LlavaProcessor], Teacher] | None = None,
) -> Path:
    """Train what ``start`` gives and save it with its processor; torch's random state outside is left alone.

    Args:
        output: folder to write; created if missing.
        start: the model before, untrained or shipped.
        curriculum: how much is taught.
        seed: of untrained weights, the scenes and the order of lessons.
        progress: called about every 50 steps; ``None`` for silence.
        teacher: makes, from the processor, the one who turns samples into lessons; one who wants answers unless given.

    Returns:
        The folder.
    """
    folder, processor = Path(output), build_processor()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = start()
        teach(model, processor, curriculum, seed, progress, teacher and teacher(processor))
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder

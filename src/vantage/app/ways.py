"""Who can be asked: an extractor with a reasoner, or a vision-language model alone."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from vantage import tiny
from vantage.captions.prompts import Part
from vantage.endpoints import Endpoint
from vantage.errors import ConfigError
from vantage.models import load_model, load_processor
from vantage.pipeline import ALONE, CAPTION, Pipeline, open_reasoner
from vantage.rewards.frames import Frame

EMBEDDED_TOKENS = 64
"""Longer than anything that an embedded model was taught to say."""

KNOWN: dict[str, dict[str, Any]] = {
    "tiny": {
        "about": "Half a million weights, taught on drawn scenes only; photographs mean nothing to it.",
    },
    "tiny-captioner": {
        "worlds": ("night-captions",),
        "about": "Taught on drawn scenes, and to leave things out: `vantage train tiny/racro` is what mends that.",
    },
    **{
        f"tiny-{world}": {
            "worlds": (world,),
            "about": f"Half taught, on drawn scenes of the world {world} only: `vantage train tiny/{world}` goes on.",
        }
        for world in ("cameras", "pages", "counting")
    },
}
"""What is known of embedded models, as settings of a way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to an answer, by the name that the page shows.

    Args:
        name: unique on a page.
        pipeline: holds the vision-language model.
        parts: what it is asked for; ``vantage.pipeline.ALONE`` where it answers by itself.
        reasoner: answers from what it writes; the pipeline's own by default.
        frame: the coordinate frame of boxes that it writes (see ``vantage.rewards.frames``); without one, boxes in
            answers to one's own pictures are not drawn, since a frame is never guessed.
        worlds: drawn worlds whose questions it may be tried on.
        about: a line that the page shows under its name.
        trouble: why it could not be asked when the page was opened; the page says so, and asking it tries again.

    Raises:
        ConfigError: a frame that does not exist, or nobody who would answer.
    """

    name: str
    pipeline: Pipeline
    parts: tuple[Part, ...] = CAPTION
    reasoner: Endpoint | None = None
    frame: str = ""
    worlds: tuple[str, ...] = ("night", "depth")
    about: str = ""
    trouble: str = ""

    def __post_init__(self) -> None:
        if self.frame:
            Frame.parse(self.frame)
        if self.parts != ALONE and self.answering is None:
            raise ConfigError(f"{self.name}: captions need a reasoner; give one, or ask with parts=ALONE")

    @property
    def answering(self) -> Endpoint | None:
        """The reasoner that is asked; ``None`` where the model answers by itself."""
        return None if self.parts == ALONE else self.reasoner or self.pipeline.reasoner

    def unknown(self, text: str) -> list[str]:
        """Words of a text that the model's tokenizer cannot represent, which happens to small vocabularies only."""
        tokenizer = self.pipeline.processor.tokenizer
        mark = tokenizer.unk_token_id
        if mark is None:
            return []
        words = dict.fromkeys(word for raw in text.split() if (word := raw.strip("?!.,;:\"'()")))
        return [word for word in words if mark in tokenizer.encode(word, add_special_tokens=False)]


def embedded(stack: ExitStack) -> list[Way]:
    """The models that ship with Vantage: one that answers by itself, and a captioner with each reader of its captions.

    Args:
        stack: closes the readers.
    """

    def pipeline(name: str) -> Pipeline:
        path = tiny.path(name)
        return Pipeline(
            load_model(path),
            load_processor(path),
            prompts=tiny.prompts(),
            label_sources=True,
            max_new_tokens=EMBEDDED_TOKENS,
        )

    captioner = pipeline("tiny-captioner")
    names = dict.fromkeys(("tiny-reasoner-strong", *tiny.REASONERS))  # the better one first
    readers = {name: stack.enter_context(open_reasoner(name)) for name in names}
    described = [
        Way(
            name=f"tiny-captioner + {name}",
            pipeline=captioner,
            reasoner=reader,
            **KNOWN["tiny-captioner"],
        )
        for name, reader in readers.items()
    ]
    alone = Way(
        name="tiny, by itself",
        pipeline=pipeline("tiny"),
        parts=ALONE,
        frame="relative:8",
        **KNOWN["tiny"],
    )
    return [alone, *described]

"""The embedded models: small enough to ship, and to be trained on a laptop in minutes.

A vision-language model of half a million parameters, a captioner and a better-taught guest of the same shape, and text
models that answer from captions. They load with the plain Hugging Face Auto classes. All but the guest do well enough
on the scenes of ``vantage.worlds`` to be worth improving and badly enough to leave room for it.

>>> from transformers import AutoModelForImageTextToText, AutoProcessor
>>> from vantage import tiny
>>> processor = AutoProcessor.from_pretrained(tiny.path())
>>> model = AutoModelForImageTextToText.from_pretrained(tiny.path())
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vantage.errors import ConfigError

if TYPE_CHECKING:
    from vantage.captions import Prompts
    from vantage.tiny.captioner import train_captioner
    from vantage.tiny.guest import train_guest
    from vantage.tiny.lessons import CAPTION_STYLE, STYLE
    from vantage.tiny.reader import reader_endpoint
    from vantage.tiny.reasoners import train_reasoner
    from vantage.tiny.specialists import train_specialist
    from vantage.tiny.training import Curriculum, Progress, train

MODELS = ("tiny", "tiny-captioner", "tiny-guest", "tiny-cameras", "tiny-pages", "tiny-counting")
"""Vision-language models that ship with Vantage."""
REASONERS = ("tiny-reasoner-weak", "tiny-reasoner-strong", "tiny-reader")
"""Readers of captions that ship with Vantage: two text models, and the exact reader, which is a function."""

_PLACES = {
    "Curriculum": "training",
    "Progress": "training",
    "train": "training",
    "STYLE": "lessons",
    "CAPTION_STYLE": "lessons",
    "train_captioner": "captioner",
    "train_guest": "guest",
    "train_specialist": "specialists",
    "train_reasoner": "reasoners",
    "reader_endpoint": "reader",
}


def path(name: str = "tiny") -> Path:
    """Folder of a shipped model: weights, configuration, processor or tokenizer, model card.

    Args:
        name: one of ``MODELS``, or a text model of ``REASONERS``.

    Raises:
        ConfigError: there is no such model; the message names those there are.
    """
    folder = Path(__file__).parent / "weights" / name
    known = (*MODELS, *REASONERS[:-1])
    if name not in known:
        raise ConfigError(f"no embedded model {name!r}; there are {', '.join(known)}")
    return folder


def reasoner_path(name: str) -> Path | Callable[..., str]:
    """Folder of a shipped reasoner; of the exact reader, the function that answers.

    Args:
        name: one of ``REASONERS``.

    Raises:
        ConfigError: there is no such reasoner; the message names those there are.
    """
    if name not in REASONERS:
        raise ConfigError(f"no embedded reasoner {name!r}; there are {', '.join(REASONERS)}")
    if name == REASONERS[-1]:
        from vantage.tiny.reader import reply

        return reply
    return path(name)


def prompts() -> Prompts:
    """How the tiny captioner and the tiny reasoners were taught to be asked: ``Describe.`` for a caption."""
    from vantage.captions import Prompts
    from vantage.tiny.lessons import CAPTION_STYLE

    return Prompts(extractor="", caption=CAPTION_STYLE.instruction, tentative="")


def __getattr__(name: str) -> Any:
    # Asking for the path must not import torch and transformers.
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "CAPTION_STYLE",
    "MODELS",
    "REASONERS",
    "STYLE",
    "Curriculum",
    "Progress",
    "path",
    "prompts",
    "reader_endpoint",
    "reasoner_path",
    "train",
    "train_captioner",
    "train_guest",
    "train_reasoner",
    "train_specialist",
]

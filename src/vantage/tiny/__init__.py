"""The embedded model: a vision-language model of half a million parameters that a laptop trains in a minute.

It ships with the package, loads with the plain Hugging Face Auto classes, and answers the questions of
``vantage.worlds`` often enough to be worth improving and wrongly enough to leave room for it.

>>> from transformers import AutoModelForImageTextToText, AutoProcessor
>>> from vantage import tiny
>>> processor = AutoProcessor.from_pretrained(tiny.path())
>>> model = AutoModelForImageTextToText.from_pretrained(tiny.path())
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vantage.tiny.lessons import STYLE
    from vantage.tiny.training import Curriculum, Progress, train


def path() -> Path:
    """Folder of the shipped model: weights, configuration, processor, model card."""
    return Path(__file__).parent / "weights" / "tiny"


def __getattr__(name: str) -> Any:
    # Asking for the path must not import torch and transformers.
    if name in ("Curriculum", "Progress", "train"):
        from vantage.tiny import training

        return getattr(training, name)
    if name == "STYLE":
        from vantage.tiny.lessons import STYLE

        return STYLE
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["STYLE", "Curriculum", "Progress", "path", "train"]

"""The component of a picture slot: Gradio's picture, handed over as the path of its file, whatever is in it.

Gradio's own opens the file and ends without a word where it is no picture (``scenes.sample`` says what is wrong), and
believes the path of any picture on this machine that a client posts without the mark of an upload.
"""

from __future__ import annotations

from abc import ABCMeta
from functools import cache
from pathlib import Path
from typing import Any

from vantage.errors import PictureError


def uploaded(self: Any, payload: Any) -> str | None:
    """Where the file of a slot lies; ``None`` where it is empty.

    Raises:
        PictureError: a path outside the folder of uploads.
    """
    if payload is None or payload.path is None:
        return None
    if not Path(payload.path).resolve().is_relative_to(Path(self.GRADIO_CACHE).resolve()):
        raise PictureError(f"{payload.path!r} was not dropped on this page")
    return str(payload.path)


@cache
def component() -> Any:
    """The component's class. A class, since Gradio makes its components anew when a page changes them."""
    import gradio

    # A `class` statement would have Gradio's metaclass write a stub file beside this one. Browsers see a picture.
    body = {"preprocess": uploaded, "is_template": True, "__module__": __name__, "__doc__": __doc__}
    return ABCMeta.__new__(type(gradio.Image), "Dropped", (gradio.Image,), body)

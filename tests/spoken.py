"""Pipelines that say what a test lets them say, and samples of pictures drawn on the spot."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

from scripted import sample
from vantage.app import Way
from vantage.endpoints import Endpoint
from vantage.groups import FUSED, Origin
from vantage.pipeline import ALONE, Answer, Stage
from vantage.samples import Sample

Script = list[tuple[Stage, str] | Answer | Exception]


class Spoken:
    """Stands in for a pipeline: what it streams is a function of the view. ``processor`` knows nothing of sizes."""

    def __init__(self, script: Callable[[Origin], Script]) -> None:
        self.script = script
        self.reasoner: Endpoint | None = None
        self.processor = SimpleNamespace(tokenizer=SimpleNamespace(unk_token_id=None))
        self.closed: list[str] = []

    def stream(self, sample: Sample, parts=(), *, origin: Origin = FUSED, reasoner=None) -> Iterator:
        try:
            for item in self.script(origin):
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed.append(str(origin))


def answered(origin: Origin, final: str | None, **more) -> Answer:
    """An answer of the model alone."""
    text = "hm" if final is None else f"<answer>{final}</answer>"
    return Answer(
        **{"id": "a", "question": "?", "origin": origin, "caption": "", "tentative": text, "final": final} | more
    )


def way(finals: dict[str, str | None], name: str = "spoken", **settings) -> Way:
    """One that answers by itself, each view with its own answer, in two pieces."""

    def script(origin: Origin) -> Script:
        final = finals[str(origin)]
        return [("tentative", "<think> so </think>"), ("tentative", f" {final}"), answered(origin, final)]

    return Way(name=name, pipeline=Spoken(script), **{"parts": ALONE} | settings)


def asked(*sources: str, truth=None, **metadata) -> Sample:
    """A question; with a truth it is compared as it is written."""
    return sample("a", *(sources or ("rgb", "infrared")), truth=truth, **metadata)

"""The answers as HTML. Everything that a model, a file or a person wrote is escaped."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image

from vantage.app import wording
from vantage.app.asking import Panel, known_boxes
from vantage.app.verdict import Verdict, right, verdict
from vantage.app.ways import Way
from vantage.pipeline import Answer, Stage
from vantage.samples import Sample
from vantage.worlds import answer_text

SIDE = 480
"""Longest side of a picture on the page, in pixels."""

_TAG = re.compile(r"&lt;/?[A-Za-z]{1,20}&gt;")

BIG = 60
"""Characters of an answer that are written large."""

LONGEST = 20_000
"""Characters of one text that the page shows."""


def title(stage: Stage, way: Way) -> str:
    """What a text on a card is."""
    if stage == "caption":
        return "What the model describes"
    if stage == "tentative":
        return "The model's own answer"
    name = way.answering.name if way.answering else ""
    return f"What {name.rpartition('/')[2]} makes of it, without seeing a picture"


def pictures(sample: Sample) -> str:
    """The sample's pictures, once, as images that the cards refer to; sent apart from what changes with every word."""
    rules = []
    for place, name in enumerate(sample.sources):
        picture = sample.picture(name)
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG" if max(picture.size) < SIDE else "WEBP", quality=90)
        kind = "png" if max(picture.size) < SIDE else "webp"
        content = base64.b64encode(buffer.getvalue()).decode("ascii")
        sharp = "image-rendering:pixelated;" if max(picture.size) <= 128 else ""
        rules.append(
            f".v-p{place}{{background-image:url(data:image/{kind};base64,{content});"
            f"aspect-ratio:{picture.width}/{picture.height};{sharp}}}"
        )
    return f"<style>{''.join(rules)}</style>"


def board(panels: Sequence[Panel], way: Way, sample: Sample, notice: str = "") -> str:
    """All cards, side by side, under what the comparison says.

    Args:
        panels: the views.
        way: who answers.
        sample: what is asked.
        notice: a line above them.
    """
    found = verdict(panels, sample)
    above = f'<p class="v-notice">{_text(notice)}</p>' if notice else ""
    shown = "".join(_card(panel, way, sample) for panel in panels)
    return f'<div class="v-board">{above}{_banner(found)}<div class="v-cards">{shown}</div></div>'


def truth(sample: Sample) -> str:
    """What is known of a drawn scene: its truth, and what makes it hard."""
    box = ", a box, dashed in the pictures of the answers" if known_boxes(sample) else ""
    return (
        f'<div class="v-truth">Drawn scene, {_text(str(sample.metadata.get("condition", "")))}. '
        f"Truth: <b>{_text(answer_text(sample.truth))}</b>{box}</div>"
    )


def message(text: str) -> str:
    """What is wrong, in the place of the cards."""
    return f'<div class="v-board"><div class="v-wrong" role="alert">{_text(text)}</div></div>'


def hint(text: str) -> str:
    """A line of help in the place of the cards."""
    return f'<div class="v-board"><div class="v-hint">{_text(text)}</div></div>'


def _banner(found: Verdict | None) -> str:
    return "" if found is None else f'<div class="v-verdict v-{found.tone}" role="status">{escape(found.text)}</div>'


def _card(panel: Panel, way: Way, sample: Sample) -> str:
    fused = panel.origin.kind == "fused"
    name = " + ".join(sample.sources) if fused else panel.origin.name
    extra = "all sources together" if len(sample.sources) > 1 else "the one source"
    kind = extra if fused else "alone"
    waiting = "" if panel.live or panel.answer or panel.error else '<p class="v-wait">waiting</p>'
    if panel.live and not any(panel.said.values()):
        texts = '<p class="v-wait">looking<span class="v-cursor"></span></p>'
    else:
        texts = "".join(_said(stage, text, panel, way) for stage, text in panel.said.items())
    error = f'<p class="v-wrong">{_text(panel.error)}</p>' if panel.error else ""
    return (
        f'<section class="v-card{" v-fused" if fused else ""}" data-origin="{escape(str(panel.origin))}">'
        f"<header><b>{_text(name)}</b> <i>{kind}</i></header>"
        f'<div class="v-pictures">{_shown(panel, sample)}</div>{waiting}{texts}{error}'
        f"{_answer(panel, sample)}{_note(panel)}{_times(panel.answer, way)}</section>"
    )


def _shown(panel: Panel, sample: Sample) -> str:
    names = list(sample.sources) if panel.origin.kind == "fused" else [panel.origin.name]
    first = sample.source(names[0]).size()
    parts = []
    for name in names:
        width, height = sample.source(name).size()
        # Boxes are those of aligned pictures; one of another shape is not aligned.
        lines = _boxes(panel, sample, first) if width * first[1] == height * first[0] else ""
        place = list(sample.sources).index(name)
        parts.append(
            f'<figure><div class="v-picture v-p{place}" role="img" aria-label="{escape(name)}">{lines}</div>'
            f"<figcaption>{_text(name)}</figcaption></figure>"
        )
    return "".join(parts)


def _boxes(panel: Panel, sample: Sample, size: tuple[int, int]) -> str:
    """The answer's boxes, and dashed those of the truth where it is known."""
    width, height = size
    known = known_boxes(sample) if panel.answer else ()
    drawn = "".join(
        f'<rect class="{kind}" x="{x1 * width:.2f}" y="{y1 * height:.2f}" width="{max(0.0, x2 - x1) * width:.2f}" '
        f'height="{max(0.0, y2 - y1) * height:.2f}" />'
        for kind, boxes in (("v-known", known), ("v-found", panel.boxes))
        for x1, y1, x2, y2 in boxes
    )
    if not drawn:
        return ""
    return f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">{drawn}</svg>'


def _said(stage: Stage, text: str, panel: Panel, way: Way) -> str:
    speaking = panel.live and stage == list(panel.said)[-1]
    cut = panel.answer is not None and panel.answer.finished.get(stage) is False
    end = '<span class="v-cursor"></span>' if speaking else '<i class="v-cut"> … cut at the limit</i>' if cut else ""
    thought, rest = wording.parts(text, speaking)
    # What is written large under the texts is not written small as well, beside the thought that led to it.
    large = None if panel.answer is None or panel.error else panel.answer.final
    repeated = rest == large and stage == list(panel.said)[-1]
    rest = "" if thought and repeated else rest or ("" if thought or speaking else "(nothing)")
    shown = ""
    if thought:
        after = "" if rest else end
        shown = f'<p class="v-thought"><span><i>thought</i> {_marked(thought)}{after}</span></p>'
    if rest or not thought:
        shown += f"<p><span>{_marked(rest)}{end}</span></p>"
    kind = f"v-said v-{stage}{' v-live' if speaking else ''}"
    return f'<div class="{kind}"><h4>{_text(title(stage, way))}</h4>{shown}</div>'


def _answer(panel: Panel, sample: Sample) -> str:
    if panel.answer is None or panel.error:
        return ""
    hit = right(panel, sample)
    mark = {None: "", True: '<span class="v-right">✓ right</span>', False: '<span class="v-false">✗ wrong</span>'}[hit]
    text = panel.answer.final or _counted(len(panel.boxes))
    size = ' class="v-long"' if len(text) > BIG else ""
    shown = _text(text) if text else '<i class="v-none">no final answer stated</i>'
    return f'<div class="v-answer"><b{size}>{shown}</b>{mark}</div>'


def _counted(boxes: int) -> str:
    return f"{boxes} {'box' if boxes == 1 else 'boxes'}" if boxes else ""


def _note(panel: Panel) -> str:
    return f'<p class="v-note">{_text(panel.note)}</p>' if panel.note else ""


def _times(answer: Answer | None, way: Way) -> str:
    if answer is None or not answer.seconds:
        return ""
    names: Mapping[Stage, str] = {"caption": "describing", "tentative": "answering", "reasoner": "reasoning"}
    parts = [f"{names[stage]} {seconds:.2f} s" for stage, seconds in answer.seconds.items()]
    return f"<footer>{' · '.join(parts)}</footer>"


def _marked(text: str) -> str:
    """A model's text with its tags set back, so that the words between them are what is read."""
    return _TAG.sub(r'<span class="v-tag">\g<0></span>', _text(text))


def _text(text: str) -> str:
    """Escaped, of a length that a page can show; lone surrogates replaced, which no page can carry."""
    clean = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
    return escape(clean) if len(clean) <= LONGEST else f"{escape(clean[:LONGEST])} … ({len(clean):,} characters in all)"

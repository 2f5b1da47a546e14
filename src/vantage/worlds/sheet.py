"""A contact sheet: samples as cards, every source side by side, the question and its truth below.

Works for any sample, drawn or real, of one source or many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from vantage.errors import ConfigError, DataError, PictureError
from vantage.rewards.boxes import truth_boxes
from vantage.rewards.frames import Frame, span_of
from vantage.samples import Sample
from vantage.worlds.base import answer_text

CARD_WIDTH, WIDE_CARD = 400, 620
LARGE = 300
"""Pictures of more pixels a side get wide cards, on which what they show can still be seen."""

_GAP, _PAD, _BETWEEN = 20, 16, 8
_PAGE, _CARD, _EDGE = "#eef0f3", "#ffffff", "#d9dde3"
_INK, _SOFT, _ACCENT, _CHIP = "#1c2430", "#6b7684", "#0b7a53", "#e3f4ec"
_BOX, _BOX_SHADOW = "#20e08a", "#000000"
_LONGEST_QUESTION = 12
_LONGEST_TRUTH = 3
_TRUTH_COLUMN = 44


def contact_sheet(samples: Sequence[Sample], columns: int | None = None) -> Image.Image:
    """Lay samples out as a page of cards.

    Small pictures are enlarged without smoothing, large ones reduced; a box truth is drawn on every source, and so are
    ``metadata["points"]``: letters, and where they lie as shares of width and height.

    Args:
        samples: at least one; their sources are decoded here.
        columns: cards beside each other, fewer where there are fewer samples; four by default, three of large pictures.

    Returns:
        An RGB picture, 420 pixels a column wide, or 640 where a picture is larger than ``LARGE``.

    Raises:
        ConfigError: nothing to show, or no column to show it in.
        PictureError: a picture that cannot be read; names the row and the source.
    """
    if not len(samples):
        raise ConfigError("a contact sheet needs at least one sample, none given")
    if columns is not None and columns < 1:
        raise ConfigError(f"a contact sheet needs at least one column, not {columns}")
    fonts = _Fonts.load()
    large = any(max(_size(sample, name)) > LARGE for sample in samples for name in sample.sources)
    width = WIDE_CARD if large else CARD_WIDTH
    columns = min(columns or (3 if large else 4), len(samples))
    cards = [_card(sample, fonts, width) for sample in samples]
    rows = [cards[i : i + columns] for i in range(0, len(cards), columns)]
    heights = [max(card.height for card in row) for row in rows]
    size = (_GAP + columns * (width + _GAP), _GAP + sum(height + _GAP for height in heights))
    page = Image.new("RGB", size, _PAGE)
    draw, top = ImageDraw.Draw(page), _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, card in enumerate(row):
            left = _GAP + column * (width + _GAP)
            corner = (left + width - 1, top + height - 1)
            draw.rounded_rectangle((left, top, *corner), radius=12, fill=_CARD, outline=_EDGE, width=1)
            page.paste(card.crop((1, 12, width - 1, card.height - 12)), (left + 1, top + 12))
        top += height + _GAP
    return page


@dataclass(frozen=True, slots=True)
class _Fonts:
    small: ImageFont.FreeTypeFont
    label: ImageFont.FreeTypeFont
    text: ImageFont.FreeTypeFont

    @classmethod
    def load(cls) -> _Fonts:
        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"

        def font(name: str, size: int) -> ImageFont.FreeTypeFont:
            return ImageFont.truetype(str(folder / name), size)

        return cls(font("DejaVuSans.ttf", 12), font("DejaVuSans-Bold.ttf", 13), font("DejaVuSans.ttf", 17))


def _card(sample: Sample, fonts: _Fonts, width: int) -> Image.Image:
    """One sample, as tall as it needs to be."""
    inner = width - 2 * _PAD
    across = _across(len(sample.sources))
    room = (inner - (across - 1) * _BETWEEN) // across
    pictures = [(name, _with_marks(sample.picture(name), sample, room, fonts.label)) for name in sample.sources]

    question = _wrap(sample.question, fonts.text, inner, _LONGEST_QUESTION)
    truth = _wrap(_truth_text(sample.truth), fonts.text, inner - _TRUTH_COLUMN - 20, _LONGEST_TRUTH)
    bands = [pictures[i : i + across] for i in range(0, len(pictures), across)]
    band_heights = [max(picture.height for _, picture in band) for band in bands]
    height = 2 * _PAD + 20 + sum(20 + h + _BETWEEN for h in band_heights) + 6 + 24 * len(question) + 10
    height += 22 * len(truth)

    card = Image.new("RGB", (width, height), _CARD)
    draw, y = ImageDraw.Draw(card), _PAD
    details = " · ".join(str(sample.metadata[k]) for k in ("task", "condition") if k in sample.metadata)
    room_for_id = inner - (draw.textlength(details, fonts.small) + 12 if details else 0)
    draw.text((_PAD, y), _shorten(sample.id, fonts.small, room_for_id), _SOFT, fonts.small)
    draw.text((width - _PAD, y), details, _SOFT, fonts.small, anchor="ra")
    y += 22
    for band, band_height in zip(bands, band_heights, strict=True):
        for place, (name, picture) in enumerate(band):
            x = _PAD + place * (room + _BETWEEN)
            draw.text((x, y), _shorten(name, fonts.label, room), _INK, fonts.label)
            card.paste(picture, (x + (room - picture.width) // 2, y + 20))
        y += 20 + band_height + _BETWEEN
    y += 4
    for line in question:
        draw.text((_PAD, y), line, _INK, fonts.text)
        y += 24
    y += 6
    left = _PAD + _TRUTH_COLUMN
    draw.text((_PAD, y + 7), "truth", _SOFT, fonts.small)
    wide = max(draw.textlength(line, fonts.text) for line in truth)
    draw.rounded_rectangle((left, y, left + wide + 20, y + 22 * len(truth) + 6), radius=8, fill=_CHIP)
    for line in truth:
        draw.text((left + 10, y + 3), line, _ACCENT, fonts.text)
        y += 22
    return card


def _truth_text(truth: Any) -> str:
    """A truth in words; what several texts are is told apart."""
    several = isinstance(truth, (list, tuple)) and any(isinstance(entry, str) for entry in truth)
    return ", ".join(map(str, truth)) if several else answer_text(truth)


def _size(sample: Sample, name: str) -> tuple[int, int]:
    try:
        return sample.source(name).size()
    except PictureError as error:
        raise PictureError(f"row {sample.id!r}, source {name!r}: {error}") from error


def _across(pictures: int) -> int:
    """Pictures beside each other: up to three, four as two by two."""
    return 2 if pictures == 4 else min(3, pictures)


def _fit(picture: Image.Image, room: int) -> Image.Image:
    """Scale to a square of ``room`` pixels, the sides in proportion."""
    scale = room / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS)


def _with_marks(picture: Image.Image, sample: Sample, room: int, letters: ImageFont.FreeTypeFont) -> Image.Image:
    """Scale, then draw boxes of the truth and points of the question, equally thick whatever the picture's size."""
    boxes = _boxes(sample, picture.size)
    picture = _fit(picture, room)
    draw = ImageDraw.Draw(picture)
    for edges in boxes:
        left, right = (edge * (picture.width - 1) for edge in edges[0::2])
        top, bottom = (edge * (picture.height - 1) for edge in edges[1::2])
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_BOX_SHADOW, width=5)
        draw.rectangle((left, top, right, bottom), outline=_BOX, width=3)
    for letter, (across, down) in _points(sample).items():
        x, y = across * picture.width, down * picture.height
        for radius, colour in ((6, _BOX_SHADOW), (4, _BOX)):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        # Beside the point, on the side where there is room.
        side, anchor = (9, "lm") if across < 0.5 else (-9, "rm")
        draw.text((x + side, y), letter, _BOX, letters, anchor=anchor, stroke_width=2, stroke_fill=_BOX_SHADOW)
    return picture


def _points(sample: Sample) -> dict[str, tuple[float, float]]:
    """Points that a question names, as shares of the picture; empty where the metadata has none of that form."""
    points = sample.metadata.get("points")
    found: dict[str, tuple[float, float]] = {}
    for letter, place in points.items() if isinstance(points, Mapping) else ():
        if isinstance(place, (list, tuple)) and len(place) == 2 and all(isinstance(part, float) for part in place):
            found[str(letter)[:3]] = (_share(place[0]), _share(place[1]))
    return found


def _boxes(sample: Sample, size: tuple[int, int]) -> list[tuple[float, float, float, float]]:
    """Left, top, right, bottom of a box truth as shares of the picture; empty without boxes or their frame."""
    name = sample.metadata.get("truth_frame", sample.metadata.get("frame"))
    if name is None:
        return []
    try:
        boxes, frame = truth_boxes(sample), Frame.parse(name)
        width, height = span_of(sample, frame) if frame.kind == "resized" else frame.span(size)
    except (DataError, ConfigError):
        return []
    shares = ((x1 / width, y1 / height, x2 / width, y2 / height) for x1, y1, x2, y2 in boxes)
    return [(_share(x1), _share(y1), _share(x2), _share(y2)) for x1, y1, x2, y2 in shares]


def _share(edge: float) -> float:
    return min(1.0, max(0.0, edge))


def _shorten(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """The text, or as much of its start and its end as fits."""
    shown, keep = text, len(text) - 1
    while keep > 0 and font.getlength(shown) > room:
        shown = text[: (keep + 1) // 2] + "…" + text[len(text) - keep // 2 :]
        keep -= 1
    return shown


def _wrap(text: str, font: ImageFont.FreeTypeFont, room: float, most: int) -> list[str]:
    """Lines that fit; what goes beyond ``most`` lines ends in an ellipsis."""
    lines, line = [], ""
    # Very long texts need not be measured word by word when a few lines of them are shown.
    for word in text[: 200 * most].split() or ["(empty)"]:
        while font.getlength(word) > room:
            keep = next(n for n in range(len(word) - 1, 0, -1) if font.getlength(word[:n]) <= room or n == 1)
            if line:
                lines.append(line)
                line = ""
            lines.append(word[:keep])
            word = word[keep:]
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= room:
            line = longer
        else:
            lines.append(line)
            line = word
    if line:
        lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1].rstrip() + " …"]
    return lines

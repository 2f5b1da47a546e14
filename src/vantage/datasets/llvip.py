"""``llvip:FOLDER``: LLVIP, pairs of a visible and an infrared picture of a street at night, people boxed.

Jia et al., "LLVIP: A Visible-infrared Paired Dataset for Low-light Vision", ICCV workshops 2021. The folder holds
``visible/<split>/<id>.jpg``, ``infrared/<split>/<id>.jpg`` and the boxes, in pixels of the 1280x1024 pictures:

- LLVIP's own ``Annotations/<id>.xml`` (Pascal VOC, class ``person``), or
- a MARS question file, named by ``questions`` or the one ``.json`` file in the folder.

A pair without boxes has no truth, so it cannot be trained on: an error unless ``unlabelled=drop``,
which logs how many it left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from vantage.datasets import mars, places
from vantage.datasets.reading import RawRow, frames_of, need_path
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "questions", "frame", "truth_frame", "reward", "unlabelled"})

QUESTION = (
    "Here are two pictures of the same scene, a visible one and an infrared one. Detect every person and return a list "
    'of their boxes in the form [{"bbox_2d": [x1, y1, x2, y2], "label": "person"}].'
)
"""Asked of pairs that come with LLVIP's own annotations; a question file brings its own question."""


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every pair of the split, in the order of ids, or in the question file's.

    Raises:
        ConfigError: no path, or a folder without pairs of that split.
        DataError: a question file that cannot be read, or no pair that is left.
    """
    folder = need_path(spec, "llvip:/data/LLVIP?split=test&frame=resized")
    visible, infrared = (
        {file.stem: file for file in (folder / kind / spec.split).glob("*.jpg")} for kind in ("visible", "infrared")
    )
    if not visible and not infrared:
        raise ConfigError(f"{folder}: no pictures in visible/{spec.split} or infrared/{spec.split}")
    for stem in sorted(visible.keys() ^ infrared.keys()):
        where = str(visible.get(stem) or infrared[stem])
        yield where, DataError(f"{where}: this picture has no {'infrared' if stem in visible else 'visible'} partner")
    pairs = sorted(visible.keys() & infrared.keys())
    annotations = folder / "Annotations"
    if spec.questions is None and annotations.is_dir():
        labelled = _annotated(annotations, pairs)
    else:
        labelled = _asked(spec, folder, pairs)
    if pairs and not labelled and spec.unlabelled == "drop":
        raise DataError(f"llvip split {spec.split!r}: none of {len(pairs)} pairs has boxes")
    yield from labelled.values()
    bare = [str(visible[stem]) for stem in pairs if stem not in labelled]
    if spec.unlabelled == "drop":
        yield from places.without(((where, None) for where in bare), lambda _: True, folder, "pairs without boxes")
        return
    for where in bare:
        yield where, DataError(f"{where}: this pair has no boxes; leave such pairs out with unlabelled=drop")


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one pair: its own annotation, or what the question file made of it."""
    if isinstance(row, Sample):
        return row
    assert spec.path is not None  # noqa: S101  rows() has checked it
    stem = Path(where).stem
    return Sample(
        id=f"llvip/{spec.split}/{stem}",
        question=QUESTION,
        sources={
            "rgb": Source(spec.path / "visible" / spec.split / f"{stem}.jpg"),
            "infrared": Source(spec.path / "infrared" / spec.split / f"{stem}.jpg"),
        },
        truth=row,
        reward=spec.reward or "mars-grounding",
        metadata=frames_of(spec, "pixel"),
    )


def _annotated(annotations: Path, pairs: Iterable[str]) -> dict[str, RawRow]:
    """The boxes of every pair that has an annotation with a person in it."""
    found: dict[str, RawRow] = {}
    for stem in pairs:
        file = annotations / f"{stem}.xml"
        if file.is_file():
            try:
                if boxes := voc_boxes(file):
                    found[stem] = (str(file), boxes)
            except DataError as error:
                found[stem] = (str(file), error)
    return found


def _asked(spec: DataSpec, folder: Path, pairs: Iterable[str]) -> dict[str, RawRow]:
    files = [spec.questions] if spec.questions else sorted(folder.glob("*.json"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "no question file"
        raise DataError(
            f"{folder}: no Annotations folder, and {found}; name the file with the boxes with questions=FILE"
        )
    wanted = set(pairs)
    taken = {"reward": spec.reward, "frame": spec.frame, "truth_frame": spec.truth_frame}
    asked = DataSpec(name="mars", path=files[0], root=folder, **{k: v for k, v in taken.items() if v is not None})
    labelled: dict[str, RawRow] = {}
    for where, row in mars.rows(asked):
        try:
            made = mars.sample(row, where, asked) if not isinstance(row, DataError) else row
        except DataError as error:
            made = error
        if isinstance(made, DataError):
            labelled[where] = (where, made)
            continue
        image = made.source("rgb").image
        # A question file may hold the rows of several splits.
        if isinstance(image, Path) and image.parent.name == spec.split and image.stem in wanted:
            if image.stem in labelled:
                labelled[where] = (where, DataError(f"{where}: a second row about the pair {image.stem}"))
            labelled.setdefault(image.stem, (where, made))
    return labelled


def voc_boxes(file: Path) -> list[list[int]]:
    """The boxes of class ``person`` of a Pascal VOC file, as [xmin, ymin, xmax, ymax]; other classes are left out.

    Raises:
        DataError: no XML, or a person without four whole numbers; names the file.
    """
    try:
        # The standard parser fetches nothing, and the expat in it bounds the growth of entities.
        root = ElementTree.parse(file).getroot()  # noqa: S314
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise DataError(f"{file}: not a readable annotation ({error})") from error
    boxes: list[list[int]] = []
    for thing in root.iter("object"):
        if (thing.findtext("name") or "").strip() == "person":
            texts = [thing.findtext(f"bndbox/{key}") or "" for key in ("xmin", "ymin", "xmax", "ymax")]
            try:
                boxes.append([int(float(text)) for text in texts])
            except (ValueError, OverflowError) as error:
                raise DataError(f"{file}: a person's box is {texts}, not four numbers") from error
    return boxes

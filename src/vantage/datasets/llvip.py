"""``llvip:FOLDER``: LLVIP, pairs of a visible and an infrared picture of a street at night, people boxed.

Jia et al., "LLVIP: A Visible-infrared Paired Dataset for Low-light Vision", ICCV workshops 2021. The folder holds
``visible/<split>/<id>.jpg``, ``infrared/<split>/<id>.jpg`` and the boxes, in pixels of the 1280x1024 pictures:

- LLVIP's own ``Annotations/<id>.xml`` (Pascal VOC, class ``person``), or
- a MARS question file, named by ``questions`` or the one ``.json`` file in the folder.

A pair without boxes has no truth, so it cannot be trained on: an error unless ``unlabelled=drop``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from vantage.datasets import mars
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

_NAMED = 5


def load(spec: DataSpec) -> list[Sample]:
    """Every pair of the split, in the order of ids, or in the question file's.

    Raises:
        ConfigError: no path, or a folder without pairs of that split.
        DataError: a picture without its partner, a pair without boxes, an annotation that cannot be read.
    """
    if spec.path is None:
        raise ConfigError("data set 'llvip' needs its folder: llvip:/data/LLVIP?split=test&frame=resized")
    pairs = _pairs(spec.path, spec.split)
    annotations = spec.path / "Annotations"
    if spec.questions is None and annotations.is_dir():
        labelled = {stem: sample for stem in pairs if (sample := _annotated(spec, annotations, stem)) is not None}
    else:
        labelled = _asked(spec, pairs)
    missing = [stem for stem in pairs if stem not in labelled]
    if missing and spec.unlabelled == "error":
        raise DataError(
            f"llvip split {spec.split!r}: {len(missing)} of {len(pairs)} pairs have no boxes: {_some(missing)}; "
            "give their annotations, or leave them out with unlabelled=drop"
        )
    if not labelled:
        raise DataError(f"llvip split {spec.split!r}: none of {len(pairs)} pairs has boxes")
    return list(labelled.values())


def _pairs(folder: Path, split: str) -> list[str]:
    visible, infrared = (
        {file.stem for file in (folder / kind / split).glob("*.jpg")} for kind in ("visible", "infrared")
    )
    if not visible and not infrared:
        raise ConfigError(f"{folder}: no pictures in visible/{split} or infrared/{split}")
    if visible != infrared:
        raise DataError(f"llvip split {split!r}: pictures without their partner: {_some(sorted(visible ^ infrared))}")
    return sorted(visible)


def _annotated(spec: DataSpec, annotations: Path, stem: str) -> Sample | None:
    file = annotations / f"{stem}.xml"
    if not file.is_file():
        return None
    truth = voc_boxes(file)
    if not truth:
        return None
    assert spec.path is not None  # noqa: S101  load has checked it; this tells the type checker
    return Sample(
        id=f"llvip/{spec.split}/{stem}",
        question=QUESTION,
        sources={
            "rgb": Source(spec.path / "visible" / spec.split / f"{stem}.jpg"),
            "infrared": Source(spec.path / "infrared" / spec.split / f"{stem}.jpg"),
        },
        truth=truth,
        reward=spec.reward or "mars-grounding",
        metadata=_frames(spec),
    )


def _asked(spec: DataSpec, pairs: Iterable[str]) -> dict[str, Sample]:
    assert spec.path is not None  # noqa: S101  as above
    files = [spec.questions] if spec.questions else sorted(spec.path.glob("*.json"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "no question file"
        raise DataError(
            f"{spec.path}: no Annotations folder, and {found}; name the file with the boxes with questions=FILE"
        )
    wanted = set(pairs)
    taken = {"reward": spec.reward, **_frames(spec)}
    asked = DataSpec(name="mars", path=files[0], root=spec.path, **{k: v for k, v in taken.items() if v is not None})
    labelled: dict[str, Sample] = {}
    for sample in mars.load(asked):
        image = sample.source("rgb").image
        # A question file may hold the rows of several splits.
        if isinstance(image, Path) and image.parent.name == spec.split and image.stem in wanted:
            if image.stem in labelled:
                raise DataError(f"{files[0]}: two rows about the pair {image.stem}")
            labelled[image.stem] = sample
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


def _frames(spec: DataSpec) -> dict[str, str]:
    return {"truth_frame": spec.truth_frame or "pixel"} | ({"frame": spec.frame} if spec.frame else {})


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

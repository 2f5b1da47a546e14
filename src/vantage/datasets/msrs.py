"""``msrs:FOLDER``: MSRS, pairs of a visible and an infrared picture of a street, with people, bicycles and cars boxed.

Tang et al., "PIAFusion: A progressive infrared and visible image fusion network based on illumination aware",
Information Fusion 2022; pictures from <https://github.com/Linfeng-Tang/MSRS> (some in its PIAFusion repository), boxes
from <https://github.com/Lele-3/MSRS-detection-label>. Read are

    FOLDER/<split>/vi/<id>.png     FOLDER/<split>/ir/<id>.png      or, of both splits, FOLDER/vi and FOLDER/ir
    FOLDER/labels/fusion/<split>/<id>.txt                          or FOLDER/fusion/<split>/<id>.txt

``questions=FOLDER`` names another folder of boxes, such as ``labels/infrared``, what was seen in infrared alone. A box
is a line ``class x y width height`` (YOLO: its centre and size as shares of the picture; class 0 person, 1 bicycle, 2
car).

Sources are ``rgb`` and ``infrared``. Every class that a pair shows is one question (``tasks=person,car``: of these
classes); with ``tasks=all`` there is one question on all classes, whose labels nothing checks. The truth is boxes in
pixels, the reward ``mars-grounding``. Splits are ``train`` and ``test``. A pair without a single box is an error unless
``unlabelled=drop``, which logs how many it left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from vantage.datasets import llvip, places
from vantage.datasets.reading import RawRow, frames_of, need_path, read_text, short
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError, PictureError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "tasks", "questions", "frame", "reward", "unlabelled"})

CLASSES = ("person", "bicycle", "car")
TASKS = (*CLASSES, "all")
SPLITS = ("train", "test")

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """A row for each class asked for that a pair shows, in the order of ids and of ``TASKS``.

    Raises:
        ConfigError: no path, an unknown split or task, or a folder without pairs or without boxes of that split.
    """
    folder = need_path(spec, "msrs:/data/MSRS?split=test&frame=resized")
    places.known("msrs", "split", [spec.split], SPLITS)
    tasks = places.known("msrs", "tasks", spec.tasks or CLASSES, TASKS)
    pictures = folder / spec.split if (folder / spec.split / "vi").is_dir() else folder
    visible, infrared = (
        {file.stem: file for file in (pictures / kind).glob("*") if file.suffix.lower() in _SUFFIXES}
        for kind in ("vi", "ir")
    )
    if not visible and not infrared:
        raise ConfigError(f"{folder}: no pictures in {spec.split}/vi, {spec.split}/ir, vi or ir")
    labels = _labels(folder, spec)
    if spec.unlabelled == "drop":
        found = _rows(spec, tasks, visible, infrared, labels)
        yield from places.without(found, lambda row: row is None, folder, "pairs without boxes")
    else:
        yield from _rows(spec, tasks, visible, infrared, labels)
    for where in _without_pictures(folder, spec, visible.keys() | infrared.keys(), labels):
        yield where, DataError(f"{where}: these boxes have no pictures")


def _rows(
    spec: DataSpec, tasks: Collection[str], visible: Mapping[str, Path], infrared: Mapping[str, Path], labels: Path
) -> Iterator[RawRow]:
    """The rows of every pair; ``None`` for one without boxes where such may be dropped."""
    for stem in sorted(visible.keys() | infrared.keys()):
        if _of_another_split(labels, stem, spec.split):
            continue
        if stem not in visible or stem not in infrared:
            where = str(visible.get(stem) or infrared[stem])
            yield where, DataError(f"{where}: this picture has no {'ir' if stem in visible else 'vi'} partner")
            continue
        file = labels / f"{stem}.txt"
        try:
            boxes = yolo_boxes(file) if file.is_file() else {}
        except DataError as unreadable:
            yield str(file), unreadable
            continue
        if not boxes:
            where = str(visible[stem])
            error = DataError(f"{where}: this pair has no boxes in {file}; leave such pairs out with unlabelled=drop")
            yield where, error if spec.unlabelled == "error" else None
        for task in TASKS:
            found = [box for name in (CLASSES if task == "all" else (task,)) for box in boxes.get(name, ())]
            if found and task in tasks:
                yield f"{file}, {task}", (visible[stem], infrared[stem], task, found)


def _without_pictures(folder: Path, spec: DataSpec, shown: Collection[str], labels: Path) -> list[str]:
    """Files of boxes about pairs that are nowhere; one folder may hold those of both splits."""
    missing = [file for file in sorted(labels.glob("*.txt")) if file.stem not in shown]
    if missing and labels.name != spec.split:
        elsewhere = {
            file.stem for split in SPLITS for kind in ("vi", "ir") for file in folder.glob(f"{split}/{kind}/*")
        }
        missing = [file for file in missing if file.stem not in elsewhere]
    return list(map(str, missing))


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one class of one pair."""
    visible, infrared, task, shares = row
    source = Source(visible)
    try:
        width, height = source.size()
    except PictureError as error:
        raise DataError(f"{where}: {error}") from error
    return Sample(
        id=f"msrs/{spec.split}/{visible.stem}/{task}",
        question=_question(task),
        sources={"rgb": source, "infrared": Source(infrared)},
        truth=[
            [round(x1 * width, 2), round(y1 * height, 2), round(x2 * width, 2), round(y2 * height, 2)]
            for x1, y1, x2, y2 in shares
        ],
        reward=spec.reward or "mars-grounding",
        metadata={"classes": list(CLASSES) if task == "all" else [task], **frames_of(spec, "pixel")},
    )


def yolo_boxes(file: Path) -> dict[str, list[tuple[float, float, float, float]]]:
    """The boxes of a YOLO file by class, as (left, top, right, bottom) in shares of the picture.

    Raises:
        DataError: a line that is no class of ``CLASSES`` and four finite numbers; names the file and the line.
    """
    boxes: dict[str, list[tuple[float, float, float, float]]] = {}
    for number, line in enumerate(read_text(file).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            kind, (x, y, width, height) = CLASSES[("0", "1", "2").index(words[0])], map(float, words[1:])
        except ValueError as error:
            raise DataError(f"{file}:{number}: a box is a class 0-2 and four numbers, not {short(line)}") from error
        if not all(map(math.isfinite, (x, y, width, height))) or min(width, height) <= 0:
            raise DataError(f"{file}:{number}: {short(line)} is no box with an area")
        boxes.setdefault(kind, []).append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    return boxes


def _question(task: str) -> str:
    if task != "all":
        return llvip.QUESTION.replace("person", task)
    return llvip.QUESTION.replace("every person", "every person, bicycle and car")


def _labels(folder: Path, spec: DataSpec) -> Path:
    if spec.questions is not None:
        folders = [spec.questions / spec.split, spec.questions]
    else:
        folders = [folder / "labels" / "fusion" / spec.split, folder / "fusion" / spec.split]
    for labels in folders:
        if labels.is_dir() and next(labels.glob("*.txt"), None) is not None:
            return labels
    raise ConfigError(
        f"{folder}: no boxes; looked for .txt files in {', '.join(map(str, folders))}; questions=FOLDER names another "
        "folder"
    )


def _of_another_split(labels: Path, stem: str, split: str) -> bool:
    """Whether a pair of a folder of both splits has its boxes in the other one."""
    if labels.name != split or (labels / f"{stem}.txt").is_file():
        return False
    return any((labels.parent / other / f"{stem}.txt").is_file() for other in SPLITS if other != split)

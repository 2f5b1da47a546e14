"""``rgbd-7scenes:FOLDER``: RGB-D frames of 7-Scenes, with questions whose truth is measured by the depth camera.

Shotton et al., "Scene Coordinate Regression Forests for Camera Relocalization in RGB-D Images", CVPR 2013; Microsoft
Research hands the scenes out, and tsdf-fusion-python (<https://github.com/andyzeng/tsdf-fusion-python>) a part of one.
Read are

    FOLDER/frame-000000.color.jpg (or .png)   FOLDER/frame-000000.depth.png   16 bits, millimetres; 0 and 65535: nothing
    FOLDER/seq-01/frame-...                   FOLDER/TrainSplit.txt, TestSplit.txt   lines such as "sequence1"

A folder of frames has no splits; a scene with sequences has ``train`` and ``test``. Sources are ``rgb`` and ``depth``,
shown by ``mapping`` (``depth:300-5000`` unless given; see ``vantage.pictures.mappings``).

The data set has no questions. Here each frame gets one of each task, ``tasks=nearer,distance`` unless fewer are asked
for; places are drawn with the frame's name as seed, so they are the same everywhere:

| task | asks | truth | reward |
|---|---|---|---|
| ``nearer`` | which of two points is nearer to the camera | ``A`` or ``B`` | ``answer`` |
| ``distance`` | how far a point is, along the viewing direction | metres | ``reason-rft-number`` |

Points are given as shares of width and height, so that they hold for a picture of any size. The two cameras of this
data set do not see quite the same: an edge in the depth lies up to 5 % of the width beside that of the colour picture.
A point is therefore drawn only where the depth hardly changes that far around it and nothing is missing at the point
itself, and of two points, all around the one is nearer than anything around the other, by a tenth at least. A frame
without such points is an error. Depth pictures are decoded when the rows are made.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import maximum_filter, minimum_filter

from vantage.datasets.places import known
from vantage.datasets.reading import RawRow, need_path, read_text, short
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError, PictureError
from vantage.pictures import Source
from vantage.pictures.mappings import HOLE
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "tasks", "mapping", "reward"})

SPREADS = {"nearer": 0.15, "distance": 0.10}
"""Tasks, and by how much of itself the depth may change around a point."""

AROUND = 0.05
"""How far around a point that must hold, as a share of the picture's width."""

MARGIN = 1.10
"""How many times farther than everything around the nearer point everything around the other one is."""

LEVEL = 0.10
"""How much higher one of two points lies, as a share of the height: what is lower in a picture is mostly nearer."""

_REWARDS = {"nearer": "answer", "distance": "reason-rft-number"}
_SPLITS = {"train": "TrainSplit.txt", "test": "TestSplit.txt"}
_PLACES = [(x / 100, y / 100) for y in range(5, 96) for x in range(5, 96)]
_SEQUENCE = re.compile(r"sequence(\d{1,4})")
_TRIES = 100


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """A row for each task of each frame, in the order of names.

    Raises:
        ConfigError: no path, an unknown split or task, a split of a folder that has none, or no frames.
        DataError: a list of sequences that cannot be read.
    """
    folder = need_path(spec, "rgbd-7scenes:/data/7scenes/chess?split=test")
    tasks = known("rgbd-7scenes", "tasks", spec.tasks, SPREADS)
    for name, sequence in _sequences(folder, spec):
        depths = {file.name.removesuffix(".depth.png"): file for file in sequence.glob("*.depth.png")}
        if not depths:
            raise ConfigError(f"{sequence}: no frames such as frame-000000.depth.png")
        colours: dict[str, Path] = {}
        for suffix in ("png", "jpg"):
            colours |= {file.name.removesuffix(f".color.{suffix}"): file for file in sequence.glob(f"*.color.{suffix}")}
        for frame in sorted(depths.keys() | colours.keys()):
            depth, colour = depths.get(frame), colours.get(frame)
            if depth is None or colour is None:
                where = str(depth or colour)
                lacks = f"depth {frame}.depth.png" if depth is None else f"picture {frame}.color.jpg or .png"
                yield where, DataError(f"{where}: this frame has no {lacks}")
                continue
            for task in SPREADS:
                if task in tasks:
                    yield f"{depth}, {task}", (f"{name}/{frame}", colour, depth, task)


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one task of one frame."""
    name, colour, file, task = row
    depth_H_W = _depth(file, where)
    low_H_W, high_H_W, steady_H_W = _around(depth_H_W, SPREADS[task])
    dice = random.Random(f"{name}/{task}")
    places = [place for place, steady in zip(_PLACES, _at(steady_H_W, _PLACES), strict=True) if steady]
    dice.shuffle(places)
    points: dict[str, tuple[float, float]] = {}
    if task == "distance" and places:
        points = {"A": places[0]}
        truth: Any = round(int(_at(depth_H_W, places)[0]) / 1000, 2)
        question = (
            f"A point lies at {places[0]} in the picture, written as shares of its width and height from the upper "
            "left corner. How far is what is seen there from the camera, in metres along the viewing direction?"
        )
    elif task == "nearer":
        pair = _two(places, low_H_W, high_H_W)
        if pair is not None:
            truth = dice.choice("AB")
            points = dict(zip("AB", pair if truth == "A" else pair[::-1], strict=True))
            question = (
                f"Point A lies at {points['A']} and point B at {points['B']} in the picture, written as shares of its "
                "width and height from the upper left corner. Which of the two is nearer to the camera, A or B?"
            )
    if not points:
        lacks = "steady place" if task == "distance" else "two steady places far enough apart in depth"
        raise DataError(f"{where}: the depth has no {lacks} that could be asked about")
    return Sample(
        id=f"rgbd-7scenes/{name}/{task}",
        question=question,
        sources={"rgb": Source(colour), "depth": Source(file, mapping=spec.mapping or "depth:300-5000")},
        truth=truth,
        reward=spec.reward or _REWARDS[task],
        metadata={
            "task": task,
            "points": {key: list(place) for key, place in points.items()},
            "millimetres": {key: int(_at(depth_H_W, [place])[0]) for key, place in points.items()},
        },
    )


def _sequences(folder: Path, spec: DataSpec) -> list[tuple[str, Path]]:
    """Names and folders of the sequences asked for."""
    if not any((folder / file).is_file() for file in _SPLITS.values()):
        if "split" in spec.model_fields_set:
            raise ConfigError(f"{folder}: split={spec.split}, but there is no {' or '.join(_SPLITS.values())} here")
        return [(folder.resolve().name, folder)]
    known("rgbd-7scenes", "split", [spec.split], _SPLITS)
    file = folder / _SPLITS[spec.split]
    found = []
    for number, line in enumerate(read_text(file).split("\n"), 1):
        if line.strip():
            sequence = _SEQUENCE.fullmatch(line.strip())
            if sequence is None:
                raise DataError(f"{file}:{number}: a line names a sequence, such as sequence1, not {short(line)}")
            name = f"seq-{int(sequence[1]):02}"
            found.append((f"{folder.resolve().name}/{name}", folder / name))
    return found


def _depth(file: Path, where: str) -> np.ndarray:
    """Millimetres, [H, W], 0 where nothing was measured."""
    try:
        Source(file).size()  # refuses what is too large before it is decoded
        with Image.open(file) as image:
            if not image.mode.startswith("I"):
                raise DataError(f"{where}: {file.name} has mode {image.mode}; depth in millimetres has 16 bits")
            depth_H_W = np.asarray(image).astype(np.int64)
    except PictureError as error:
        raise DataError(f"{where}: {error}") from error
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: {file.name} is corrupt or cut short ({error})") from error
    return np.where((depth_H_W >= HOLE) | (depth_H_W < 0), 0, depth_H_W)


def _around(depth_H_W: np.ndarray, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest and the farthest around each pixel, and whether the depth is steady there and known at it; [H, W]."""
    window = 2 * max(2, round(AROUND * depth_H_W.shape[1])) + 1
    high_H_W = maximum_filter(depth_H_W, window)
    low_H_W = minimum_filter(np.where(depth_H_W == 0, HOLE, depth_H_W), window)
    known_H_W = minimum_filter(depth_H_W, 5) > 0
    return low_H_W, high_H_W, known_H_W & (high_H_W <= (1 + spread) * low_H_W)


def _at(values_H_W: np.ndarray, places: Sequence[tuple[float, float]]) -> np.ndarray:
    """What stands at each place, [N]."""
    height, width = values_H_W.shape
    places_N_2 = np.asarray(places)
    return values_H_W[(places_N_2[:, 1] * height).astype(int), (places_N_2[:, 0] * width).astype(int)]


def _two(
    places: Sequence[tuple[float, float]], low_H_W: np.ndarray, high_H_W: np.ndarray
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """A near and a far place, ``MARGIN`` apart, and at one height if that can be; ``None`` where there are none."""
    if not places:
        return None
    low_N, high_N, y_N = _at(low_H_W, places), _at(high_H_W, places), np.array([y for _, y in places])
    for apart in (LEVEL, 1.0):
        for i in range(min(len(places), _TRIES)):
            farther_N, nearer_N = low_N >= MARGIN * high_N[i], MARGIN * high_N <= low_N[i]
            fits = np.flatnonzero((farther_N | nearer_N) & (np.abs(y_N - y_N[i]) <= apart))
            if fits.size:
                # The places are in random order, so the first that fits is a random one.
                other = places[int(fits[0])]
                return (places[i], other) if farther_N[fits[0]] else (other, places[i])
    return None

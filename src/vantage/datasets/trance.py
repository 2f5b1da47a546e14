"""``trance:FOLDER``: TRANCE, what was changed between two pictures of drawn things.

Hong et al., "Transformation Driven Visual Reasoning", CVPR 2021 (arXiv 2011.13160). From its authors (Kaggle, by way of
``hughplay/TVR``): ``data.jsonl``, a scene a line, and ``image/`` with the pictures that it names. ``path`` is that
folder, or a file: ``.jsonl``, or ``.json`` with one scene or a list of them, like the ``example.json`` of its
repository. The ``data.h5`` that the authors' code makes of both is not read.

    {"idx": 0, "states": [{"objects": [{"shape", "size", "color", "material", "position"}, ...],
                           "images": {"Camera_Center": "img_000000-init.C.png"}}, ...,
                          {"objects": ..., "images": {"Camera_Center": ..., "Camera_Left": ..., "Camera_Right": ...}}],
     "transformations": [{"obj_idx": 2, "attr": "color", "val": "cyan", "options": ["cyan"]}, ...]}

Sources: ``before``, always seen from the centre, and ``after``. ``tasks`` says from where ``after`` is seen:
``centre`` (the default), ``left``, ``right``, several of them giving one row each. The question lists the objects and
the functions; the truth is a list of ``func(object, value)``, positions with direction and steps, as
``change_position(2, (behind, 2))``. Reward: ``reason-rft-transformation``. A move out of the picture may be one of
several that look alike; the truth is the one that was made, and ``metadata["options"]`` lists them all. Deviation: the
authors' evaluation also takes other changes that lead to the same end; here the changes themselves are compared.

Splits, as the authors' code makes them, by line: ``train`` the first 500,000, ``val`` the next 10,000, ``test`` the
next 20,000.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vantage.datasets.places import find, known, question_file, root_of
from vantage.datasets.reading import RawRow, field, need_path, parse_json, read_json, read_rows, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

SPLITS = {"train": range(500_000), "val": range(500_000, 510_000), "test": range(510_000, 530_000)}
"""Places of a split's rows in the file, from 0."""

VIEWS = {"centre": "Camera_Center", "left": "Camera_Left", "right": "Camera_Right"}

VALUES = {
    "size": ("small", "medium", "large"),
    "color": ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow"),
    "material": ("rubber", "metal", "glass"),
    "shape": ("cube", "sphere", "cylinder"),
}
DIRECTIONS = ("front", "behind", "left", "right", "front-left", "front-right", "behind-left", "behind-right")
STEPS = (1, 2)
_MOVES = [[direction, steps] for direction in DIRECTIONS for steps in STEPS]

_DESCRIBED = ("size", "color", "material", "shape")
_DEMO = "/src/assets/"
"""Where the repository's example has its pictures: on the server of a web page."""


def rules(steps: bool) -> str:
    """The functions that an answer may use and their values, one a line.

    Args:
        steps: a move has a direction and a number of steps, not a direction alone.
    """
    lines = [f"change_{attr}(object, value): {', '.join(values)}" for attr, values in VALUES.items()]
    moved = "(direction, steps)" if steps else "direction"
    many = f"; steps: {' or '.join(map(str, STEPS))}" if steps else ""
    # As the data has it: front is where somebody who walks into the picture is going.
    sense = "front leads away from the viewer of the first picture, behind towards the viewer"
    return "\n".join([*lines, f"change_position(object, {moved}): {', '.join(DIRECTIONS)}{many}; {sense}"])


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every scene of the split, once for each view asked for.

    Raises:
        ConfigError: no path, or a split or view that does not exist.
        DataError: no file of scenes, or none in the split.
    """
    path = need_path(spec, "trance:/data/trance?split=test&tasks=left")
    known(spec.name, "split", [spec.split], SPLITS)
    views = known(spec.name, "tasks", spec.tasks or ["centre"], VIEWS)
    file = question_file(path, ["data.jsonl", "example.json"], "scenes")
    total = 0
    found = False
    for where, row in _scenes(file):
        if total in SPLITS[spec.split]:
            found = True
            yield from ((where, row if isinstance(row, DataError) else (view, row)) for view in views)
        total += 1
    if not found:
        raise DataError(f"{file}: split {spec.split!r} begins at row {SPLITS[spec.split].start}, and there are {total}")


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one scene, its last state seen from one side."""
    view, row = row
    row = row.read(where) if isinstance(row, _Line) else row
    states, changes = field(row, "states", list, where), field(row, "transformations", list, where)
    if len(states) < 2 or not changes:
        raise DataError(
            f"{where}: {len(states)} states and {len(changes)} transformations; at least 2 and 1 are needed"
        )
    things = [_thing(thing, where) for thing in field(states[0], "objects", list, f"{where}, states[0]")]
    truth = [_change(change, len(things), f"{where}, transformations[{i}]") for i, change in enumerate(changes)]
    index = field(row, "idx", int, where)
    options = [change["options"] for change in changes if isinstance(change.get("options"), list)]
    listed = "\n".join(f"{number}: {thing}" for number, thing in enumerate(things))
    return Sample(
        id=f"trance/{spec.split}/{index}/{view}",
        question=(
            "Some of these objects were changed between the first picture and the second. Which changes were made? "
            "Answer with a list of function(object, value), one for every change.\n"
            f"Objects in the first picture or near it:\n{listed}\n"
            f"Functions, and the values that they take:\n{rules(steps=True)}"
        ),
        sources={
            "before": _picture(states[0], "Camera_Center", where, spec),
            "after": _picture(states[-1], VIEWS[view], where, spec),
        },
        truth=truth,
        reward=spec.reward or "reason-rft-transformation",
        metadata={"view": view, "changes": len(truth)}
        | ({"options": options} if any(len(option) > 1 for option in options) else {}),
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a file, read when it is needed: half a million scenes are too many to keep."""

    file: Path
    start: int

    def read(self, where: str) -> Any:
        with self.file.open("rb") as lines:
            lines.seek(self.start)
            line = lines.readline()
        return parse_json(line, where)


def _scenes(file: Path) -> Iterator[RawRow]:
    if file.suffix == ".json":
        if isinstance(value := read_json(file), dict):
            yield f"{file}, row 0", value
        else:
            yield from read_rows(file)
        return
    start = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"{file}:{number}", _Line(file, start)
            start += len(line)


def _thing(thing: Any, where: str) -> str:
    return " ".join(text_field(thing, key, f"{where}, states[0] objects") for key in _DESCRIBED)


def _change(change: Any, things: int, where: str) -> str:
    """``func(object, value)`` of a transformation."""
    number = field(change, "obj_idx", int, where)
    if not 0 <= number < things:
        raise DataError(f"{where}: 'obj_idx' is the number of one of {things} objects, from 0, not {number}")
    attr, value = text_field(change, "attr", where), change.get("val")
    if attr == "position":
        # JSON's true would pass for one step.
        if not isinstance(value, list) or [type(part) for part in value] != [str, int] or value not in _MOVES:
            raise DataError(f"{where}: 'val' of a move is [direction, steps] such as ['behind', 2], not {short(value)}")
        return f"change_position({number}, ({value[0]}, {value[1]}))"
    if attr not in VALUES:
        raise DataError(f"{where}: 'attr' is one of position, {', '.join(VALUES)}, not {attr!r}")
    if value not in VALUES[attr]:
        raise DataError(f"{where}: 'val' of {attr} is one of {', '.join(VALUES[attr])}, not {short(value)}")
    return f"change_{attr}({number}, {value})"


def _picture(state: Any, camera: str, where: str, spec: DataSpec) -> Source:
    images: Mapping[str, Any] = field(state, "images", dict, f"{where}, states")
    name = text_field(images, camera, f"{where}, images").removeprefix(_DEMO)
    return Source(find(root_of(spec), (f"image/{name}", name), where))

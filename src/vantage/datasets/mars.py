"""``mars:FILE``: question files of MARS (arXiv 2605.25437), as in its public repository's ``data/questions``.

A row is a chat message with a truth; a file is a JSON list of rows, or one row per line:

    {"role": "user", "content": [{"type": "image", "image": "data/images/..."}, ..., {"type": "text", "text": "..."}],
     "ground_truth": ..., "extra_info": {...}}

Sources are named by what their paths say:

| kind | found by | sources |
|---|---|---|
| LLVIP | a folder ``LLVIP`` | ``rgb`` (below ``visible``), ``infrared`` (below ``infrared``) |
| SpatialQA | a folder ``SpatialQA`` | ``rgb``, ``depth`` (in a folder whose name ends in ``_d``) |
| nuScenes | a folder ``nuscenes`` | ``camera_1`` ... ``camera_6`` |
| OCR-VQA | a folder ``OCR-VQA`` | ``page_1``, ``page_2`` |

Files of another kind need ``names``. Rows keep the order of their pictures and their text as it is.

Pictures are looked for below ``root`` (the file's own folder unless given): the row's path as it stands, the path
without a leading ``data/images/``, and that without the kind's folder too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from vantage.datasets.reading import RawRow, field, frames_of, inside, need_path, read_rows
from vantage.datasets.spec import DataSpec
from vantage.errors import DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "root", "names", "frame", "truth_frame", "reward"})

KINDS = ("LLVIP", "SpatialQA", "nuscenes", "OCR-VQA")


def rows(spec: DataSpec) -> Iterable[RawRow]:
    """Every row of the question file."""
    return read_rows(need_path(spec, "mars:llvip_eval.json?root=images"))


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row: ``mars-grounding`` in the truth frame ``pixel`` for boxes, else ``mars-vqa``."""
    content = field(row, "content", list, where)
    if "ground_truth" not in row:
        raise DataError(f"{where}: key 'ground_truth' is missing")
    paths: list[str] = []
    texts: list[str] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        value = part.get(kind) if kind in ("image", "text") else None
        if not isinstance(value, str) or not value:
            raise DataError(f"{where}: {part!r} in 'content' is neither a picture's path nor a text")
        (paths if kind == "image" else texts).append(value)
    if not paths or not texts:
        raise DataError(f"{where}: 'content' needs at least one picture and one text")
    names = name_sources(paths, where) if spec.names is None else spec.names
    if len(names) != len(paths):
        raise DataError(f"{where}: {len(paths)} pictures, but {len(names)} names: {', '.join(names)}")
    truth = row["ground_truth"]
    boxes = isinstance(truth, list)
    assert spec.path is not None  # noqa: S101  rows() has checked it
    root = spec.root or spec.path.parent
    return Sample(
        id=f"{spec.path.stem}/{where.rpartition(' ' if ', row ' in where else ':')[2]}",
        # Some rows of the original mark where a picture stands; a processor would count the mark as one picture more.
        question="\n".join(texts).replace("<image>", "").strip(),
        sources={n: Source(resolve(root, p, where)) for n, p in zip(names, paths, strict=True)},
        truth=truth,
        reward=spec.reward or ("mars-grounding" if boxes else "mars-vqa"),
        metadata={**field(row, "extra_info", dict, where, {}), **frames_of(spec, "pixel" if boxes else None)},
    )


def name_sources(paths: Sequence[str], where: str) -> tuple[str, ...]:
    """Names of a row's pictures, by the table at the top of this module.

    Raises:
        DataError: a kind that is not in the table, or two pictures that would bear one name.
    """
    folders = [PurePosixPath(path).parts[:-1] for path in paths]
    kinds = {next((kind for kind in KINDS if kind in parts), "") for parts in folders}
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind == "LLVIP":
        names = ["infrared" if "infrared" in parts else "rgb" for parts in folders]
    elif kind == "SpatialQA":
        names = ["depth" if parts[-1].endswith("_d") else "rgb" for parts in folders]
    elif kind:
        word = "camera" if kind == "nuscenes" else "page"
        names = [f"{word}_{i}" for i in range(1, len(paths) + 1)]
    else:
        raise DataError(
            f"{where}: pictures of an unknown kind ({paths[0]!r}); known are {', '.join(KINDS)}, "
            "for others give names=first,second"
        )
    if len(set(names)) != len(names):
        raise DataError(f"{where}: two pictures would both be called {names[0]!r}: {', '.join(paths)}")
    return tuple(names)


def resolve(root: Path, path: str, where: str) -> Path:
    """Where a row's picture is; see the top of this module for where it is looked for.

    Raises:
        DataError: nowhere, with the places, or a path that leaves the root.
    """
    parts = PurePosixPath(path).parts
    candidates = [inside(root, path, where)]
    if parts[:2] == ("data", "images"):
        candidates.append(inside(root, "/".join(parts[2:]), where))
        if len(parts) > 3 and parts[2] in KINDS:
            candidates.append(inside(root, "/".join(parts[3:]), where))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DataError(f"{where}: no picture {path!r}; looked for {', '.join(map(str, candidates))}")

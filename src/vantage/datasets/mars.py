"""``mars:FILE``: question files and RL training files of MARS, questions on several pictures of one scene.

Zeng et al., "Does Seeing More Mean Knowing More?", arXiv 2605.25437. Question files lie in ``data/questions`` of the
paper's public repository, training files on the hub (``AuroraZengfh/MARS``). A row of a question file is a chat message
with a truth; a file is a JSON list of rows, or one row per line:

    {"role": "user", "content": [{"type": "image", "image": "data/images/..."}, ..., {"type": "text", "text": "..."}],
     "ground_truth": ..., "extra_info": {...}}

A training file is Parquet as verl reads it, and so are those that others made in that form:

    data_source   text
    prompt        messages [{"role": "user", "content": "<image><image>..."}], or contents as above
    images        pictures {"bytes", "path"} or {"image": path}, or paths; one for each ``<image>``
    reward_model  {"style": "rule", "ground_truth": "<answer>Yes</answer>"}; the tags may be missing, boxes are JSON
    extra_info    {"split", "index", ...}

Sources are named by what their paths say, or, for pictures that the file holds, by ``data_source`` and their order:

| kind | found by | sources |
|---|---|---|
| LLVIP | a folder ``LLVIP`` | ``rgb`` (below ``visible``), ``infrared`` (below ``infrared``) |
| SpatialQA | a folder ``SpatialQA`` | ``rgb``, ``depth`` (in a folder whose name ends in ``_d``) |
| nuScenes | a folder ``nuscenes`` | ``camera_1`` ... ``camera_6`` |
| OCR-VQA | a folder ``OCR-VQA`` | ``page_1``, ``page_2`` |

Files of another kind need ``names``. Rows keep the order of their pictures and their text as it is, without the marks.
A list of boxes as truth is checked by ``mars-grounding``, anything else by ``mars-vqa``. Depth of more than 8 bits
needs ``mapping``.

Pictures are looked for below ``root`` (the file's own folder unless given): the row's path as it stands, the path
without a leading ``data/images/``, and that without the kind's folder too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made_by
from pathlib import Path, PurePosixPath
from typing import Any

from vantage.datasets import marks, places
from vantage.datasets.reading import RawRow, field, frames_of, need_path, read_rows, short
from vantage.datasets.spec import DataSpec
from vantage.errors import DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "root", "names", "frame", "truth_frame", "mapping", "reward"})

KINDS = ("LLVIP", "SpatialQA", "nuscenes", "OCR-VQA")

_TAGGED = re.compile(r"\s*<answer>(.*)</answer>\s*", re.DOTALL)
_IN_ORDER = {"LLVIP": ("rgb", "infrared"), "SpatialQA": ("rgb", "depth")}
"""Names of pictures without paths, in the order in which MARS's own rows show them."""


@dataclass(slots=True)
class _Asked:
    """What both forms of a row come down to; a picture is a path, or its encoded bytes."""

    pictures: list[str | bytes]
    texts: list[str]
    truth: Any
    kind: str = ""
    metadata: dict[str, Any] = made_by(default_factory=dict)


def rows(spec: DataSpec) -> Iterable[RawRow]:
    """Every row of the question file or training file."""
    return read_rows(need_path(spec, "mars:llvip_eval.json?root=images"))


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row: ``mars-grounding`` in the truth frame ``pixel`` for boxes, else ``mars-vqa``."""
    asked = _trained(row, where) if isinstance(row, Mapping) and "prompt" in row else _questioned(row, where)
    pictures = asked.pictures
    if not pictures or not any(text.strip() for text in asked.texts):
        raise DataError(f"{where}: a row needs at least one picture and one text")
    names = spec.names if spec.names is not None else _names(asked, where)
    if len(names) != len(pictures):
        raise DataError(f"{where}: {len(pictures)} pictures, but {len(names)} names: {', '.join(names)}")
    boxes = isinstance(asked.truth, list)
    root = places.root_of(spec)
    mapping = spec.mapping or ""
    sources = {
        name: Source(picture, ref=f"{where}: picture {name!r}", mapping=mapping)
        if isinstance(picture, bytes)
        else Source(resolve(root, picture, where), mapping=mapping)
        for name, picture in zip(names, pictures, strict=True)
    }
    return Sample(
        id=places.row_id(where),
        # Some rows of the original mark where a picture stands; a processor would count the mark as one picture more.
        question=marks.unmark("\n".join(asked.texts)),
        sources=sources,
        truth=asked.truth,
        reward=spec.reward or ("mars-grounding" if boxes else "mars-vqa"),
        metadata={**asked.metadata, **frames_of(spec, "pixel" if boxes else None)},
    )


def _questioned(row: Any, where: str) -> _Asked:
    """A row of a question file."""
    content = field(row, "content", list, where)
    if "ground_truth" not in row:
        raise DataError(f"{where}: key 'ground_truth' is missing")
    asked = _Asked([], [], row["ground_truth"], metadata={**field(row, "extra_info", dict, where, {})})
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        value = part.get(kind) if kind in ("image", "text") else None
        if not isinstance(value, str) or not value:
            raise DataError(f"{where}: {short(part)} in 'content' is neither a picture's path nor a text")
        if kind == "image":
            asked.pictures.append(value)
        else:
            asked.texts.append(value)
    return asked


def _trained(row: Mapping[str, Any], where: str) -> _Asked:
    """A row of a training file."""
    judged = field(row, "reward_model", dict, where)
    if judged.get("ground_truth") is None:
        raise DataError(f"{where}: key 'ground_truth' of 'reward_model' is missing")
    extra = field(row, "extra_info", dict, where, {})
    # Parquet gives every row every field of a struct.
    asked = _Asked([], [], _truth(judged["ground_truth"]), metadata={k: v for k, v in extra.items() if v is not None})
    for key in ("data_source", "ability"):
        if row.get(key) is not None:
            asked.metadata[key] = field(row, key, str, where)
    asked.kind = asked.metadata.get("data_source", "")
    for message in field(row, "prompt", list, where):
        role = field(message, "role", str, where)
        text = _said(message.get("content"), where)
        if role == "user":
            asked.texts.append(text)
        elif role == "system":
            asked.metadata["system"] = text
        else:
            raise DataError(f"{where}: a message of {role!r} in 'prompt'; a question has those of system and user only")
    asked.pictures = [_picture(entry, where) for entry in field(row, "images", list, where)]
    marked = sum(map(marks.count, asked.texts))
    if marked and marked != len(asked.pictures):
        raise DataError(f"{where}: the prompt marks {marked} pictures, and 'images' has {len(asked.pictures)}")
    return asked


def _said(content: Any, where: str) -> str:
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    said = []
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        text = "<image>" if kind == "image" else part.get("text") if kind == "text" else None
        if not isinstance(text, str):
            raise DataError(f"{where}: the content of a message is a text or a list of parts, not {short(content)}")
        said.append(text)
    return "\n".join(said)


def _picture(entry: Any, where: str) -> str | bytes:
    value = entry
    if isinstance(entry, Mapping):
        value = next((entry[key] for key in ("bytes", "image", "path") if entry.get(key) is not None), None)
    if not isinstance(value, (str, bytes)) or not value:
        raise DataError(f"{where}: a picture in 'images' is a path or {{'bytes', 'path'}}, not {short(entry)}")
    return value.removeprefix("file://") if isinstance(value, str) else value


def _truth(truth: Any) -> Any:
    """A truth without its tags; boxes that are written as JSON become a list."""
    if not isinstance(truth, str):
        return truth
    tagged = _TAGGED.fullmatch(truth)
    text = tagged.group(1).strip() if tagged else truth
    try:
        value = json.loads(text) if text.startswith("[") else text
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, list) else text


def _names(asked: _Asked, where: str) -> tuple[str, ...]:
    paths = [picture for picture in asked.pictures if isinstance(picture, str)]
    if len(paths) == len(asked.pictures):
        return name_sources(paths, where)
    said = asked.kind.lower().replace("-", "").replace("_", "")
    kind = next((kind for kind in KINDS if kind.lower().replace("-", "") in said), "")
    if not kind:
        raise DataError(
            f"{where}: pictures of an unknown kind (data_source {asked.kind!r}); known are {', '.join(KINDS)}, for "
            "others give names=first,second"
        )
    return _IN_ORDER.get(kind) or _numbered(kind, len(asked.pictures))


def _numbered(kind: str, n: int) -> tuple[str, ...]:
    return tuple(f"{'camera' if kind == 'nuscenes' else 'page'}_{i}" for i in range(1, n + 1))


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
        names = list(_numbered(kind, len(paths)))
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
    names = [path]
    if parts[:2] == ("data", "images"):
        names.append("/".join(parts[2:]))
        if len(parts) > 3 and parts[2] in KINDS:
            names.append("/".join(parts[3:]))
    return places.find(root, names, where)

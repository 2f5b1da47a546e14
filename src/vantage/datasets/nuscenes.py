"""``nuscenes:FILE?root=FOLDER``: NuScenes-QA, questions on what the six cameras of a car see at one moment.

Qian et al., "NuScenes-QA: A Multi-modal Visual Question Answering Benchmark for Autonomous Driving Scenario", AAAI
2024, arXiv 2305.14836. The questions come from its authors (<https://github.com/qiantianwen/NuScenes-QA>):

    NuScenes_QA_train.json, NuScenes_QA_val.json: {"questions": [{"sample_token": "...", "question": "...",
        "answer": "yes", "num_hop": 0, "template_type": "exist"}, ...]}

the pictures from nuScenes (Caesar et al. 2020, <https://www.nuscenes.org>), whose folder ``root`` names:

    ROOT/v1.0-trainval/sample_data.json, calibrated_sensor.json, sensor.json   (v1.0-mini and others: all are read)
    ROOT/samples/CAM_FRONT/....jpg ...

``path`` is a file, or a folder with both files, of which ``split`` (``train`` or ``val``) then names one; ``root`` is
that folder unless given. Tables are read piece by piece, as the largest takes more than a gigabyte.

Sources, always in this order: ``front``, ``front_left``, ``front_right``, ``back``, ``back_left``, ``back_right``. The
truth is a word, a number or ``yes`` and ``no``; the reward ``count`` for template ``count``, else ``answer``. ``tasks``
keeps some templates: ``exist``, ``count``, ``object``, ``status``, ``comparison``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vantage.datasets import marks, places
from vantage.datasets.reading import RawRow, field, inside, need_path, read_rows, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

CAMERAS = {
    "CAM_FRONT": "front",
    "CAM_FRONT_LEFT": "front_left",
    "CAM_FRONT_RIGHT": "front_right",
    "CAM_BACK": "back",
    "CAM_BACK_LEFT": "back_left",
    "CAM_BACK_RIGHT": "back_right",
}
"""Channels of nuScenes and the names of their sources, in the order of the prompt."""

TASKS = ("exist", "count", "object", "status", "comparison")
SPLITS = ("train", "val")

_CHUNK = 2**20
_LARGEST = 2**24
_BETWEEN = re.compile(r"[\s,]*")


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every question of the templates asked for, in the file's order, with the file names of its six pictures.

    Raises:
        ConfigError: no path, an unknown split or task, or a root without tables.
        DataError: a file of questions or a table that cannot be read.
    """
    path = need_path(spec, "nuscenes:NuScenes_QA_val.json?root=/data/nuscenes")
    dropped = set(TASKS) - set(places.known("nuscenes", "tasks", spec.tasks, TASKS))
    if path.is_dir():
        places.known("nuscenes", "split", [spec.split], SPLITS)
        path = path / f"NuScenes_QA_{spec.split}.json"
    elif "split" in spec.model_fields_set:
        raise ConfigError(f"{path}: a file is one split; split={spec.split} goes with the folder of both files")
    asked = [
        (where, row)
        for where, row in read_rows(path, "questions")
        if not (isinstance(row, Mapping) and str(row.get("template_type")) in dropped)
    ]
    tokens = [row.get("sample_token") for _, row in asked if isinstance(row, Mapping)]
    pictures = key_frames(places.root_of(spec), {token for token in tokens if isinstance(token, str)})
    split = path.stem.removeprefix("NuScenes_QA_")
    for where, row in asked:
        if isinstance(row, DataError):
            yield where, row
        else:
            token = row.get("sample_token") if isinstance(row, Mapping) else None
            yield where, (split, row, pictures.get(token, {}) if isinstance(token, str) else {})


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one question."""
    split, asked, pictures = row
    token = text_field(asked, "sample_token", where)
    missing = [channel for channel in CAMERAS if channel not in pictures]
    if missing:
        what = "sample" if len(missing) == len(CAMERAS) else f"key frame of {', '.join(missing)} of sample"
        raise DataError(f"{where}: no {what} {token!r} in the tables of {places.root_of(spec)}")
    answer = asked.get("answer")
    if isinstance(answer, int) and not isinstance(answer, bool):
        answer = str(answer)
    answer = text_field({**asked, "answer": answer} if "answer" in asked else asked, "answer", where)
    template = field(asked, "template_type", str, where, "")
    return Sample(
        id=f"nuscenes/{split}/{places.row_id(where).rpartition('/')[2]}",
        question=marks.unmark(text_field(asked, "question", where)),
        sources={
            name: Source(inside(places.root_of(spec), pictures[channel], where)) for channel, name in CAMERAS.items()
        },
        truth=answer,
        reward=spec.reward or ("count" if template == "count" else "answer"),
        metadata={key: asked[key] for key in ("sample_token", "template_type", "num_hop") if key in asked},
    )


def key_frames(root: Path, tokens: set[str]) -> dict[str, dict[str, str]]:
    """File names of the key frames of samples, by the sample's token and the camera's channel.

    Raises:
        ConfigError: no table below the root.
        DataError: a table that cannot be read.
    """
    versions = [file.parent for file in sorted(root.glob("v1.0-*/sample_data.json"))]
    if not versions:
        raise ConfigError(f"{root}: no tables such as v1.0-trainval/sample_data.json; root=FOLDER names nuScenes' own")
    found: dict[str, dict[str, str]] = {}
    for version in versions:
        channels = {entry["token"]: entry["channel"] for entry in _table(version / "sensor.json", "token", "channel")}
        cameras = {
            entry["token"]: channels.get(entry["sensor_token"])
            for entry in _table(version / "calibrated_sensor.json", "token", "sensor_token")
        }
        texts = ("sample_token", "calibrated_sensor_token", "filename")
        for entry in _table(version / "sample_data.json", *texts):
            channel = cameras.get(entry["calibrated_sensor_token"])
            if entry.get("is_key_frame") is True and channel in CAMERAS and entry["sample_token"] in tokens:
                found.setdefault(entry["sample_token"], {})[channel] = entry["filename"]
    return found


def _table(file: Path, *keys: str) -> Iterator[dict[str, Any]]:
    """The entries of a table, each with a text under every key."""
    for number, entry in enumerate(_objects(file)):
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in keys):
            raise DataError(f"{file}, entry {number}: an entry has texts under {', '.join(keys)}, not {short(entry)}")
        yield entry


def _objects(file: Path) -> Iterator[Any]:
    """The values of a JSON list, of which a few are in memory at a time."""
    decoder = json.JSONDecoder()
    text, at, opened = "", 0, False
    try:
        with file.open(encoding="utf-8-sig") as stream:
            while chunk := stream.read(_CHUNK):
                text, at = text[at:] + chunk, 0
                while True:
                    at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty text too
                    if not opened and text.startswith("[", at):
                        opened, at = True, at + 1
                        continue
                    if not opened or text.startswith("]", at):
                        break
                    try:
                        value, at = decoder.raw_decode(text, at)
                    except (ValueError, RecursionError):
                        break  # the rest of it may come with the next chunk
                    yield value
                if len(text) - at > _LARGEST:
                    break
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a readable UTF-8 file ({error})") from error
    if not opened or text[at:].strip() != "]":
        raise DataError(f"{file}: not a JSON list, or cut short, at {short(text[at : at + 60])}")

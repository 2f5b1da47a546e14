"""``reason-rft:FOLDER``: the data of Reason-RFT: counting, structure perception, spatial transformation.

Tan et al., "Reason-RFT: Reinforcement Fine-Tuning for Visual Reasoning", 2025 (arXiv 2503.20752). From the hub
(``tanhuajie2001/Reason-RFT-CoT-Dataset``), its archives of pictures unpacked:

- ``visual-counting`` (CLEVR-Math; out of domain Super-CLEVR): ``train_jsons/A3-Visual-Counting-train-35k-cot.json``,
  ``test_jsons/Visual-Counting-{id,ood}-test-1k.json``;
- ``structure-perception`` (GeoMath; Geometry3K): ``train_jsons/A2-Structure-Perception-train-4k5-cot.json``,
  ``test_jsons/Structure-Perception-{id-test-820,ood-test-800}.json``;
- ``spatial-transformation`` (TRANCE from the centre; from left and right):
  ``train_jsons/A1-Spatial-Transformation-train-60k-cot.json``,
  ``test_jsons/Spatial-Transformation-{id,ood-left,ood-right}-test-1k.json``.

Splits: ``train``, ``test`` (in-domain), ``test-ood`` (out of domain, all), ``test-ood-left`` and ``test-ood-right``.
``tasks`` keeps some of the three, by the names above. ``path`` may also be one file of rows, which is read whole; its
task is known by its name or by ``tasks``.

A row has ``id``, ``image`` (a path, or two for transformations), ``problem``, ``answer`` (or ``solution``, the form of
the public RL code) and, for training, ``cot``. The SFT form, ``messages`` with ``images`` or ``image``, is read too:
the truth is what the assistant's message has between answer tags, or all of it. Pictures are looked for below ``root``
(the folder unless given): in ``images/{train,test}_images/``, ``{train,test}_images/``, ``images/`` and as named.

Sources: ``image``; ``before`` and ``after`` for transformations, whose question gets the functions and values that the
public code puts into its prompt. Truth: the answer's text. Rewards are those of the public code:
``reason-rft-accuracy + reason-rft-format``, for transformations ``reason-rft-transformation + reason-rft-format``. The
paper's reward for numbers, ``reason-rft-number``, is switched off in that code and reads no choices, of which structure
perception has some; where all truths are numbers, set it with ``reward``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vantage.datasets import marks, trance
from vantage.datasets.places import find, folder_of, known, question_file, row_id
from vantage.datasets.reading import RawRow, field, need_path, read_rows, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.pictures import Source
from vantage.rewards import extract
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

TASKS = {
    "visual-counting": ("visual-counting", "clevr"),
    "structure-perception": ("structure-perception", "geomath", "geo-math", "geometry3k"),
    "spatial-transformation": ("spatial-transformation", "trance"),
}
"""What the name of a file of a task holds, beginning with how the hub has it."""

SPLITS = {
    "train": ("train",),
    "test": ("id-test",),
    "test-ood": ("ood-test", "ood-left-test", "ood-right-test"),
    "test-ood-left": ("ood-left-test",),
    "test-ood-right": ("ood-right-test",),
}
"""What follows the task in the names of a split's files."""

_PLACES = ("images/train_images/", "images/test_images/", "train_images/", "test_images/", "images/", "")
_KEPT = ("id", "type", "level", "cot")


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every row of the files that split and tasks choose.

    Raises:
        ConfigError: no path, a split or task that does not exist, or no file that has both.
        DataError: a file that is not there.
    """
    path = need_path(spec, "reason-rft:/data/Reason-RFT-CoT-Dataset?split=train&tasks=visual-counting")
    parts = SPLITS[known(spec.name, "split", [spec.split], SPLITS)[0]]
    tasks = known(spec.name, "tasks", spec.tasks, TASKS)
    if path.is_file():
        task = _task_of(path, spec)
        yield from ((where, row if isinstance(row, DataError) else (task, row)) for where, row in read_rows(path))
        return
    folder = "train_jsons" if spec.split == "train" else "test_jsons"
    found = False
    for task in tasks:
        word = "-".join(part.capitalize() for part in task.split("-"))
        for part in parts:
            # Transformations have an out-of-domain file for each side, and only they do.
            if part.startswith("ood") and (task == "spatial-transformation") == (part == "ood-test"):
                continue
            found = True
            name = f"*{word}-{part}*.json"
            file = question_file(path, [f"{folder}/{name}", name], f"split {spec.split!r} of {task}")
            yield from ((where, row if isinstance(row, DataError) else (task, row)) for where, row in read_rows(file))
    if not found:
        raise ConfigError(f"data set {spec.name!r}: {', '.join(tasks)} has no split {spec.split!r}")


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row of any form."""
    task, row = row
    if not isinstance(row, dict):
        raise DataError(f"{where}: a row is an object, not {type(row).__name__}")
    question, truth = _spoken(row, where) if "messages" in row else _asked(row, where)
    question = marks.unmark(question)
    moved = task == "spatial-transformation"
    if moved and "change_" not in question:
        question = (
            "Some objects were changed between the first picture and the second. Which changes were made? Answer with "
            f"a list of function(object, value).\n{question}\nFunctions, and the values that they take:\n"
            f"{trance.rules(steps=False)}"
        )
    paths = _paths(row, where)
    if moved and len(paths) != 2:
        raise DataError(f"{where}: a transformation has two pictures, before and after, not {len(paths)}")
    names = ["before", "after"] if moved else [f"image_{i + 1}" for i in range(len(paths))]
    names = ["image"] if len(paths) == 1 else names
    root = spec.root or _folder(spec)
    verifier = "reason-rft-transformation" if moved else "reason-rft-accuracy"
    return Sample(
        id=f"reason-rft/{row_id(where)}",
        question=question,
        sources={
            name: Source(find(root, [place + path for place in _PLACES], where))
            for name, path in zip(names, paths, strict=True)
        },
        truth=truth,
        reward=spec.reward or f"{verifier} + reason-rft-format",
        metadata={"task": task} | {key: row[key] for key in _KEPT if isinstance(row.get(key), (str, int, float))},
    )


def _task_of(path: Path, spec: DataSpec) -> str:
    if spec.tasks is not None:
        if len(spec.tasks) != 1:
            raise ConfigError(f"data set {spec.name!r}: one file is of one task, and tasks names {len(spec.tasks)}")
        return spec.tasks[0]
    stem = path.stem.lower().replace("_", "-")
    for task, words in TASKS.items():
        if any(word in stem for word in words):
            return task
    raise ConfigError(
        f"data set {spec.name!r}: the name of {path} tells no task; name it with tasks=, one of {', '.join(TASKS)}"
    )


def _folder(spec: DataSpec) -> Path:
    """The data set's folder, above that of its question files."""
    folder = folder_of(spec.path or Path())
    return folder.parent if folder.name in ("train_jsons", "test_jsons") else folder


def _asked(row: dict[str, Any], where: str) -> tuple[str, str]:
    """Question and truth of the form that the hub and the RL code have."""
    key = "answer" if "answer" in row else "solution"
    if key not in row:
        raise DataError(f"{where}: key 'answer' is missing, and 'solution' too; the row has {', '.join(map(str, row))}")
    answer = row[key]
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)) or not str(answer).strip():
        raise DataError(f"{where}: key {key!r} is a text or a number, not {short(answer)}")
    return text_field(row, "problem", where), str(answer).strip()


def _spoken(row: dict[str, Any], where: str) -> tuple[str, str]:
    """Question and truth of the form for fine-tuning."""
    said: dict[str, str] = {}
    for i, message in enumerate(field(row, "messages", list, where)):
        here = f"{where}, messages[{i}]"
        said[text_field(message, "role", here)] = text_field(message, "content", here)
    if not {"user", "assistant"} <= said.keys():
        raise DataError(
            f"{where}: 'messages' are those of a user and an assistant, not of {', '.join(said) or 'nobody'}"
        )
    answer = extract.block(said["assistant"], extract.ANSWER)
    return said["user"], said["assistant"] if answer is None else answer.strip()


def _paths(row: dict[str, Any], where: str) -> list[str]:
    key = "images" if "images" in row else "image"
    value = row.get(key)
    entries = value if isinstance(value, list) else [value]
    paths = [entry.get("path") if isinstance(entry, dict) else entry for entry in entries]
    named = [path for path in paths if isinstance(path, str) and path.strip()]
    if not named or len(named) != len(paths):
        raise DataError(f"{where}: key {key!r} is a picture's path or a list of them, not {short(value)}")
    return named

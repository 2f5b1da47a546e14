r"""``spatialqa:FILE``: SpatialQA and SpatialBench, questions on a colour picture and the depth that belongs to it.

Cai et al., "SpatialBot: Precise Spatial Understanding with Vision Language Models", arXiv 2406.13642; from the hub
(``RussRobin/SpatialQA`` and ``RussRobin/SpatialBench``). A file is a JSON list, or one row a line, of either form:

- SpatialQA, as LLaVA and Bunny write conversations, with the depth among the pictures:
  ``{"id", "image": ["<set>/1.jpg", "<set>_d/1.png"], "conversations": [{"from": "human", "value":
  "<image 1>\n<image 2>\n..."}, {"from": "gpt", "value": "..."}]}``
- SpatialBench: ``{"id", "image": "existence/1.jpg", "question", "answer"}``; the depth of ``existence/1.jpg`` is
  ``existence_d/1.png``. Where ``path`` is a folder, its ``existence.json``, ``counting.json``, ``positional.json``,
  ``reach.json`` and ``size.json`` are read, or those that ``tasks`` names.

Pictures lie below ``root``, the file's own folder unless given. SpatialQA's questions as MARS asks them are read by
``mars``.

Sources: ``rgb`` and ``depth``, what lies in a folder whose name ends in ``_d``; ``rgb_1``, ``depth_1``, ``rgb_2`` ...
where a row has several; in the row's order, the depths of SpatialBench last. Depth has 16 bits and whole millimetres.
It is shown by ``mapping``, ``depth-channels`` unless given: what SpatialBot itself makes of it.

Each question of a conversation becomes a row, asked alone. The truth is its answer, the reward ``count`` for
SpatialBench's ``counting``, else ``answer``. Much of SpatialQA is answered in sentences, which no rule can check, or
has no picture: an answer of more than ``LONGEST`` words or a row without a picture is an error unless
``unlabelled=drop``, which leaves such questions out and logs how many. SpatialBench's ``grounding.json`` is not read,
as the form of its boxes is not documented.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from vantage.datasets import marks, places
from vantage.datasets.reading import RawRow, field, inside, need_path, read_rows, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "root", "tasks", "mapping", "reward", "unlabelled"})

TASKS = ("existence", "counting", "positional", "reach", "size")
"""Tasks of SpatialBench, each a file and two folders of pictures."""

MAPPING = "depth-channels"

LONGEST = 5
"""Words of the longest answer that is compared with; longer ones are sentences."""


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every question, those of a conversation in their order.

    Raises:
        ConfigError: no path, an unknown task, a task of a single file, or a folder without question files.
        DataError: a file that cannot be read.
    """
    path = need_path(spec, "spatialqa:/data/SpatialBench")
    asked = (raw for file in _files(path, spec) for where, row in read_rows(file) for raw in _questions(row, where))
    if spec.unlabelled == "error":
        yield from asked
    else:
        what = f"questions without a picture or an answer of at most {LONGEST} words"
        yield from places.without(asked, lambda row: not _usable(row), path, what)


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one question."""
    if isinstance(row, Mapping) and "objects" in row:
        raise DataError(f"{where}: a row of boxes ('objects'), whose form is not documented; it is not read")
    question, answer = text_field(row, "question", where), row.get("answer")
    truth = str(answer) if _is_count(answer) else text_field(row, "answer", where)
    if len(truth.split()) > LONGEST:
        raise DataError(
            f"{where}: the answer {short(truth)} has more than {LONGEST} words, which no rule can check; leave such "
            "questions out with unlabelled=drop"
        )
    images = [row["image"]] if isinstance(row.get("image"), str) else field(row, "image", list, where)
    if not images or not all(isinstance(image, str) for image in images):
        raise DataError(f"{where}: key 'image' is a path or a list of them, not {short(row['image'])}")
    names = images if "turn" in row else [*images, *_depths(images, where)]
    root = places.root_of(spec)
    task = PurePosixPath(images[0]).parts[0] if len(PurePosixPath(images[0]).parts) > 1 else ""
    kept = {"row": row.get("id"), "turn": row.get("turn"), "folder": task or None}
    return Sample(
        id=f"spatialqa/{places.row_id(where.partition(', turn ')[0])}" + (f"/{row['turn']}" if "turn" in row else ""),
        question=marks.unmark(question),
        sources={
            called: Source(inside(root, name, where), mapping=(spec.mapping or MAPPING) if _is_depth(name) else "")
            for called, name in zip(_called(names), names, strict=True)
        },
        truth=truth,
        reward=spec.reward or ("count" if task == "counting" else "answer"),
        metadata={key: value for key, value in kept.items() if value is not None},
    )


def _files(path: Path, spec: DataSpec) -> list[Path]:
    if path.is_file():
        if spec.tasks is not None:
            raise ConfigError(
                f"{path}: a file has no tasks; tasks={','.join(spec.tasks)} goes with SpatialBench's folder"
            )
        return [path]
    tasks = places.known("spatialqa", "tasks", spec.tasks, TASKS)
    files = [path / f"{task}.json" for task in tasks]
    # Without tasks, those are read that are there; one that is asked for must be.
    found = files if spec.tasks is not None else [file for file in files if file.is_file()]
    if not found:
        raise ConfigError(f"{path}: none of {', '.join(file.name for file in files)}; SpatialQA's file is named itself")
    return found


def _questions(row: Any, where: str) -> Iterable[RawRow]:
    return _turns(row, where) if isinstance(row, Mapping) and "conversations" in row else [(where, row)]


def _turns(row: Mapping[str, Any], where: str) -> Iterator[RawRow]:
    """The questions of a conversation with their answers, as rows of SpatialBench have them."""
    try:
        said = field(row, "conversations", list, where)
        speakers = [field(part, "from", str, where) for part in said]
        if not said or speakers != ["human", "gpt"] * (len(said) // 2):
            raise DataError(f"{where}: a conversation goes human, gpt, human, gpt ..., not {short(speakers)}")
        values = [text_field(part, "value", where) for part in said]
    except DataError as error:
        yield where, error
        return
    rest = {key: row[key] for key in ("id", "image") if key in row}
    for turn, (question, answer) in enumerate(zip(values[::2], values[1::2], strict=True)):
        yield f"{where}, turn {turn}", {**rest, "question": question, "answer": answer, "turn": turn}


def _usable(row: Any) -> bool:
    """Whether a row may have a picture and a short answer; a defect is kept, and told as an error."""
    if not isinstance(row, Mapping) or not isinstance(row.get("answer"), str):
        return True
    return row.get("image") is not None and len(row["answer"].split()) <= LONGEST


def _is_count(answer: Any) -> bool:
    return isinstance(answer, int) and not isinstance(answer, bool)


def _is_depth(name: str) -> bool:
    return PurePosixPath(name).parent.name.endswith("_d")


def _depths(images: list[str], where: str) -> list[str]:
    """The depths that belong to the pictures of a row of SpatialBench, unless it names them itself."""
    if any(map(_is_depth, images)):
        return []
    found = []
    for image in images:
        folder, slash, _ = image.partition("/")
        if not slash:
            raise DataError(f"{where}: the depth of {image!r} would lie in the folder of its task, and it names none")
        found.append(f"{folder}_d/{image.rpartition('/')[2].partition('.')[0]}.png")
    return found


def _called(names: list[str]) -> list[str]:
    kinds = ["depth" if _is_depth(name) else "rgb" for name in names]
    return [f"{kind}_{kinds[: i + 1].count(kind)}" if kinds.count(kind) > 1 else kind for i, kind in enumerate(kinds)]

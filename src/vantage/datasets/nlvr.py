"""``nlvr:FILE``: NLVR and NLVR2, whether a sentence is true of a picture, or of a pair of photographs.

Suhr et al., "A Corpus of Natural Language for Visual Reasoning", ACL 2017 (NLVR); Suhr, Zhou et al., "A Corpus for
Reasoning about Natural Language Grounded in Photographs", ACL 2019 (NLVR2, arXiv 1811.00491). Both from
``lil-lab/nlvr``; NLVR2's photographs from its authors on request. ``path`` is a file, or the folder of one corpus.

- NLVR: ``<split>/<split>.json``, a row a line, ``{"sentence", "label", "identifier", "directory", ...}``; pictures
  ``<split>/images/<directory>/<split>-<identifier>-<k>.png``. Source: ``image``.
- NLVR2: ``data/<split>.json``, a row a line; pictures ``<identifier without its last part>-img0.png`` and
  ``-img1.png``, below ``root``. Sources: ``left``, ``right``.
- NLVR2 on the hub (``lmms-lab/NLVR2``): Parquet with the pictures inside; ``question`` and ``answer`` for ``sentence``
  and ``label``.

Pictures are looked for below ``root`` (the folder unless given): in ``<split>/images/``, ``images/``,
``images/<split>/``, ``<split>/`` and as named, each with and without the row's ``directory``. NLVR draws every scene
six times, its three boxes in another order: ``tasks=0,1`` takes several of these, the first alone unless given.
Truth: ``true`` or ``false``; reward ``answer``. Splits are what the files are named by: ``train``, ``dev`` and ``test``
for NLVR; ``train``, ``dev``, ``test1``, ``test2`` or ``balanced_dev`` and the like for NLVR2. A file given as the path
is read whole; its split is the one that it is named after, such as ``dev_20.jsonl``, or what ``split`` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vantage.datasets import exams
from vantage.datasets.places import embedded, find, known, parquet_files, question_file, root_of, row_id
from vantage.datasets.reading import RawRow, need_path, read_rows, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

SPLITS = (
    *("train", "dev", "test", "test1", "test2"),
    *("balanced_dev", "balanced_test1", "balanced_test2", "balanced_test_public", "balanced_test_unseen"),
    *("unbalanced_dev", "unbalanced_test1", "unbalanced_test2", "unbalanced_test_public", "unbalanced_test_unseen"),
)
ORDERS = ("0", "1", "2", "3", "4", "5")
"""NLVR's six drawings of a scene."""

_KEPT = ("synset", "query", "directory", "writer")


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every row of the split, once for each drawing asked for.

    Raises:
        ConfigError: no path, a split or drawing that does not exist, or drawings of NLVR2.
        DataError: no question file, or none that is of one corpus only.
    """
    path = need_path(spec, "nlvr:/data/nlvr/nlvr?split=dev")
    known(spec.name, "split", [spec.split], SPLITS)
    split = exams.split_of(spec, SPLITS)
    orders = known(spec.name, "tasks", spec.tasks or ["0"], ORDERS)
    files = parquet_files(path, [f"{split}-*.parquet", f"data/{split}-*.parquet"])
    if not files:
        if (path / "nlvr").is_dir() and (path / "nlvr2").is_dir():
            raise DataError(f"{path}: both NLVR and NLVR2 are here; name {path / 'nlvr'} or {path / 'nlvr2'}")
        names = (f"{split}/{split}.json", f"data/{split}.json", f"{split}.json")
        kind, part = split.partition("_")[::2]
        balanced = (f"data/{kind}/{split}.json",) if part else ()
        parts = [f"{split}[_-]*.{suffix}" for suffix in ("jsonl", "json")]
        files = [question_file(path, [*names, *balanced, *parts], f"split {split!r}")]
    for file in files:
        for where, row in read_rows(file):
            if spec.tasks is not None and isinstance(row, Mapping) and not _is_nlvr(row):
                raise ConfigError(f"{where}: tasks names drawings of NLVR, and this row is none of NLVR's")
            yield from ((where, row if isinstance(row, DataError) else (order, row)) for order in orders)


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row of either corpus, in one drawing."""
    order, row = row
    split = exams.split_of(spec, SPLITS)
    if not isinstance(row, Mapping):
        raise DataError(f"{where}: a row is an object, not {type(row).__name__}")
    sentence = text_field(row, "sentence" if "sentence" in row else "question", where)
    label = row.get("label", row.get("answer"))
    word = str(label).strip().lower() if isinstance(label, (str, bool)) else ""
    if word not in ("true", "false"):
        key = "answer" if "answer" in row and "label" not in row else "label"
        missing = "is missing" if key not in row else f"is true or false, not {short(label)}"
        raise DataError(f"{where}: key {key!r} {missing}")
    if "left_image" in row:
        name = row_id(where)
        sources = {side: embedded(row, f"{side}_image", where) for side in ("left", "right")}
    else:
        identifier = text_field(row, "identifier", where)
        if _is_nlvr(row):
            pictures = {"image": f"{split}-{identifier}-{order}.png"}
            name = f"{identifier}-{order}"
        else:
            stem = identifier.rpartition("-")[0]
            pictures = {"left": f"{stem}-img0.png", "right": f"{stem}-img1.png"}
            name = identifier
        sources = {key: _picture(picture, row, where, split, spec) for key, picture in pictures.items()}
    about = "picture" if len(sources) == 1 else "pair of pictures"
    return Sample(
        id=f"nlvr/{split}/{name}",
        question=f"Is this statement about the {about} true or false?\n{sentence}",
        sources=sources,
        truth=word,
        reward=spec.reward or "answer",
        metadata={key: row[key] for key in _KEPT if isinstance(row.get(key), (str, int))},
    )


def _is_nlvr(row: Mapping[str, Any]) -> bool:
    """Whether a row is of NLVR, whose identifiers have two parts, and not of NLVR2, whose have four."""
    identifier = row.get("identifier")
    return "left_image" not in row and isinstance(identifier, str) and identifier.count("-") == 1


def _picture(name: str, row: Mapping[str, Any], where: str, split: str, spec: DataSpec) -> Source:
    below = str(row["directory"]) if isinstance(row.get("directory"), (str, int)) else ""
    kinds = (f"{split}/images", "images", f"images/{split}", split, ".")
    names = [f"{kind}/{part}{name}" for kind in kinds for part in ((f"{below}/", "") if below else ("",))]
    return Source(find(root_of(spec), names, where))

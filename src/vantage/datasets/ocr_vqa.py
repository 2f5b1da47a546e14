"""``ocr-vqa:FOLDER``: OCR-VQA, questions on book covers, one cover or two at a time.

Mishra et al., "OCR-VQA: Visual Question Answering by Reading Text in Images", ICDAR 2019, <https://ocr-vqa.github.io>.
Read are

    FOLDER/dataset.json: {"<id>": {"imageURL": "...", "questions": [...], "answers": [...], "title": "...",
        "authorName": "...", "genre": "...", "split": 1}}      splits 1 train, 2 val, 3 test
    FOLDER/images/<id>.jpg (.png, .gif ...), as the authors' script saves them; or below ``root``

or, where there is no ``dataset.json``, the hub's ``FOLDER/data/<split>-*.parquet`` (``howard-hou/OCR-VQA``; columns
``image``, ``image_id``, ``questions``, ``answers``, ``title``, ``authorName``, ``genre``), whose pictures are kept in
memory.

``tasks`` says what becomes a row, ``single`` unless given:

| task | a row is | sources |
|---|---|---|
| ``single`` | a question of the data set | ``cover`` |
| ``same-genre`` | a cover and another: are both books in one field, and in which? | ``page_1``, ``page_2`` |
| ``same-author`` | a cover and another: have both books one author, and whom? | ``page_1``, ``page_2`` |

Pairs are made here, as the multi-image rows that MARS trains on were made from covers elsewhere. Each book that has a
genre (an author) is the first of one pair; the second is drawn with the first one's id as seed, in half of the pairs
among the books that share it, where there are any. Options are listed in the question, one of them "not the same".

The truth is the answer's text, of pairs the option's letter; the reward is ``answer``.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vantage.datasets import exams, marks, places
from vantage.datasets.reading import RawRow, field, need_path, read_json, read_rows, short, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

SPLITS = {"train": 1, "val": 2, "test": 3}

PAIRS = {
    "same-genre": ("genre", "Are both books in the same field? If so, choose the field."),
    "same-author": ("authorName", "Are both books by the same author? If so, choose the author."),
}
"""Tasks on two covers: what is compared, and the question."""

DIFFERENT = "not the same"
OPTIONS = 4


@dataclass(frozen=True, slots=True)
class _Book:
    """A book, where it stands, and its cover, if there is one."""

    key: str
    where: str
    entry: Mapping[str, Any]
    cover: Source | None


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Rows of the tasks asked for, task after task in that order, books in the file's order.

    Raises:
        ConfigError: no path, an unknown split or task, or neither ``dataset.json`` nor Parquet files.
        DataError: a file that cannot be read, or without books of that split.
    """
    folder = need_path(spec, "ocr-vqa:/data/OCR-VQA?split=val")
    places.known("ocr-vqa", "split", [spec.split], SPLITS)
    tasks = places.known("ocr-vqa", "tasks", spec.tasks or ["single"], ["single", *PAIRS])
    file = folder if folder.suffix == ".json" else folder / "dataset.json"
    books: list[_Book] = []
    found = False
    for where, book in _of_json(file, spec) if file.is_file() else _of_parquet(folder, spec):
        found = True
        if isinstance(book, _Book):
            books.append(book)
        else:
            yield where, book
    if not found:
        raise DataError(f"{folder}: no books of split {spec.split!r}")
    for task in tasks if books else ():
        yield from _singles(books) if task == "single" else _pairs(books, task)


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one question, or of one pair."""
    books, question, truth, name, metadata = row
    names = ["cover"] if len(books) == 1 else ["page_1", "page_2"]
    sources = {}
    for source, book in zip(names, books, strict=True):
        if book.cover is None:
            raise DataError(f"{where}: no picture of book {book.key!r} in the folder images; root=FOLDER names its own")
        sources[source] = book.cover
    return Sample(
        id=f"ocr-vqa/{spec.split}/{name}",
        question=marks.unmark(question),
        sources=sources,
        # A text with "or" in it would offer its parts, and a title such as "Do or Die" offers nothing.
        truth=[truth] if isinstance(truth, str) and " or " in truth.casefold() else truth,
        reward=spec.reward or "answer",
        metadata=metadata,
    )


def _of_json(file: Path, spec: DataSpec) -> Iterator[tuple[str, _Book | DataError]]:
    entries = read_json(file)
    if not isinstance(entries, dict):
        raise DataError(f"{file}: OCR-VQA is an object with a book under each id, not {short(entries)}")
    folder = (spec.root or file.parent) / "images"
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; root=FOLDER names the one that images lies in")
    covers = {picture.stem: picture for picture in sorted(folder.iterdir())}
    for key, entry in entries.items():
        where = f"{file}, {short(key)}"
        try:
            split = field(entry, "split", int, where)
            if split not in SPLITS.values():
                raise DataError(f"{where}: key 'split' is 1, 2 or 3, not {short(split)}")
            if split == SPLITS[spec.split]:
                yield where, _Book(key, where, entry, Source(covers[key]) if key in covers else None)
        except DataError as error:
            yield where, error


def _of_parquet(folder: Path, spec: DataSpec) -> Iterator[tuple[str, _Book | DataError]]:
    stem = {"val": "validation"}.get(spec.split, spec.split)
    files = places.parquet_files(folder, [f"data/{stem}-*.parquet", f"{stem}-*.parquet"])
    if not files:
        raise ConfigError(f"{folder}: neither dataset.json nor data/{stem}-*.parquet")
    for file in files:
        for where, row in read_rows(file):
            try:
                key = text_field(row, "image_id", where)
                yield where, _Book(key, where, row, places.embedded(row, "image", where))
            except DataError as error:
                yield where, error


def _singles(books: Iterable[_Book]) -> Iterator[RawRow]:
    for book in books:
        try:
            questions, answers = (field(book.entry, key, list, book.where) for key in ("questions", "answers"))
            if len(questions) != len(answers):
                raise DataError(f"{book.where}: {len(questions)} questions, but {len(answers)} answers")
        except DataError as error:
            yield book.where, error
            continue
        for i, (question, answer) in enumerate(zip(questions, answers, strict=True)):
            where = f"{book.where}, question {i}"
            try:
                pair = {"question": question, "answer": answer}
                yield (
                    where,
                    (
                        [book],
                        text_field(pair, "question", where),
                        text_field(pair, "answer", where),
                        f"{book.key}/{i}",
                        {name: value for name in ("title", "authorName", "genre") if (value := _of(book, name))},
                    ),
                )
            except DataError as error:
                yield where, error


def _pairs(books: Iterable[_Book], task: str) -> Iterator[RawRow]:
    key, question = PAIRS[task]
    known = [(book, value) for book in books if (value := _of(book, key))]
    groups: dict[str, list[_Book]] = {}
    for book, value in known:
        groups.setdefault(value, []).append(book)
    values = list(groups)
    if len(values) < 2:
        raise ConfigError(f"{task} compares books, and all {len(known)} that have {key!r} have the same")
    for book, value in known:
        dice = random.Random(f"{book.key}/{task}")
        others = [other for other in groups[value] if other is not book]
        same = bool(others) and dice.random() < 0.5
        other_value = value if same else _draw(dice, values, {value})
        other = dice.choice(others if same else groups[other_value])
        # The two books' own values are listed, so that a "no" is not told by what is missing.
        options = list(dict.fromkeys([DIFFERENT, value, other_value]))
        while len(options) < min(OPTIONS, len(values) + 1):
            options.append(_draw(dice, values, set(options)))
        dice.shuffle(options)
        where = f"{book.where}, {task}"
        letter = exams.letter_of(options, value if same else DIFFERENT, where)
        asked, truth = exams.multiple_choice(question, options, letter)
        about = {"task": task, "books": [book.key, other.key], "choices": options}
        yield where, ([book, other], asked, truth, f"{book.key}/{task}", about)


def _draw(dice: random.Random, values: list[str], taken: set[str]) -> str:
    while (value := dice.choice(values)) in taken:
        pass
    return value


def _of(book: _Book, key: str) -> str:
    """A text of a book on one line; empty where it has none."""
    value = book.entry.get(key)
    return " ".join(value.split()) if isinstance(value, str) else ""

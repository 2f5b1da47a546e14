"""What loaders of mathematical problems share: files of a split, kinds of question, pictures, options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vantage.datasets import places
from vantage.datasets.reading import RawRow, read_rows, short
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.pictures import Source

_LAYOUTS = (
    "data/{}-*.parquet",
    "{}-*.parquet",
    "{}.parquet",
    "data/{}.jsonl",
    "data/{}.json",
    "{}.jsonl",
    "{}.json",
)
_PARTS = ("data/{}[_-]*.jsonl", "data/{}[_-]*.json", "{}[_-]*.jsonl", "{}[_-]*.json")
"""A part of a split under a name such as ``testmini_30.jsonl``; of several it is not plain which is meant."""

_MARK = re.compile(r"<image ?(\d{1,3})>")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def split_of(spec: DataSpec, splits: Sequence[str]) -> str:
    """The split that is asked for; else the one that a file is named after, else the first.

    Raises:
        ConfigError: no such split, or the file is named after another.
    """
    path = spec.path or Path()
    named = max((s for s in splits if path.is_file() and path.stem.startswith(s)), key=len, default="")
    split = spec.split if "split" in spec.model_fields_set else named or splits[0]
    if split not in splits:
        raise ConfigError(f"data set {spec.name!r} has no split {split!r}; it has {', '.join(splits)}")
    if named and named != split:
        raise ConfigError(f"{path} is the file of split {named!r}, not of {split!r}")
    return split


def split_rows(path: Path, split: str, read: Callable[[Path], Iterable[RawRow]] = read_rows) -> Iterator[RawRow]:
    """The rows of a file, or of a split's files in a folder as the hub or a repository lays it out, Parquet first.

    Raises:
        ConfigError: the folder has none, or several parts of the split; names what was looked for.
    """
    layouts, parts = ([form.format(split) for form in forms] for forms in (_LAYOUTS, _PARTS))
    found = [path] if path.is_file() else next(filter(None, (sorted(path.glob(p)) for p in layouts)), [])
    if not found:
        found = next(filter(None, (sorted(path.glob(p)) for p in parts)), [])
        if len(found) != 1:
            names, looked = ", ".join(file.name for file in found), ", ".join([*layouts, *parts])
            several = f"split {split!r} may be any of {names}; name one of them"
            raise ConfigError(f"{path}: " + (several if found else f"no rows of split {split!r}; looked for {looked}"))
    for file in found:
        yield from read(file)


def plain(name: str) -> str:
    """A kind of question as it is compared: without regard to case, hyphens, underscores."""
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())


def of_tasks(rows: Iterable[RawRow], spec: DataSpec, kinds: Callable[[Any], Iterable[Any]]) -> Iterator[RawRow]:
    """The rows of the kinds that ``tasks`` names, all without it; rows whose kind cannot be read are errors.

    Raises:
        ConfigError: after the last row, where a kind was asked for that no row has; lists those there are.
    """
    if spec.tasks is None:
        yield from rows
        return
    asked = {plain(task): task for task in spec.tasks}
    found: dict[str, str] = {}
    for where, row in rows:
        if not isinstance(row, Mapping):
            yield where, row
            continue
        mine = {plain(kind): kind for kind in kinds(row) if isinstance(kind, str)}
        found |= mine
        if not mine:
            why = "keeps kinds of question, and this row's cannot be read"
            yield where, DataError(f"{where}: tasks={','.join(spec.tasks)} {why}")
        elif asked.keys() & mine.keys():
            yield where, row
    unknown = [task for key, task in asked.items() if key not in found]
    if unknown:
        raise ConfigError(
            f"data set {spec.name!r}: no row is of kind {unknown[0]!r}; there are {', '.join(sorted(found.values()))}"
        )


def picture(value: Any, spec: DataSpec, where: str, ref: str) -> Source:
    """A row's picture: encoded, as the ``datasets`` library writes it, or a path.

    A path is looked for below ``root``; without one below the folder of the file, or the folder around that where it
    is called ``data``, since releases keep ``data`` and ``images`` side by side. Below it, ``images`` and ``data`` are
    looked into too.

    Args:
        value: the path, or ``{"bytes", "path"}``.
        spec: names the root, or the file.
        where: begins an error.
        ref: how an encoded picture is called where it has no path.

    Raises:
        DataError: neither, a path that leaves its root, or a picture that is nowhere.
    """
    if isinstance(value, Mapping):
        content, name = value.get("bytes"), value.get("path")
        if isinstance(content, bytes) and content:
            return Source(content, ref=name if isinstance(name, str) and name else ref)
        value = name
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: a picture is a path or an object with bytes and path, not {short(value)}")
    root = places.root_of(spec)
    names = [value, f"images/{value}", f"data/{value}"]
    if spec.root is None and root.absolute().name == "data":
        names = [f"data/{value}", f"data/images/{value}", *names[:2]]
        root = root.parent if root.name else root.absolute().parent
    return Source(places.find(root, names, where))


def pictures(values: Any, spec: DataSpec, where: str, name: str) -> dict[str, Source]:
    """A row's list of pictures: ``name`` where there is one, else ``name_1``, ``name_2`` and so on.

    Raises:
        DataError: as ``picture``, or no list of at least one.
    """
    if not isinstance(values, (list, tuple)) or not values:
        raise DataError(f"{where}: a row needs a list of at least one picture, not {short(values)}")
    names = [name] if len(values) == 1 else [f"{name}_{i}" for i in range(1, len(values) + 1)]
    return {each: picture(value, spec, where, f"{where}, {each}") for each, value in zip(names, values, strict=True)}


def choices(value: Any, where: str, key: str) -> list[str]:
    """The options of a row, each on one line; none where the row has no list.

    Raises:
        DataError: no list of texts, a blank one, or more than there are letters.
    """
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(option, str) for option in value):
        raise DataError(f"{where}: key {key!r} is a list of texts, not {short(value)}")
    options = [" ".join(_MARK.sub(r"picture \1", option).split()) for option in value]
    if not all(options) or len(options) > len(_LETTERS):
        raise DataError(f"{where}: key {key!r} holds at most {len(_LETTERS)} options, none blank, not {short(value)}")
    return options


def right_letter(options: Sequence[str], letter: str, where: str) -> str:
    """The letter of the right option, ``A`` for the first.

    Raises:
        DataError: it is no letter of these options.
    """
    found = letter.strip().strip("().").upper()
    if len(found) != 1 or found not in _LETTERS[: len(options)]:
        raise DataError(
            f"{where}: the answer {short(letter)} is none of the letters {', '.join(_LETTERS[: len(options)])}"
        )
    return found


def multiple_choice(question: str, options: Sequence[str], letter: str) -> tuple[str, str | list[str]]:
    """A question with its options, one a line as ``A. text``, and the truth that ``answer`` compares with: the letter.

    Options that only say their own letter stand in one line. Where an option reads like the letter of another one, the
    options are listed without letters, and the truth is the text. An option that stands there twice has two letters.

    Args:
        question: what is asked.
        options: their texts.
        letter: of the right one.
    """
    letters = list(_LETTERS[: len(options)])
    bare = [option.strip("() .").upper() for option in options]
    right = options[letters.index(letter)]
    if bare == letters:
        return f"{question}\nOptions: {', '.join(letters)}", letter
    if any(text in letters and text != own for text, own in zip(bare, letters, strict=True)):
        return f"{question}\nOptions: {', '.join(options)}", right
    listed = "\n".join(f"{own}. {option}" for own, option in zip(letters, options, strict=True))
    same = [own for own, option in zip(letters, options, strict=True) if option == right]
    return f"{question}\n{listed}", same if len(same) > 1 else letter


def letter_of(options: Sequence[str], text: str, where: str) -> str:
    """The letter of the option of that text, the first where it stands there twice.

    Raises:
        DataError: it is none of them.
    """
    wanted = " ".join(text.split())
    if wanted not in options:
        raise DataError(f"{where}: the answer {short(text)} is none of the options {', '.join(map(short, options))}")
    return _LETTERS[list(options).index(wanted)]

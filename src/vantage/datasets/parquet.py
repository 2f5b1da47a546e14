"""``parquet:rows.parquet``: rows of one's own in a Parquet file, or in a folder of them.

The columns are the keys of ``jsonl``. ``sources`` is a struct of name to picture, or a list of ``{"name": ..., "path":
...}`` structs, which lets rows have different sources; a picture is a path, a ``{"path", "sha256", "mapping"}`` struct,
or encoded: ``{"bytes", "path"}`` as the ``datasets`` library writes it. ``metadata`` is a struct, or JSON text.
``truth`` has one type in the whole file; where rows need several, the column ``truth_json`` holds JSON text instead.
Empty (null) sources and metadata are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from vantage.datasets import jsonl
from vantage.datasets.reading import RawRow, need_path, parse_json, read_rows, short
from vantage.datasets.spec import DataSpec
from vantage.errors import ConfigError, DataError
from vantage.samples import Sample

KEYS = jsonl.KEYS


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """The rows of the file, or of every ``.parquet`` file of the folder in the order of names."""
    path = need_path(spec, "parquet:rows.parquet")
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise ConfigError(f"{path}: no .parquet file in this folder")
    for file in files:
        yield from read_rows(file)


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row."""
    plain = {key: value for key, value in row.items() if value is not None}
    if "truth_json" in plain:
        if "truth" in plain:
            raise DataError(f"{where}: both 'truth' and 'truth_json' hold a value; a row has one truth")
        plain["truth"] = _json(plain.pop("truth_json"), "truth_json", where)
    if isinstance(plain.get("metadata"), str):
        plain["metadata"] = _json(plain["metadata"], "metadata", where)
    elif "metadata" in plain:
        if not isinstance(plain["metadata"], Mapping):
            raise DataError(f"{where}: column 'metadata' is a struct or JSON text, not {short(plain['metadata'])}")
        plain["metadata"] = _filled(plain["metadata"])
    for key in ("truth", "metadata"):
        _finite(plain.get(key), key, where)
    plain["sources"] = _named(plain.get("sources"), where)
    return jsonl.sample(plain, where, spec)


def _named(sources: Any, where: str) -> dict[str, Any]:
    if isinstance(sources, list) and all(isinstance(entry, Mapping) and "name" in entry for entry in sources):
        named = {entry["name"]: _filled({k: v for k, v in entry.items() if k != "name"}) for entry in sources}
        if len(named) != len(sources):
            raise DataError(f"{where}: two sources have one name: {', '.join(str(e['name']) for e in sources)}")
        return named
    if isinstance(sources, Mapping):
        return {k: _filled(v) if isinstance(v, Mapping) else v for k, v in _filled(sources).items()}
    raise DataError(f"{where}: column 'sources' is a struct of name to picture or a list of them, not {short(sources)}")


def _filled(value: Mapping[str, Any]) -> dict[str, Any]:
    # Parquet gives every row every field of a struct.
    return {key: entry for key, entry in value.items() if entry is not None}


def _json(text: Any, key: str, where: str) -> Any:
    if not isinstance(text, str):
        raise DataError(f"{where}: column {key!r} holds JSON text, not {short(text)}")
    return parse_json(text, f"{where}: column {key!r}")


def _finite(value: Any, key: str, where: str) -> None:
    """No number of a value is NaN or infinite, which JSON could not have said."""
    rest = [value]
    while rest:
        each = rest.pop()
        if isinstance(each, float) and not math.isfinite(each):
            raise DataError(f"{where}: column {key!r} holds {each}, which is no number")
        rest += each.values() if isinstance(each, Mapping) else each if isinstance(each, list) else ()

"""Data sets written down as rows of one's own, with their pictures beside them.

``rows.jsonl`` or ``rows.parquet`` comes with a folder ``rows_pictures``, in which every picture lies once, named by the
SHA-256 of its bytes. Files are copied as they are, encoded bytes too; pictures in memory become PNG,
or TIFF where a PNG would lose something. Rows name a
picture by its path and that hash, so a picture that changes later is found when it is decoded. Folder and file can be
moved together; ``jsonl`` and ``parquet`` read them back.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from vantage.errors import ConfigError, DataError, PictureError
from vantage.files import write_bytes, write_lines
from vantage.pictures import Source
from vantage.pictures.source import open_image
from vantage.samples import Sample

SUFFIXES = (".jsonl", ".parquet")


def convert(samples: Sequence[Sample], out: Path, progress: Callable[[int, int], object] | None = None) -> int:
    """Write samples and their pictures; the file of rows appears last, whole.

    Args:
        samples: what is written.
        out: a ``.jsonl`` or ``.parquet`` file.
        progress: called after each row with how many are done, and of how many.

    Returns:
        How many different pictures there are.

    Raises:
        ConfigError: a file of another kind.
        PictureError: a picture that cannot be read; names the row and the source. No file of rows is written.
        DataError: a row that cannot be taken, a truth or metadata that JSON cannot say, or a text that Parquet cannot
            hold.
    """
    if out.suffix not in SUFFIXES:
        raise ConfigError(f"{out}: rows are written to a file that ends in {' or '.join(SUFFIXES)}")
    folder = out.with_name(f"{out.stem}_pictures")
    written: set[str] = set()
    rows: list[dict[str, Any]] = []
    for index in range(len(samples)):
        sample = samples[index]
        sources: dict[str, dict[str, str]] = {}
        for name, source in sample.sources.items():
            try:
                sources[name] = _keep(source, folder, written)
            except PictureError as error:
                raise PictureError(f"row {sample.id!r}, source {name!r}: {error}") from error
        rows.append(
            {
                "id": sample.id,
                "question": sample.question,
                "sources": sources,
                "truth": sample.truth,
                "reward": sample.reward,
                "metadata": dict(sample.metadata),
            }
        )
        if progress is not None:
            progress(index + 1, len(samples))
    if out.suffix == ".jsonl":
        # Escaped, so that even half of a surrogate pair comes back as it was.
        write_lines(out, [_json(row, row["id"]).encode() for row in rows])
    else:
        _write_parquet(rows, out)
    return len(written)


def _keep(source: Source, folder: Path, written: set[str]) -> dict[str, str]:
    """Write a source's picture into the folder unless it is there; what a row says of it."""
    content = source.content()
    digest = hashlib.sha256(content).hexdigest()
    file = folder / f"{digest}{_suffix(content, source.ref)}"
    if digest not in written:
        if not file.exists():
            write_bytes(file, content)
        written.add(digest)
    kept = {"path": f"{folder.name}/{file.name}", "sha256": digest}
    return {**kept, "mapping": source.mapping} if source.mapping else kept


def _suffix(content: bytes, ref: str) -> str:
    """The ending that the picture's own format has."""
    try:
        with open_image(io.BytesIO(content)) as image:
            form = image.format or ""
    except (Image.DecompressionBombError, OSError, ValueError) as error:
        raise PictureError(f"{ref}: not a readable picture ({error})") from error
    return {"JPEG": ".jpg", "TIFF": ".tif"}.get(form, f".{form.lower()}")


def _json(value: Any, row: str) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"row {row!r}: its truth or metadata cannot be written as JSON ({error})") from error


def _write_parquet(rows: list[dict[str, Any]], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {type(row["truth"]) for row in rows}
    plain = kinds == {str} or (kinds == {int} and all(row["truth"].bit_length() < 64 for row in rows))
    plain = plain or (kinds == {float} and all(math.isfinite(row["truth"]) for row in rows))
    columns: dict[str, Any] = {
        "id": [row["id"] for row in rows],
        "question": [row["question"] for row in rows],
        # A list of structs, because rows may have different sources, and a struct would give all of them to each.
        "sources": pa.array(
            [[{"name": name, "mapping": None, **kept} for name, kept in row["sources"].items()] for row in rows],
            pa.list_(pa.struct([(key, pa.string()) for key in ("name", "path", "sha256", "mapping")])),
        ),
        "truth" if plain else "truth_json": [row["truth"] if plain else _json(row["truth"], row["id"]) for row in rows],
        "reward": [row["reward"] for row in rows],
        "metadata": [_json(row["metadata"], row["id"]) for row in rows],
    }
    buffer = io.BytesIO()
    try:
        pq.write_table(pa.table(columns), buffer)
    except UnicodeEncodeError as error:
        raise DataError(f"{out}: {error.object!r} is no valid Unicode, which Parquet needs; use .jsonl") from error
    write_bytes(out, buffer.getvalue())

"""Files that appear whole: at every moment a file is the old one or the new one, also when the power fails.

Devices and pipes, which have no old content to keep, are written to as they are and never replaced.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_text(path: str | Path, text: str) -> None:
    """Write a text as UTF-8; folders that are missing are made."""
    _replace(Path(path), [text.encode("utf-8")])


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes as they are."""
    _replace(Path(path), [content])


def write_json(path: str | Path, content: Any) -> None:
    """Write one JSON document. JSON has no NaN: one is a ``ValueError``."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_lines(path: str | Path, lines: Iterable[bytes]) -> None:
    """Write lines, given without their ends, as they are made; one that cannot be made leaves the old file."""
    _replace(Path(path), (line + b"\n" for line in lines))


def _replace(path: Path, chunks: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        # A new file in the place of /dev/null would break the whole machine.
        with path.open("wb") as file:
            file.writelines(chunks)
        return
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            # Without it the new name may outlive a power failure that its content does not.
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise

"""Which weights a folder holds, so that answers of other weights are not mixed with these."""

from __future__ import annotations

import hashlib
from pathlib import Path

_KINDS = (".safetensors", ".bin", ".json", ".jinja")
_BLOCK = 2**16
_BLOCKS = 64


def fingerprint(folder: str | Path) -> str:
    """A hash of a model's files; empty where there is no such folder, as of a name on the Hugging Face hub.

    Of large files 64 blocks of 64 KiB are read, spread over the whole: training changes all of them.
    """
    root = Path(folder)
    if not root.is_dir():
        return ""
    found = hashlib.sha256()
    for file in sorted(path for path in root.iterdir() if path.suffix in _KINDS and path.is_file()):
        size = file.stat().st_size
        found.update(f"{file.name}\0{size}\0".encode())
        step = max(_BLOCK, size // _BLOCKS)
        with file.open("rb") as content:
            for start in range(0, size, step):
                content.seek(start)
                found.update(content.read(_BLOCK))
    return found.hexdigest()[:16]

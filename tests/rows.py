"""Samples, files and folders that several tests draw for themselves, and where real excerpts lie."""

import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vantage.pictures import Source
from vantage.samples import Sample

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


def shared(name: str) -> Path:
    """A folder or file of real excerpts, kept beside the checkout and never in it; the test skips without it."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the real excerpts ../shared/data/{name} are not beside this checkout")
    return path


def row(truth: Any, reward: str = "answer", size: tuple[int, int] = (64, 48), **metadata: Any) -> Sample:
    picture = Source(Image.new("RGB", size), ref="drawn")
    return Sample("r1", "What?", {"rgb": picture, "infrared": picture}, truth, reward, metadata)


def write_picture(path: Path, size: tuple[int, int] = (64, 48), colour: tuple[int, int, int] = (9, 60, 200)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def write_bomb(path: Path, side: int = 60_000) -> Path:
    """A PNG of a few bytes whose header declares side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def tagged(answer: str, think: str = "because") -> str:
    return f"<think>{think}</think>\n<answer>{answer}</answer>"


def fenced(boxes: str) -> str:
    return tagged(f"```json\n{boxes}\n```")

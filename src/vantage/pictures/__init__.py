"""Pictures: files, encoded bytes or pictures in memory, decoded once to upright 8-bit RGB."""

from vantage.pictures.source import MAX_PIXELS, Source

__all__ = ["MAX_PIXELS", "Source"]

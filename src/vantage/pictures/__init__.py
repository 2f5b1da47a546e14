"""Pictures: files, encoded bytes or pictures in memory, decoded once to upright 8-bit RGB."""

from vantage.pictures.mappings import MAPPINGS, GreyMapping
from vantage.pictures.source import MAX_PIXELS, Source

__all__ = ["MAPPINGS", "MAX_PIXELS", "GreyMapping", "Source"]

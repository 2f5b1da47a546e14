"""Drawn worlds: checkable scenes of several sources, drawn from a seed, with nothing to download.

>>> from vantage import worlds
>>> sample = worlds.get("night").dataset(split="test", n=100)[17]
>>> sample.id
'night/test/hard/0/17'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vantage.errors import ConfigError
from vantage.samples import Sample
from vantage.worlds.base import SPLITS, World, WorldDataset, answer_text, gold
from vantage.worlds.cameras import Cameras
from vantage.worlds.captions import NightCaptions
from vantage.worlds.counting import Counting, CountingOod
from vantage.worlds.depth import Depth
from vantage.worlds.night import Night
from vantage.worlds.pages import Pages
from vantage.worlds.transform import Transform, TransformLeft, TransformRight

if TYPE_CHECKING:
    from vantage.worlds.sheet import contact_sheet

_WORLDS: dict[str, World] = {
    world.name: world
    for world in (
        Night(),
        Depth(),
        NightCaptions(),
        Cameras(),
        Pages(),
        Counting(),
        CountingOod(),
        Transform(),
        TransformLeft(),
        TransformRight(),
    )
}

NAMES: tuple[str, ...] = tuple(_WORLDS)
"""Names of all worlds."""


def get(name: str) -> World:
    """The world of that name.

    Raises:
        ConfigError: there is no such world; the message names those there are.
    """
    if name not in _WORLDS:
        raise ConfigError(f"no world {name!r}; the worlds are {', '.join(NAMES)}")
    return _WORLDS[name]


def find(name: str) -> Sample:
    """Draw a sample again from its id; the reference of one of its pictures works too.

    Raises:
        ConfigError: no such id.
    """
    parts = name.removeprefix("world:").partition("#")[0].split("/")
    if len(parts) != 5 or not parts[3].lstrip("-").isdigit() or not parts[4].isdigit():
        raise ConfigError(f"{name!r} names no drawn sample; ids look like 'night/test/hard/0/17'")
    return get(parts[0]).sample(parts[1], parts[2], int(parts[3]), int(parts[4]))


def __getattr__(name: str) -> Any:
    # Drawing scenes must not wait for the libraries that lay out pages.
    if name == "contact_sheet":
        from vantage.worlds.sheet import contact_sheet

        return contact_sheet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["NAMES", "SPLITS", "World", "WorldDataset", "answer_text", "contact_sheet", "find", "get", "gold"]

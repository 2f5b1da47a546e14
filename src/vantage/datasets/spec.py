"""What to load, as settings or as one line of text.

    night?split=test&n=512
    llvip:/data/LLVIP?split=test&frame=resized
    jsonl:rows.jsonl
    mars:questions/nuscenes_eval.json?root=/data/images

The line is ``NAME[:PATH][?key=value&...]``. Values are taken as they stand, without percent-decoding; a path with a
``?`` or a value with an ``&`` needs the settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vantage.errors import ConfigError
from vantage.pictures.mappings import GreyMapping
from vantage.rewards.frames import Frame


def _listed(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _frame(value: Any) -> Any:
    return None if value is None else str(Frame.parse(value))


def _mapping(value: Any) -> Any:
    return None if value is None else str(GreyMapping.parse(value))


Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed), Field(min_length=1)]
FrameName = Annotated[str, BeforeValidator(_frame)]
MappingName = Annotated[str, BeforeValidator(_mapping)]


class DataSpec(BaseModel):
    """What to load. Which keys a data set takes is its own to say; giving it another is an error.

    Raises:
        ConfigError: an unknown key, or a value of the wrong form; says what is allowed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    """Name of a data set or of a drawn world."""
    path: Path | None = None
    """File or folder of data sets that live in one."""
    split: str = "train"
    """Which split."""
    n: int | None = Field(default=None, ge=1)
    """At most this many rows: the first ones, or with ``seed`` a draw; drawn worlds draw exactly this many."""
    seed: int | None = None
    """Shuffles the rows of a file; the seed of a drawn world."""
    mix: str | None = None
    """Difficulty mix of a drawn world."""
    tasks: Names | None = None
    """Kinds of question that are kept; of a drawn world, those that are drawn."""
    sources: Names | None = None
    """Keep these sources only, in this order."""
    names: Names | None = None
    """Names of the pictures of a MARS question file of an unknown kind, one per picture."""
    frame: FrameName | None = None
    """Coordinate frame of the boxes that the model writes (see ``vantage.rewards.frames``)."""
    truth_frame: FrameName | None = None
    """Coordinate frame of the boxes of the truth."""
    mapping: MappingName | None = None
    """How pictures of more than 8 bits become RGB (see ``vantage.pictures.mappings``)."""
    reward: str | None = None
    """Name of the reward, instead of the data set's own."""
    root: Path | None = None
    """Folder from which the pictures' paths are read; the question file's own folder unless given."""
    questions: Path | None = None
    """What brings the truths: for ``llvip`` a MARS question file, for ``msrs`` a folder of labels."""
    unlabelled: Literal["error", "drop"] = "error"
    """What becomes of rows that have no truth, where some lack one; dropping them is never the default."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(f"data set {values.get('name')!r}: {_explain(error)}") from error

    @classmethod
    def parse(cls, text: str) -> DataSpec:
        """Read ``NAME[:PATH][?key=value&...]``.

        Raises:
            ConfigError: text of another form, a key twice, an unknown key, or a value of the wrong form.
        """
        head, mark, query = text.partition("?")
        name, colon, path = head.partition(":")
        if not name.strip() or (colon and not path) or (mark and not query):
            raise ConfigError(f"{text!r} is no data set; the form is NAME[:PATH][?key=value&...]")
        values: dict[str, Any] = {"name": name} | ({"path": path} if path else {})
        for pair in query.split("&") if query else ():
            key, equals, value = pair.partition("=")
            if not equals or not key or not value:
                raise ConfigError(f"{text!r}: {pair!r} is not key=value")
            if key in values:
                raise ConfigError(f"{text!r}: {key!r} is given twice")
            values[key] = value
        return cls(**values)

    def __str__(self) -> str:
        """The line of text that ``parse`` reads."""
        given = self.model_dump(mode="json", exclude_defaults=True, exclude={"name", "path"})
        pairs = (f"{k}={','.join(v) if isinstance(v, list) else v}" for k, v in given.items())
        head = f"{self.name}:{self.path}" if self.path else self.name
        return head + ("?" + "&".join(pairs) if given else "")


def _explain(error: ValidationError) -> str:
    lines = []
    for found in error.errors():
        key = ".".join(str(part) for part in found["loc"])
        if found["type"] == "extra_forbidden":
            allowed = ", ".join(k for k in DataSpec.model_fields if k != "name")
            lines.append(f"no key {key!r}; the keys are {allowed}")
        else:
            lines.append(f"{key}={found['input']!r}: {found['msg']}")
    return "; ".join(lines)

"""How a recipe names its guests."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from vantage import plugins, tiny
from vantage.endpoints import EndpointSettings
from vantage.errors import ConfigError
from vantage.guests.base import Guest, draws_as_it_tells
from vantage.guests.table import Guests

WAYS = ("endpoint", "model", "recorded", "oracle", "python")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class GuestSettings(_Section):
    """A guest: exactly one of ``endpoint``, ``model``, ``recorded``, ``oracle`` and ``python``, and how it is asked."""

    endpoint: EndpointSettings | None = None
    """A vision-language model at an OpenAI-compatible server: settings, or ``http://127.0.0.1:8000/v1#model``."""
    model: str | None = None
    """A vision-language model on this machine: a folder, a name on the Hugging Face hub, or an embedded model."""
    recorded: Path | None = None
    """A file of ``vantage guests record``; with several models in it, ``name`` says which one."""
    oracle: float | None = Field(default=None, ge=0, le=1)
    """Knows the drawn worlds: the probability of a right answer; else it gives a wrong one of the same form."""
    python: str | None = None
    """A function of one's own from a sample to a text or ``n`` texts: ``module:function`` or ``file.py:function``."""
    name: str | None = Field(default=None, min_length=1)
    """In origins, logs and files; by default that of the model, the file's or the function's."""
    n: int = Field(default=1, ge=1)
    """Answers to every question."""
    temperature: float = Field(default=1.0, ge=0)
    """How ``endpoint`` and ``model`` draw; 0: the likeliest token every time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Share of the probability that ``endpoint`` and ``model`` draw from."""
    max_tokens: int = Field(default=512, ge=1)
    """Longest answer of ``endpoint`` and ``model``; one that is cut is refused."""
    logprobs: bool = False
    """Ask ``endpoint`` or ``model`` for log-probabilities, which the ratio ``behaviour`` needs."""
    batch_size: int = Field(default=16, ge=1)
    """Prompts that ``model`` reads at once."""
    device: str | None = None
    """Where ``model`` runs, such as ``cuda:1``; null: the first accelerator, else the processor."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of ``model``; auto keeps the checkpoint's."""
    processor: dict[str, Any] = {}
    """Settings of the processor of ``model``, such as ``max_pixels``."""
    trust_remote_code: bool = False
    """Run code that comes with ``model``."""

    @field_validator("python")
    @classmethod
    def _place(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r".+:[A-Za-z_]\w*", value):
            raise ValueError(f"module:function or file.py:function is expected, not {value!r}")
        return value

    @field_validator("model")
    @classmethod
    def _spelt(cls, value: str | None) -> str | None:
        return None if value is None else as_spelt(value)

    @field_validator("endpoint", mode="before")
    @classmethod
    def _line(cls, value: object) -> object:
        return EndpointSettings.parse(value) if isinstance(value, str) else value

    @field_validator("endpoint")
    @classmethod
    def _server(cls, value: EndpointSettings | None) -> EndpointSettings | None:
        if value is not None and value.url is None:
            raise ValueError(
                f"an endpoint of a guest has a url; for a model on this machine write model: {value.model}"
            )
        return value

    @model_validator(mode="after")
    def _whole(self) -> GuestSettings:
        ways = [way for way in WAYS if getattr(self, way) is not None]
        if len(ways) != 1:
            raise ValueError(f"a guest is exactly one of {', '.join(WAYS)}; given: {', '.join(ways) or 'none'}")
        (way,) = ways
        told = {key for key, field in type(self).model_fields.items() if getattr(self, key) != field.default}
        if unused := sorted(told - {way, "name", "n"} - _TAKES.get(way, set())):
            raise ValueError(f"a guest with {way!r} takes no {', '.join(map(repr, unused))}")
        if way in _TAKES:
            self._sampled()
        return self

    def _sampled(self) -> None:
        told = set() if self.endpoint is None else self.endpoint.model_fields_set
        for key in (key for key in _SAMPLING if key in told):
            value = getattr(self.endpoint, key)
            if value != getattr(self, key):
                raise ValueError(
                    f"endpoint.{key} is {value:g}, and {key} of the guest {getattr(self, key):g}; of a guest, {key} "
                    "stands beside endpoint, not in it"
                )
        if self.n > 1 and self.temperature == 0:
            raise ValueError(f"n is {self.n}, but at temperature 0 all answers to a question are the same")
        extra = {} if self.endpoint is None else self.endpoint.extra
        if self.logprobs or extra.get("logprobs"):
            draws_as_it_tells(self.temperature, self.top_p, extra)

    @field_serializer("endpoint", mode="wrap")
    def _as_told(self, value: EndpointSettings | None, plain: SerializerFunctionWrapHandler) -> Any:
        # What was left open is not what was set to the default: null is no seed, and no cache.
        if value is None:
            return None
        return {key: told for key, told in plain(value).items() if key in value.model_fields_set or key not in _OPEN}

    @property
    def called(self) -> str:
        """The guest's name; empty where only the file of a recorded one knows."""
        if self.name is not None:
            return self.name
        if self.endpoint is not None:
            return _last(self.endpoint.model) or urlsplit(str(self.endpoint.url)).netloc
        if self.model is not None:
            return _last(self.model)
        if self.python is not None:
            return self.python.rpartition(":")[2]
        return "oracle" if self.oracle is not None else ""

    def open(self, seed: int = 0, replies: Path | None = None) -> Guest:
        """The guest, ready to be asked; a local model is loaded.

        Args:
            seed: of what it draws.
            replies: keeps what a server says, unless its endpoint has settled that.

        Raises:
            ConfigError: a model that does not load, a file or a function that does not exist.
            DataError: a recorded file that cannot be read.
        """
        if self.endpoint is not None:
            from vantage.guests.endpoint import EndpointGuest

            endpoint = self.endpoint if replies is None else self.endpoint.keeping(replies)
            told = {**endpoint.model_dump(exclude_unset=True), **self._given(*_SAMPLING)}
            told.setdefault("seed", seed)  # null, where that was set: some servers refuse a request with a seed
            return EndpointGuest(EndpointSettings.checked(told), self.called, self.n, logprobs=self.logprobs)
        if self.model is not None:
            from vantage.guests.local import LocalGuest

            return LocalGuest(self.model, self.called, self.n, seed=seed, **self._given(*_TAKES["model"]))
        if self.recorded is not None:
            from vantage.guests.recorded import RecordedGuest

            return RecordedGuest(self.recorded, self.name, self.n)
        if self.oracle is not None:
            from vantage.guests.oracle import OracleGuest

            return OracleGuest(self.oracle, self.called, self.n, seed)
        from vantage.guests.function import FunctionGuest

        return FunctionGuest(self.called, _function(str(self.python)), self.n)

    def _given(self, *keys: str) -> dict[str, Any]:
        return {key: getattr(self, key) for key in keys}


_SAMPLING = ("temperature", "top_p", "max_tokens")
_OPEN = {*_SAMPLING, "seed", "cache"}
"""Settings of an endpoint that are decided elsewhere where they are left open."""
_ASKED = {*_SAMPLING, "logprobs"}
_TAKES = {
    "endpoint": _ASKED,
    "model": {*_ASKED, "batch_size", "device", "dtype", "processor", "trust_remote_code"},
}
"""Settings that a way takes beside its own, ``name`` and ``n``."""


class GuestsSettings(_Section):
    """Models whose answers join every group."""

    from_: tuple[GuestSettings, ...] = Field(alias="from")
    """The guests."""
    wait: float = Field(default=30.0, ge=0)
    """Seconds that a step waits for guests at most, of all its generations, counted from when the policy has spoken."""
    seed: int = 0
    """Of what guests draw."""

    @field_validator("from_")
    @classmethod
    def _some(cls, value: tuple[GuestSettings, ...]) -> tuple[GuestSettings, ...]:
        names = [settings.called for settings in value if settings.called]
        if not value:
            raise ValueError("at least one guest, such as {oracle: 0.8}")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two guests are called {twice!r}; set another name for one, or n for more answers")
        return value

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """With the name that a recipe writes, which Python reserves."""
        plain = handler(self)
        return {"from": plain.pop("from_"), **plain} if "from_" in plain else plain

    def open(self, replies: Path | None = None) -> Guests:
        """The guests, ready to be asked.

        Args:
            replies: as in ``GuestSettings.open``.

        Raises:
            VantageError: as ``GuestSettings.open``; also two guests of one name.
        """
        return Guests([settings.open(self.seed, replies) for settings in self.from_], self.wait)


def as_spelt(model: str) -> str:
    """The name of a model, unless it is nearly that of an embedded one, which no hub is to be asked for.

    Raises:
        ValueError: it is nearly one.
    """
    if model in tiny.MODELS or not model.startswith("tin") or "/" in model or Path(model).exists():
        return model
    if close := difflib.get_close_matches(model, tiny.MODELS, n=1, cutoff=0.75):
        raise ValueError(f"no embedded model and no folder is called {model!r}; did you mean {close[0]!r}?")
    return model


def _last(path: str | None) -> str:
    return (path or "").rstrip("/").rsplit("/", 1)[-1]


def _function(place: str) -> Any:
    module_name, _, name = place.rpartition(":")
    plugins.load([module_name])
    if module_name.endswith(".py"):
        module = next(m for m in list(sys.modules.values()) if _origin(m) == Path(module_name).resolve())
    else:
        module = importlib.import_module(module_name)
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"guest {place!r}: {module_name} has no function {name!r}")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"guest {place!r}: {name} is async; a plain function is called, in a thread of its own")
    return function


def _origin(module: Any) -> Path | None:
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    return Path(origin).resolve() if isinstance(origin, str) and origin.endswith(".py") else None

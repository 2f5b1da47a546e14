"""What an endpoint is told: where it is, how it is asked, what it may cost."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from vantage.errors import ConfigError

_SECRET = re.compile(r"(api[-_]?key|authorization|password|secret|access[-_]?token|bearer)", re.IGNORECASE)
_OWN = {
    "model": "model",
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "messages": "what is asked",
    "stream": "'stream' of the endpoint",
    "n": "'sample' of a question",
}


class _Section(BaseModel):
    # An error of pydantic's shows what was given, and a URL may hold a password.
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Budget(_Section):
    """What a run may spend; null: no limit. Replies from the cache cost nothing."""

    calls: int | None = Field(default=None, ge=0)
    """Requests that are sent, retries included."""
    tokens: int | None = Field(default=None, ge=0)
    """Tokens of prompts and replies together."""
    cost: float | None = Field(default=None, ge=0)
    """Money, in the currency of the prices."""
    price_in: float | None = Field(default=None, ge=0)
    """Price of a million tokens of prompts."""
    price_out: float | None = Field(default=None, ge=0)
    """Price of a million tokens of replies."""

    @model_validator(mode="after")
    def _priced(self) -> Budget:
        if self.cost is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("a limit on cost needs price_in and price_out, per million tokens")
        return self

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens must be known before a request is sent."""
        return self.tokens is not None or self.cost is not None

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Money for that many tokens; 0 where there are no prices."""
        return (prompt_tokens * (self.price_in or 0.0) + completion_tokens * (self.price_out or 0.0)) / 1e6


class EndpointSettings(_Section):
    """A model server, or a local model, and how it is asked."""

    url: str | None = None
    """Base of an OpenAI-compatible server, such as ``http://127.0.0.1:8000/v1``; null for a local model."""
    model: str | None = None
    """Name at the server (null where it serves one only); else a folder, a name on the Hugging Face hub, or the
    ``tiny-...`` name of an embedded model."""
    key_env: str = Field(default="OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable that holds the server's key; never the key itself."""
    concurrency: int = Field(default=32, ge=1)
    """Requests under way at once."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds that one try may take."""
    retries: int = Field(default=5, ge=0)
    """Further tries after time-outs, lost connections and answers 408, 409, 429 and 5xx."""
    backoff: float = Field(default=0.5, ge=0)
    """Seconds before the first retry; doubled with each, at most 30, unless the server names a time."""
    max_tokens: int = Field(default=2048, ge=1)
    """Longest reply."""
    temperature: float = Field(default=0.0, ge=0)
    """0: the likeliest token every time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Share of the probability that is sampled from."""
    seed: int | None = None
    """Of sampled replies; each request derives its own, so that the order of requests changes nothing."""
    extra: dict[str, Any] = {}
    """Further fields of a request's body, such as ``top_k``; local models know ``chat_template_kwargs``."""
    cache: Path | None = None
    """File that keeps replies, so that nothing is paid for twice; a run has one in its folder unless this is null."""
    budget: Budget = Budget()
    """What a run may spend."""
    device: str | None = None
    """Where a local model runs, such as ``cuda:1``; null: the first accelerator, else the processor."""
    batch_size: int = Field(default=16, ge=1)
    """Prompts that a local model reads at once."""
    trust_remote_code: bool = False
    """Run code that comes with a local model."""
    check_model: bool = True
    """Refuse replies of a model of another name, as a server in the wrong place gives."""

    @field_validator("url")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value.strip())
            port_is_read = parts.port
        except ValueError:
            raise ValueError("not a URL such as http://127.0.0.1:8000/v1") from None
        del port_is_read
        if parts.username is not None or parts.password is not None or "@" in parts.netloc:
            raise ValueError("a URL must not hold a user or a password; put the key into an environment variable")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not a URL such as http://127.0.0.1:8000/v1")
        if parts.query or parts.fragment:
            raise ValueError("a URL ends with its path, such as /v1; what follows '?' or '#' is given elsewhere")
        path = parts.path.rstrip("/")
        if path.endswith("/chat/completions"):
            raise ValueError("give the base URL, such as http://127.0.0.1:8000/v1, without /chat/completions")
        return f"{parts.scheme}://{parts.netloc}{path}"

    @field_validator("extra")
    @classmethod
    def _further_fields(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key in value:
            if key in _OWN:
                raise ValueError(f"extra.{key}: not set here; {_OWN[key]!r} sets it".replace("''", "'"))
            if _SECRET.search(key):
                raise ValueError(f"extra.{key}: keys and passwords stand in the environment; see key_env")
        most = value.get("max_completion_tokens", 1)
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            shown = most if isinstance(most, (int, float)) else type(most).__name__
            raise ValueError(f"extra.max_completion_tokens: a whole number of at least 1 is expected, not {shown}")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"extra: not JSON ({error})") from None
        return value

    @model_validator(mode="after")
    def _somewhere(self) -> EndpointSettings:
        if self.url is None and not self.model:
            raise ValueError("an endpoint needs a url, or the model of a local one")
        return self

    @model_serializer(mode="wrap")
    def _as_told(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # To name the key's variable is to allow the key on a plain connection, so one that nobody named stays unnamed.
        named = "key_env" in self.model_fields_set
        return {key: value for key, value in plain(self).items() if named or key != "key_env"}

    def keeping(self, file: Path) -> EndpointSettings:
        """The same, with a file for replies where it is a server and nothing was said of one."""
        keeps = self.url is None or "cache" in self.model_fields_set
        return self if keeps else self.model_copy(update={"cache": file})

    @property
    def longest(self) -> int:
        """Tokens of a reply, at most: a budget that knows ``max_tokens`` alone could be exceeded many times."""
        return max(self.max_tokens, int(self.extra.get("max_completion_tokens", 1)))

    @property
    def loopback(self) -> bool:
        """Whether the server is this machine."""
        return self.url is not None and _loopback(urlsplit(self.url))

    @property
    def sends_key(self) -> bool:
        """Whether the key is sent: never readable on a network, unless its variable is named on purpose."""
        encrypted = self.url is not None and self.url.startswith("https://")
        return encrypted or self.loopback or "key_env" in self.model_fields_set

    @classmethod
    def parse(cls, text: str) -> EndpointSettings:
        """``http://host/v1#model``, or the name of a local model.

        Raises:
            ConfigError: neither.
        """
        if re.match(r"[a-z]+://", text.strip(), re.IGNORECASE):
            url, _, model = text.strip().partition("#")
            return cls.checked({"url": url, "model": model or None})
        return cls.checked({"model": text})

    @classmethod
    def checked(cls, values: dict[str, Any]) -> EndpointSettings:
        """From plain values.

        Raises:
            ConfigError: a setting that cannot be; names it, and never shows what may be a password.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, e['loc'])) or 'endpoint'}: {e['msg']}" for e in error.errors()]
            raise ConfigError("endpoint: " + "; ".join(faults)) from None


def _loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

"""From a line or settings to an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from vantage.endpoints.base import Endpoint
from vantage.endpoints.function import FunctionEndpoint
from vantage.endpoints.settings import EndpointSettings
from vantage.errors import ConfigError

NAMED = {"tiny-": "vantage.tiny:reasoner_path"}
"""Names that begin like this are looked up by a function, which gives a model's folder or a function that answers."""


def open_endpoint(where: str | EndpointSettings | Mapping[str, Any] | Endpoint) -> Endpoint:
    """An endpoint to ask.

    Args:
        where: ``http://host:8000/v1#model`` (``#model`` may be left out where the server has one model only), the
            ``tiny-...`` name of an embedded model, a folder, a name on the Hugging Face hub, or settings. An endpoint
            passes as it is.

    Raises:
        ConfigError: settings that cannot be, or a local model that does not load.
    """
    if isinstance(where, Endpoint):
        return where
    if isinstance(where, str):
        settings = EndpointSettings.parse(where)
    elif isinstance(where, Mapping):
        settings = EndpointSettings.checked(dict(where))
    else:
        settings = where
    if settings.url is not None:
        from vantage.endpoints.client import ServerEndpoint

        return ServerEndpoint(settings)

    name = str(settings.model)
    found = _named(name)
    if callable(found):
        return FunctionEndpoint(name, found, settings.budget)

    from vantage.endpoints.local import LocalEndpoint

    return LocalEndpoint(settings, folder=None if found is None else str(found))


def _named(name: str) -> Any:
    for prefix, place in NAMED.items():
        if name.startswith(prefix):
            module, _, function = place.partition(":")
            try:
                look_up = getattr(import_module(module), function)
            except (ImportError, AttributeError) as error:
                raise ConfigError(f"no model is called {name!r}: {place} cannot be loaded ({error})") from error
            return look_up(name)
    return None

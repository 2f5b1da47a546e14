"""Models that are asked questions: on OpenAI-compatible servers, on this machine, or functions in their place.

>>> from vantage.endpoints import open_endpoint
>>> reasoner = open_endpoint("http://127.0.0.1:8000/v1#my-model")  # doctest: +SKIP
>>> reasoner.ask_sync([{"role": "user", "content": "2 + 2?"}]).text  # doctest: +SKIP
'4'
"""

from vantage.endpoints.base import Endpoint
from vantage.endpoints.cache import CacheError
from vantage.endpoints.function import FunctionEndpoint
from vantage.endpoints.opening import open_endpoint
from vantage.endpoints.replies import Refusal, Reply, Stats
from vantage.endpoints.settings import Budget, EndpointSettings

__all__ = [
    "Budget",
    "CacheError",
    "Endpoint",
    "EndpointSettings",
    "FunctionEndpoint",
    "Refusal",
    "Reply",
    "Stats",
    "open_endpoint",
]

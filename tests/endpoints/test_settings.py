import json

import pytest
from pydantic import ValidationError

from vantage import recipes, yaml12
from vantage.endpoints import Budget, EndpointSettings, open_endpoint
from vantage.errors import ConfigError

SECRET = "hunter2-secret"  # noqa: S105 - it is searched for


def test_a_line_names_a_server_and_its_model():
    found = EndpointSettings.parse("http://127.0.0.1:8000/v1/#org/model")
    assert (found.url, found.model) == ("http://127.0.0.1:8000/v1", "org/model")
    found = EndpointSettings.parse("https://example.org/v1")
    assert (found.url, found.model) == ("https://example.org/v1", None)
    found = EndpointSettings.parse("org/model")
    assert (found.url, found.model) == (None, "org/model")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "needs a url, or the model"),
        ({"url": "ftp://host/v1"}, "url: .*not a URL such as"),
        ({"url": "http:///v1"}, "not a URL"),
        ({"url": "http://host:port/v1"}, "not a URL"),
        ({"url": "http://[::1/v1"}, "not a URL"),
        ({"url": f"http://user:{SECRET}@host/v1"}, "must not hold a user or a password"),
        ({"url": f"http://{SECRET}@host/v1"}, "must not hold a user"),
        ({"url": f"http://host/v1?api_key={SECRET}"}, "ends with its path"),
        ({"url": "http://host/v1/chat/completions"}, "base URL"),
        ({"model": "m", "key": SECRET}, "key: Extra inputs"),
        ({"model": "m", "key_env": f"sk-{SECRET}"}, "key_env"),
        ({"model": "m", "extra": {"api_key": SECRET}}, "extra.api_key: keys and passwords stand in the environment"),
        ({"model": "m", "extra": {"Authorization": SECRET}}, "extra.Authorization"),
        ({"model": "m", "extra": {"n": 4}}, "extra.n: not set here"),
        ({"model": "m", "extra": {"temperature": 1}}, "extra.temperature: not set here; 'temperature' sets it"),
        ({"model": "m", "extra": {"x": float("nan")}}, "not JSON"),
        *(
            ({"model": "m", "extra": {"max_completion_tokens": value}}, f"whole number of at least 1 .* not {shown}")
            for value, shown in [(0, 0), (-5, -5), (True, True), (2.5, 2.5), (SECRET, "str"), (None, "NoneType")]
        ),
        ({"model": "m", "temperature": float("inf")}, "temperature"),
        ({"model": "m", "concurrency": 0}, "concurrency"),
        ({"model": "m", "budget": {"cost": 1.0}}, "needs price_in and price_out"),
        ({"model": "m", "budget": {"calls": -1}}, "budget.calls"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_is_named_and_never_shows_a_secret(values, said):
    with pytest.raises(ConfigError, match=said) as caught:
        EndpointSettings.checked(values)
    assert SECRET not in str(caught.value)
    with pytest.raises(ValidationError) as raw:
        EndpointSettings(**values)
    assert SECRET not in str(raw.value)


@pytest.mark.parametrize("line", [f"http://user:{SECRET}@host/v1#m", f"https://{SECRET}:x@host#m"])
def test_a_line_with_a_password_is_refused_without_showing_it(line):
    with pytest.raises(ConfigError, match="user or a password") as caught:
        open_endpoint(line)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "sent"),
    [
        ({"url": "http://127.0.0.1:8000/v1"}, True),
        ({"url": "http://localhost/v1"}, True),
        ({"url": "http://[::1]:8000/v1"}, True),
        ({"url": "https://api.example.org/v1"}, True),
        ({"url": "http://10.0.0.5:8000/v1"}, False),
        ({"url": "http://localhost.example.org/v1"}, False),
        ({"url": "http://10.0.0.5:8000/v1", "key_env": "CLUSTER_KEY"}, True),
        ({"url": "http://10.0.0.5:8000/v1", "key_env": "OPENAI_API_KEY"}, True),
    ],
)
def test_a_key_is_not_sent_readable_unless_it_is_named(values, sent):
    assert EndpointSettings(**values).sends_key is sent


def test_prices_are_per_million_tokens():
    budget = Budget(cost=1.0, price_in=0.5, price_out=2.0)
    assert budget.price(2_000_000, 500_000) == pytest.approx(2 * 0.5 + 0.5 * 2.0)
    assert Budget().price(10, 10) == 0


def test_settings_come_back_from_json_as_they_were():
    settings = EndpointSettings(url="http://127.0.0.1:1/v1", model="m", extra={"top_k": 3}, budget={"calls": 4})
    assert EndpointSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize("named", [{}, {"key_env": "CLUSTER_KEY"}, {"key_env": "OPENAI_API_KEY"}])
def test_what_is_written_down_allows_a_key_where_it_was_allowed(named):
    settings = EndpointSettings(url="http://10.0.0.5:8000/v1", model="m", **named)
    for again in (json.loads(settings.model_dump_json()), settings.model_dump()):
        assert EndpointSettings(**again) == settings
        assert EndpointSettings(**again).sends_key is bool(named)
    plain = yaml12.read(recipes.find("tiny/racro").read_text()) | {"reasoner": {"endpoint": settings}}
    reasoner = recipes.parse(yaml12.read(recipes.dump(recipes.parse(plain)))).reasoner
    assert reasoner.endpoint.sends_key is bool(named)

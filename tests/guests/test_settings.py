"""What a recipe may say of guests, and what it is told."""

from contextlib import closing

import pytest

from vantage import recipes, yaml12
from vantage.errors import ConfigError
from vantage.groups import guest as origin
from vantage.guests import GuestSettings
from vantage.guests.local import LocalGuest
from vantage.guests.oracle import OracleGuest
from vantage.worlds import gold

SERVER = "http://127.0.0.1:9/v1"


def recipe(guests):
    return recipes.parse(
        {"model": {"path": "tiny"}, "method": {"name": "grpo"}, "data": {"train": "night?n=8"}, "guests": guests}
    )


def settings(**values):
    return recipe({"from": [values]}).guests.from_[0]


def test_a_recipe_opens_its_guests():
    parsed = recipe({"from": [{"oracle": 0.8, "n": 2}, {"oracle": 0.5, "name": "weak"}], "wait": 3, "seed": 7})
    guests = parsed.guests.open()
    assert guests.columns == (origin("oracle"), origin("oracle"), origin("weak"))
    assert guests.wait == 3 and [(g.p, g.n, g.seed) for g in guests] == [(0.8, 2, 7), (0.5, 1, 7)]
    assert isinstance(guests[0], OracleGuest)


@pytest.mark.parametrize(
    "guest",
    [
        {"oracle": 0.8, "n": 2},
        {"model": "tiny", "temperature": 0.5, "logprobs": False},
        {"endpoint": f"{SERVER}#m", "temperature": 0.5},
        {"endpoint": {"url": SERVER, "model": "m", "budget": {"calls": 3}}, "n": 3},
        {
            "endpoint": {"url": SERVER, "model": "m", "temperature": 0.7, "seed": None, "cache": None},
            "temperature": 0.7,
        },
        {"recorded": "guests.jsonl", "name": "m"},
        {"python": "mine.py:f"},
    ],
)
def test_what_a_run_writes_down_reads_back_as_itself(guest):
    parsed = recipe({"from": [guest]})
    again = recipes.parse(yaml12.read(recipes.dump(parsed)))
    assert again.guests == parsed.guests
    assert recipes.differences(parsed, again) == []


@pytest.mark.parametrize(("told", "seed"), [({}, 4), ({"seed": None}, None), ({"seed": 9}, 9)])
def test_a_seed_that_was_left_open_and_one_that_is_none_stay_apart(told, seed):
    parsed = recipe({"from": [{"endpoint": {"url": SERVER, "model": "m", **told}}], "seed": 4})
    again = recipes.parse(yaml12.read(recipes.dump(parsed)))
    for one in (parsed, again):
        with closing(one.guests.open()[0]) as guest:
            assert guest.endpoint.settings.seed == seed


@pytest.mark.parametrize(("named", "sent"), [({}, False), ({"key_env": "MY_KEY"}, True)])
def test_writing_a_recipe_down_does_not_allow_a_key_on_a_plain_connection(named, sent, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-test")
    parsed = recipe({"from": [{"endpoint": {"url": "http://10.0.0.5/v1", "model": "m", **named}}]})
    again = recipes.parse(yaml12.read(recipes.dump(parsed)))
    for one in (parsed, again):
        with closing(one.guests.from_[0].open()) as guest:
            assert guest.endpoint.settings.sends_key is sent


def test_no_guests_is_none():
    assert recipe(None).guests is None


@pytest.mark.parametrize(
    ("guests", "message"),
    [
        ({"from": []}, "guests.from: at least one guest"),
        ({}, "guests.from: missing"),
        ({"form": []}, "guests.form: no such key .*; did you mean 'from'"),
        ({"from": [{"oracle": 0.8}], "wait": -1}, "guests.wait: must be greater than or equal to 0"),
        ({"from": [{"oracle": 0.8}], "wait": float("inf")}, "guests.wait: must be a finite number"),
        ({"from": [{"oracel": 0.8}]}, r"guests.from.0.oracel: no such key .*; did you mean 'oracle'"),
        ({"from": [{}]}, "exactly one of endpoint, model, recorded, oracle, python; given: none"),
        ({"from": [{"oracle": 0.8, "model": "tiny"}]}, "given: model, oracle"),
        ({"from": [{"oracle": 1.5}]}, "guests.from.0.oracle: must be less than or equal to 1"),
        ({"from": [{"oracle": 0.5, "n": 0}]}, "guests.from.0.n"),
        ({"from": [{"oracle": 0.5, "temperature": 0.5}]}, "a guest with 'oracle' takes no 'temperature'"),
        ({"from": [{"recorded": "x", "logprobs": True}]}, "a guest with 'recorded' takes no 'logprobs'"),
        ({"from": [{"endpoint": SERVER, "device": "cpu"}]}, "a guest with 'endpoint' takes no 'device'"),
        ({"from": [{"model": "tiny", "n": 2, "temperature": 0}]}, "at temperature 0 all answers"),
        ({"from": [{"model": "tiny", "logprobs": True, "top_p": 0.9}]}, "with top_p 0.9 it draws from another"),
        ({"from": [{"model": "tiny", "logprobs": True, "temperature": 0.5}]}, "with temperature 0.5"),
        ({"from": [{"endpoint": {"url": SERVER, "extra": {"top_k": 5}}, "logprobs": True}]}, "with top_k it"),
        ({"from": [{"endpoint": {"url": SERVER, "temperature": 0.5}}]}, "temperature stands beside endpoint"),
        ({"from": [{"endpoint": {"url": SERVER, "temperature": 0.0}}]}, "endpoint.temperature is 0, .*guest 1;"),
        ({"from": [{"endpoint": {"url": SERVER, "max_tokens": 2048}}]}, "endpoint.max_tokens is 2048, .*guest 512;"),
        ({"from": [{"endpoint": {"url": SERVER, "extra": {"logprobs": True}}, "top_p": 0.5}]}, "with top_p 0.5"),
        ({"from": [{"endpoint": "Qwen/Qwen2-VL-2B"}]}, "write model: Qwen/Qwen2-VL-2B"),
        ({"from": [{"endpoint": "http://user:password@host/v1"}]}, "must not hold a user or a password"),
        ({"from": [{"oracle": 0.5}, {"oracle": 0.8}]}, "two guests are called 'oracle'"),
        ({"from": [{"python": "module"}]}, "guests.from.0.python: module:function or file.py:function is expected"),
        ({"from": [{"model": "tiny-gest"}]}, "guests.from.0.model: no embedded model .*; did you mean 'tiny-guest'"),
    ],
)
def test_a_mistake_is_named(guests, message):
    with pytest.raises(ConfigError, match=message):
        recipe(guests)


@pytest.mark.parametrize(
    ("guest", "name"),
    [
        ({"endpoint": f"{SERVER}#org/m-7b"}, "m-7b"),
        ({"endpoint": SERVER}, "127.0.0.1:9"),
        ({"model": "org/m-7b"}, "m-7b"),
        ({"model": "runs/one/model/"}, "model"),
        ({"python": "mine.py:helper"}, "helper"),
        ({"oracle": 0.5}, "oracle"),
        ({"oracle": 0.5, "name": "o"}, "o"),
        ({"recorded": "x.jsonl"}, ""),
    ],
)
def test_a_guest_has_a_name(guest, name):
    assert settings(**guest).called == name


def test_a_model_is_loaded_as_it_is_told():
    one = settings(model="tiny", n=2, temperature=0.5, top_p=0.9, max_tokens=9, device="cpu", dtype="bfloat16").open(4)
    assert isinstance(one, LocalGuest)
    assert (one.name, one.n, one.seed, one.temperature, one.top_p) == ("tiny", 2, 4, 0.5, 0.9)
    assert one._settings["max_new_tokens"] == 9 and str(one.model.dtype) == "torch.bfloat16"


def test_a_function_comes_from_a_file_or_a_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from vantage.worlds import gold\nhelper = gold\nnumber = 3\nasync def slow(row): ...\n"
    )
    for place in ("mine.py:helper", f"{tmp_path}/mine.py:helper", "vantage.worlds:gold"):
        assert settings(python=place).open().function is gold
    for place, message in (
        ("mine.py:number", "no function 'number'"),
        ("mine.py:missing", "no function 'missing'"),
        ("mine.py:slow", "slow is async; a plain function"),
        ("other.py:f", "no such file"),
        ("no.such.module:f", "cannot be imported"),
    ):
        with pytest.raises(ConfigError, match=message):
            settings(python=place).open()


def test_settings_are_safe_to_share():
    one = GuestSettings(oracle=0.5)
    with pytest.raises(ValueError, match="frozen"):
        one.oracle = 0.7

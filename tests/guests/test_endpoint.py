"""Guests behind a server: what they see, what they cost, and what becomes of a step when the server is gone."""

import base64
import io
import json
from contextlib import closing

import pytest
from PIL import Image

from endpoints.server import Server
from scripted import sample
from vantage.endpoints import EndpointSettings, FunctionEndpoint
from vantage.errors import ConfigError, EndpointError
from vantage.guests import Guests, GuestSettings, Utterance
from vantage.guests.endpoint import EndpointGuest
from vantage.samples import PromptStyle

STYLE = PromptStyle(label_sources=True, instruction="Say yes or no.")
ROW = sample("a", "rgb", "infrared")
FAST = {"timeout": 5, "backoff": 0.01, "retries": 1}


def guest(server, n=1, logprobs=False, **settings):
    told = {"url": server.url, "model": "echo", "temperature": 1.0, "seed": 3, **FAST, **settings}
    return EndpointGuest(EndpointSettings(**told), "echo", n, logprobs=logprobs)


def answers(guest, samples=(ROW,), turn=0, wait=5.0):
    return Guests([guest], wait).start(samples, STYLE, [turn] * len(samples)).collect()


def test_it_sees_what_the_policy_sees():
    with Server() as server:
        (said,) = answers(guest(server))[0]
    assert (said.text, said.model, said.tokens, said.finished) == ("PARTS", "echo", 5, True)
    label, first, other, second, text = server.requests[0]["messages"][-1]["content"]
    assert (label["text"], other["text"]) == ("rgb", "infrared")
    assert text["text"] == "is there a red ball ?\nSay yes or no."
    for part, name in ((first, "rgb"), (second, "infrared")):
        sent = Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2])))
        assert sent.tobytes() == ROW.picture(name).tobytes()


def test_every_answer_of_a_run_is_drawn_anew_and_a_turn_repeats():
    with Server() as server, closing(guest(server, n=2)) as one:
        for turn in (0, 1, 0):
            answers(one, turn=turn)
    seeds = [request["seed"] for request in server.requests]
    assert len(set(seeds[:4])) == 4 and sorted(seeds[4:]) == sorted(seeds[:2])


@pytest.mark.parametrize(
    ("told", "sent"),
    [({}, True), ({"seed": None}, False), ({"seed": 3}, True)],
    ids=["the guests'", "none", "its own"],
)
def test_a_server_that_refuses_seeds_is_sent_none(told, sent):
    """As Gemini's, which answers a field that it does not know with 400."""
    with Server(lambda n, body: ("status", 400) if "seed" in body else "answer") as server:
        settings = GuestSettings.model_validate({"endpoint": {"url": server.url, "model": "echo", **FAST, **told}})
        with closing(settings.open(seed=5)) as one:
            assert [isinstance(said, Utterance) for said in answers(one)[0]] == [not sent]
    assert [("seed" in body) for body in server.requests] == [sent]


def test_what_is_in_the_cache_costs_nothing(tmp_path):
    prices = {"price_in": 2e5, "price_out": 1e5}  # 10 and 5 tokens: 2 + 0.5
    settings = {"cache": tmp_path / "replies.sqlite", "budget": prices}
    with Server() as server:
        with closing(guest(server, n=2, **settings)) as one:
            first = answers(one)[0]
        with closing(guest(server, n=2, **settings)) as again:  # a resumed run
            second = answers(again)[0]
    assert len(server.requests) == 2
    assert [said.cost for said in first] == [2.5, 2.5] and [said.cost for said in second] == [0, 0]
    assert [said.text for said in first] == [said.text for said in second]


def test_without_prices_the_cost_is_not_known():
    with Server() as server, closing(guest(server)) as one:
        assert answers(one)[0][0].cost is None


def test_a_spent_budget_leaves_places_empty():
    with Server() as server, closing(guest(server, n=3, budget={"calls": 2})) as one:
        kinds = [said.kind if not isinstance(said, Utterance) else "said" for said in answers(one)[0]]
    assert sorted(kinds) == ["budget", "said", "said"] and len(server.requests) == 2


def test_a_server_that_was_never_there_leaves_places_empty():
    with Server() as server:
        pass
    with closing(guest(server)) as one:
        (said,) = answers(one)[0]
        assert said.kind == "failed" and "cannot be reached" in said.reason
        with pytest.raises(EndpointError, match="cannot be reached"):
            Guests([one]).check([ROW])


def test_a_server_that_leaves_in_mid_run_and_comes_back():
    down = False
    with (
        Server(lambda number, body: ("status", 400) if down else "answer") as server,
        closing(guest(server)) as one,
    ):
        kinds = []
        for turn, gone in enumerate((False, True, False)):
            down = gone
            kinds.append(type(answers(one, turn=turn)[0][0]).__name__)
    assert kinds == ["Utterance", "Refusal", "Utterance"]


def test_a_server_that_hangs_is_not_waited_for():
    with Server(lambda number, body: "hang") as server, closing(guest(server)) as one:
        (said,) = answers(one, wait=0.2)[0]
    assert said.kind == "late"


def test_an_answer_that_the_server_cut_is_refused():
    with Server(lambda n, b: ("choice", {"finish_reason": "length"})) as server, closing(guest(server)) as one:
        assert answers(one)[0][0].kind == "cut"


def test_a_megabyte_comes_whole_and_is_refused_by_its_size(processor):
    from vantage.guests import represent

    huge = {"message": {"content": "<image> yes " * 100_000}}
    with Server(lambda n, b: ("choice", huge)) as server, closing(guest(server)) as one:
        (said,) = answers(one)[0]
    tokenizer = processor.tokenizer
    assert represent(said.text, tokenizer, (), 512, tokenizer.eos_token_id).kind == "long"


CONTENT = [{"token": "3", "logprob": -0.5, "top_logprobs": []}, {"token": "<eos>", "logprob": -1}]


def test_logprobs_are_asked_for_and_kept(tmp_path):
    settings = {"cache": tmp_path / "replies.sqlite"}
    with Server(lambda n, b: ("choice", {"logprobs": {"content": CONTENT}})) as server:
        for _ in range(2):
            with closing(guest(server, logprobs=True, **settings)) as one:
                assert answers(one)[0][0].logprobs == (("3", -0.5), ("<eos>", -1.0))
    assert len(server.requests) == 1 and server.requests[0]["logprobs"] is True


@pytest.mark.parametrize(
    "came",
    [
        None,
        [],
        {"content": None},
        {"content": "x"},
        {"content": [None]},
        {"content": [{"token": "3"}]},
        {"content": [{"token": 3, "logprob": -1}]},
        {"content": [{"token": "3", "logprob": "-1"}]},
        {"content": [{"token": "3", "logprob": True}]},
        {"content": [*CONTENT, 7]},
    ],
)
def test_logprobs_that_are_not_whole_are_none_and_the_answer_stays(came):
    with Server(lambda n, b: ("choice", {"logprobs": came})) as server, closing(guest(server, logprobs=True)) as one:
        (said,) = answers(one)[0]
    assert (said.text, said.logprobs) == ("PARTS", None)


def test_logprobs_that_are_no_numbers_of_json_are_none():
    text = json.dumps({"model": "echo", "choices": [{"message": {"content": "x"}, "logprobs": {"content": CONTENT}}]})
    with (
        Server(lambda n, b: ("raw", text.replace("-0.5", "-Infinity"))) as server,
        closing(guest(server, logprobs=True)) as one,
    ):
        assert answers(one)[0][0].logprobs is None


def test_a_recipe_says_how_it_is_sampled():
    line = GuestSettings.model_validate({"endpoint": "http://127.0.0.1:9/v1#org/m", "temperature": 0.7, "n": 2})
    with closing(line.open(seed=5)) as one:
        told = one.endpoint.settings
    assert (told.temperature, told.top_p, told.max_tokens, told.seed) == (0.7, 1.0, 512, 5)
    assert (one.name, one.n) == ("m", 2)


@pytest.mark.parametrize("bent", [{"temperature": 0.5}, {"top_p": 0.9}, {"extra": {"min_p": 0.1}}])
def test_logprobs_of_another_distribution_are_refused(bent):
    settings = {"url": "http://127.0.0.1:9/v1", "model": "echo", "temperature": 1.0}
    with pytest.raises(ConfigError, match="draws from another distribution"):
        EndpointGuest(EndpointSettings(**{**settings, **bent}), "echo", logprobs=True)
    extra = {**bent.get("extra", {}), "logprobs": True}
    with pytest.raises(ConfigError, match="draws from another distribution"):
        EndpointGuest(EndpointSettings(**{**settings, **bent, "extra": extra}), "echo")


def test_an_endpoint_that_asks_for_no_logprobs_is_not_taken_for_one_that_does():
    with pytest.raises(ConfigError, match="asks for no log-probabilities"):
        EndpointGuest(FunctionEndpoint("f", lambda messages: "yes"), "f", logprobs=True)


@pytest.mark.parametrize("status", [500, 429])
def test_a_server_that_is_tried_again_and_again_is_late_with_what_it_says(status):
    with Server(lambda n, body: ("status", status, (), "CUDA out of memory")) as server:
        one = guest(server, retries=50, backoff=0.2)
        (said,) = answers(one, wait=0.8)[0]
        one.close()
    assert said.kind == "late" and f"status {status}: CUDA out of memory" in said.reason

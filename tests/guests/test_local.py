"""A model of this machine as a guest: its draws are its own, and disturb nobody's."""

import threading
import time

import pytest
import torch

from scripted import sample
from vantage import worlds
from vantage.errors import ConfigError
from vantage.generation import for_inference, generate, greedy
from vantage.guests import Guests, Utterance, aligned_logprobs, represent
from vantage.guests.local import LocalGuest
from vantage.models import load_model, load_processor
from vantage.samples import PromptStyle

STYLE = PromptStyle(label_sources=True)
SCENES = list(worlds.get("night").dataset(n=12))


def guest(n=1, **settings):
    return LocalGuest("tiny", "tiny", n, **{"max_tokens": 24, "device": "cpu", **settings})


def answers(guest, samples=SCENES, turn=0, wait=60.0):
    return Guests([guest], wait).start(samples, STYLE, [turn] * len(samples)).collect()


def texts(rows):
    return [[said.text if isinstance(said, Utterance) else said.kind for said in row] for row in rows]


def test_at_temperature_0_it_says_what_the_model_says():
    from vantage import tiny

    model, processor = load_model(tiny.path()), load_processor(tiny.path())
    with for_inference(model, processor):
        said = generate(model, processor, [STYLE.messages(s) for s in SCENES], greedy(model, processor, 24))
    found = answers(guest(temperature=0.0))
    assert texts(found) == [[one.text] for one in said]
    assert [row[0].tokens for row in found] == [one.tokens for one in said]


def test_what_is_drawn_depends_on_seed_sample_and_number_alone():
    first = texts(answers(guest(n=2)))
    assert len({text for row in first for text in row}) > len(SCENES) // 2
    other_order = texts(answers(guest(n=2, batch_size=5), SCENES[::-1]))[::-1]
    assert other_order == first
    one_by_one = guest()
    turns = [texts(answers(one_by_one, turn=turn)) for turn in (0, 1)]
    assert [[a, b] for (a,), (b,) in zip(*turns, strict=True)] == first
    assert texts(answers(guest(n=2, seed=1))) != first


def test_the_random_numbers_of_the_process_stay_untouched():
    """Also while it speaks: winding the state back at its end would repeat what the policy drew meanwhile."""
    torch.manual_seed(0)
    expected = torch.rand(400)
    one = guest()
    torch.manual_seed(0)
    under_way = Guests([one], 60).start(SCENES, STYLE, [0] * len(SCENES))
    drawn = []
    for _ in range(400):
        drawn.append(torch.rand(1))
        time.sleep(0.001)
    under_way.collect()
    assert torch.equal(torch.cat(drawn), expected)


def test_logprobs_are_those_of_the_model():
    one = guest(logprobs=True)
    tokenizer = one.processor.tokenizer
    scene = SCENES[0]
    (said,) = answers(one, [scene])[0]
    ids = represent(said.text, tokenizer, (), 99, tokenizer.eos_token_id)
    given = aligned_logprobs(said, ids, tokenizer)
    # The same by one pass over prompt and answer.
    prompt = one.processor.apply_chat_template(
        [STYLE.messages(scene)], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    whole = {**prompt, "input_ids": torch.cat([prompt["input_ids"], torch.tensor([ids])], dim=1)}
    whole = {key: value for key, value in whole.items() if key != "attention_mask"}
    for key in [key for key in whole if key not in ("input_ids", "pixel_values")]:
        if whole[key].shape[:2] == prompt["input_ids"].shape:
            whole[key] = torch.cat([whole[key], torch.zeros(1, len(ids), dtype=whole[key].dtype)], dim=1)
    with torch.no_grad():
        logits = one.model(**whole).logits[0, -len(ids) - 1 : -1].double()
    logits[:, one._settings["suppress_tokens"]] = -torch.inf
    expected = logits.log_softmax(-1)[range(len(ids)), ids].tolist()
    assert given == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("settings", [{"temperature": 0.3}, {"temperature": 0.0}, {"top_p": 0.9}])
def test_logprobs_of_another_distribution_are_refused(settings):
    with pytest.raises(ConfigError, match="draws from another distribution"):
        guest(logprobs=True, **settings)
    assert guest(**settings).gives_logprobs is False


def test_an_answer_that_reaches_the_limit_is_cut():
    assert texts(answers(guest(max_tokens=2))) == [["cut"]] * len(SCENES)


def test_a_picture_that_cannot_be_read_is_one_rows_fault(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    from vantage.samples import Sample

    broken = Sample("broken", "?", {"rgb": tmp_path / "broken.png"}, "yes", "answer")
    rows = answers(guest(), [SCENES[0], broken, SCENES[1]])
    assert [isinstance(row[0], Utterance) for row in rows] == [True, False, True]
    assert "broken" in rows[1][0].reason


def test_what_is_late_is_not_worked_on_any_more(monkeypatch):
    one = guest(batch_size=2)
    real, calls, gate = one._generate, [], threading.Event()

    def slow(batch, messages):
        calls.append(len(batch))
        gate.wait(5)
        return real(batch, messages)

    monkeypatch.setattr(one, "_generate", slow)
    assert texts(answers(one, wait=0.3)) == [["late"]] * len(SCENES)
    time.sleep(0.1)
    gate.set()
    assert texts(answers(one, SCENES[:2])) == texts(answers(guest(), SCENES[:2]))
    assert calls == [2, 2]  # ten rows were dropped unread


def test_generation_stops_once_nobody_waits():
    one = guest(max_tokens=400)
    one._settings["eos_token_id"] = None  # never ends by itself
    steps = []
    one.model.register_forward_pre_hook(lambda *_: steps.append(1))
    assert texts(answers(one, SCENES[:1], wait=0.2)) == [["late"]]
    one._thread.submit(lambda: None).result(60)
    assert len(steps) < 400


def test_a_failure_of_the_model_is_a_reason():
    one = guest()
    one._settings["max_new_tokens"] = "many"
    (said,) = answers(one, SCENES[:1])[0]
    assert said.kind == "failed"
    assert answers(guest(), [sample("a", "rgb")])[0][0].text  # and no other guest's


def test_a_closed_one_stops_and_says_nothing_more():
    one = guest(max_tokens=400)
    one._settings["eos_token_id"] = None
    steps = []
    one.model.register_forward_pre_hook(lambda *_: steps.append(1))
    under_way = Guests([one], 60).start(SCENES[:1], STYLE, [0])
    for _ in range(10_000):
        if steps:
            break
        time.sleep(0.001)
    one.close()
    assert texts(under_way.collect()) == [["cut"]]
    assert len(steps) < 400
    assert texts(answers(one, SCENES[:1])) == [["failed"]]


def test_a_model_that_does_not_load_is_an_error_at_once():
    with pytest.raises(ConfigError, match="no such folder"):
        LocalGuest("./missing", "m")


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ConfigError, match=f"guest 'tiny': device '{device}' cannot be used here"):
        guest(device=device)

import asyncio
import json
from functools import cache

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from endpoints.tiny_text import build_tiny_text
from vantage.endpoints import EndpointSettings, Refusal, open_endpoint
from vantage.endpoints.decoding import PieceStreamer, SeededSampling
from vantage.errors import ConfigError, DataError, EndpointError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tiny_text(tmp_path_factory.mktemp("text"))


def local(folder, **settings):
    given = {"model": str(folder), "max_tokens": 12, "device": "cpu", **settings}
    return open_endpoint(EndpointSettings(**given))


def says(text):
    return [{"role": "system", "content": "be brief"}, {"role": "user", "content": text}]


QUESTIONS = [says("x" * (1 + 7 * i % 23) + str(i)) for i in range(24)]


@cache
def loaded(folder):
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()


def greedy_by_hand(folder, messages, limit):
    """One token at a time, one question at a time, without padding or a cache."""
    tokenizer, model = loaded(folder)
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)["input_ids"]
    hidden = model.generation_config.suppress_tokens
    new = []
    while len(new) < limit:
        with torch.no_grad():
            scores = model(torch.tensor([ids + new])).logits[0, -1]
        scores[hidden] = -torch.inf
        new.append(int(scores.argmax()))
        if new[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>"):
            break
    return tokenizer.decode(new, skip_special_tokens=True), len(ids), len(new)


def test_greedy_replies_are_those_of_the_model_one_by_one(folder):
    with local(folder, batch_size=5, max_tokens=30) as endpoint:
        replies = endpoint.ask_many_sync(QUESTIONS[:12])
        for messages, reply in zip(QUESTIONS[:12], replies, strict=True):
            found = (reply.text, reply.prompt_tokens, reply.completion_tokens)
            assert found == greedy_by_hand(folder, messages, 30)
            assert reply.finished == (reply.completion_tokens < 30)
        assert {reply.finished for reply in replies} == {True, False}
        assert len({reply.text for reply in replies}) > 5


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_sampled_replies_depend_on_neither_batches_nor_order(folder, top_p):
    settings = {"temperature": 1.0, "seed": 5, "top_p": top_p}
    with local(folder, batch_size=1, **settings) as alone:
        one = [alone.ask_sync(messages).text for messages in QUESTIONS]
    with local(folder, batch_size=7, **settings) as many:
        back = [reply.text for reply in many.ask_many_sync(QUESTIONS[::-1])][::-1]
        again = [reply.text for reply in many.ask_many_sync([QUESTIONS[0]] * 6)]
    assert one == back
    assert again[0] == one[0] and len(set(again)) == 6
    with local(folder, **settings | {"seed": 6}) as other:
        assert [reply.text for reply in other.ask_many_sync(QUESTIONS)] != one


def test_tokens_are_drawn_as_often_as_their_probability_says():
    logits = torch.tensor([[2.0, 1.0, 0.0, -torch.inf, -1.0]])
    rows = 4000
    sampler = SeededSampling(range(rows), temperature=0.5, top_p=1.0)
    drawn = sampler(torch.zeros(rows, 1, dtype=torch.long), logits.expand(rows, -1)).argmax(-1)
    expected = torch.tensor([4.0, 2.0, 0.0, -torch.inf, -2.0]).exp()
    expected = expected / expected.sum()
    share = torch.bincount(drawn, minlength=5) / rows
    # Five standard errors.
    assert (share - expected).abs().le(5 * (expected * (1 - expected) / rows).sqrt() + 1e-9).all()


class WithoutDouble(torch.overrides.TorchFunctionMode):
    """Lets tensors say that they are on a device of Apple's, where float64 is an error; the numbers stay here."""

    class There(torch.Tensor):
        pass

    def __torch_function__(self, func, types, args=(), kwargs=None):
        there = any(isinstance(value, self.There) for value in args)
        if func == torch.Tensor.device.__get__:
            return torch.device("mps") if there else torch.device("cpu")
        if func is torch.Tensor.to and args[1] == torch.device("mps"):
            return args[0].as_subclass(self.There)
        if func is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        if func is torch.Tensor.double and there:
            raise TypeError("this device knows no float64")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_devices_without_float64_draw_the_same_tokens(top_p):
    logits = torch.randn(64, 300, generator=torch.Generator().manual_seed(0))
    ids = torch.zeros(64, 1, dtype=torch.long)
    expected = SeededSampling(range(64), 0.8, top_p)(ids, logits)
    with WithoutDouble():
        drawn = SeededSampling(range(64), 0.8, top_p)(ids, logits.as_subclass(WithoutDouble.There))
        assert drawn.device.type == "mps"
    assert torch.equal(drawn.as_subclass(torch.Tensor), expected)


def test_the_smallest_set_of_likeliest_tokens_is_drawn_from():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(500, -1)
    drawn = SeededSampling(range(500), 1.0, 0.7)(torch.zeros(500, 1, dtype=torch.long), logits).argmax(-1)
    assert set(drawn.tolist()) == {0, 1}


def test_a_reply_never_passes_the_models_window(folder, tmp_path):
    small = build_tiny_text(tmp_path, window=80)
    with local(small, max_tokens=2048) as endpoint:
        reply, refusal = endpoint.ask_many_sync([says("a"), says("a" * 100)])
        assert reply.prompt_tokens + reply.completion_tokens <= 80
        assert isinstance(refusal, Refusal) and "window 80" in str(refusal)


def test_a_stream_is_the_reply_in_pieces(folder):
    with local(folder) as endpoint:

        async def streamed():
            return [piece async for piece in endpoint.stream(says("hello"))]

        pieces = asyncio.run(streamed())
        assert len(pieces) > 2
        assert "".join(pieces) == endpoint.ask_sync(says("hello")).text


def test_closing_ends_a_reply_that_is_being_written_and_keeps_nothing_of_it(folder, tmp_path):
    import threading
    import time

    endpoint = local(folder, max_tokens=100, cache=tmp_path / "c", seed=1, temperature=3.0, batch_size=4)
    found = []
    thread = threading.Thread(target=lambda: found.extend(endpoint.ask_many_sync(QUESTIONS[:12])))
    thread.start()
    time.sleep(0.2)
    endpoint.close()
    thread.join(30)
    closed = [reply for reply in found if isinstance(reply, EndpointError)]
    assert len(found) == 12 and closed
    whole = [reply.text for reply in endpoint.ask_many_sync(QUESTIONS[:12])]
    with local(folder, max_tokens=100, seed=1, temperature=3.0, batch_size=4) as other:
        assert [reply.text for reply in other.ask_many_sync(QUESTIONS[:12])] == whole
    endpoint.close()


def test_a_stream_that_nobody_reads_ends(folder):
    with local(folder, max_tokens=400, temperature=9.0, seed=0) as endpoint:
        question = says("go on")

        async def leave():
            async for _ in endpoint.stream(question):
                break

        asyncio.run(leave())
        assert endpoint.ask_sync(says("next")).text


def test_half_a_character_waits_for_its_other_half():
    told = []
    streamer = PieceStreamer(lambda ids: bytes(ids).decode("utf-8", "replace"), told.append)
    streamer.put(torch.tensor([[1, 2, 3]]))
    for byte in "aä€b".encode():
        streamer.put(torch.tensor([byte]))
    streamer.put(torch.tensor([0xC3]))
    streamer.end()
    assert told == ["a", "ä", "€", "b", "\ufffd"]


def test_kept_replies_are_those_of_the_weights_that_gave_them(folder, tmp_path):
    settings = {"cache": tmp_path / "cache", "model": str(tmp_path / "model")}
    build_tiny_text(tmp_path / "model", seed=1)
    with local(folder, **settings) as endpoint:
        first = endpoint.ask_sync(says("a"))
    with local(folder, **settings) as endpoint:
        again = endpoint.ask_sync(says("a"))
    build_tiny_text(tmp_path / "model", seed=2)
    with local(folder, **settings) as endpoint:
        other = endpoint.ask_sync(says("a"))
    assert (first.cached, again.cached, other.cached) == (False, True, False)
    assert first.text == again.text != other.text


def test_pictures_are_refused(folder):
    from PIL import Image

    with local(folder) as endpoint:
        part = {"type": "image", "image": Image.new("RGB", (4, 4))}
        with pytest.raises(DataError, match="reads text only"):
            endpoint.ask_sync([{"role": "user", "content": [part]}])


def test_a_template_that_refuses_and_a_generation_that_fails_are_errors(folder, tmp_path, monkeypatch):
    build_tiny_text(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ raise_exception('no system message') }}")
    with local(tmp_path) as endpoint, pytest.raises(Refusal, match="no system message"):
        endpoint.ask_sync(says("a"))
    with local(folder) as endpoint:

        def fail(**_):
            raise RuntimeError("device lost")

        monkeypatch.setattr(endpoint._model, "generate", fail)
        replies = endpoint.ask_many_sync(QUESTIONS)
        assert all(isinstance(r, EndpointError) and "RuntimeError: device lost" in str(r) for r in replies)


def test_a_batch_that_does_not_fit_is_halved(folder, monkeypatch):
    with local(folder) as endpoint:
        whole = [reply.text for reply in endpoint.ask_many_sync(QUESTIONS)]
        generate, sizes = endpoint._model.generate, []

        def small(**given):
            sizes.append(len(given["input_ids"]))
            if sizes[-1] > 4:
                raise torch.OutOfMemoryError("too large")
            return generate(**given)

        monkeypatch.setattr(endpoint._model, "generate", small)
        assert [reply.text for reply in endpoint.ask_many_sync(QUESTIONS)] == whole
        assert max(sizes) > 4


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "a/b/c", "no-such-org/no-such-model"])
def test_a_model_that_is_not_there_is_an_error(name):
    with pytest.raises(ConfigError, match=r"no such folder|cannot be loaded"):
        open_endpoint(name)


def test_what_cannot_be_asked_is_found_when_it_is_opened(folder, tmp_path):
    with pytest.raises(ConfigError, match="no chat template"):
        local(build_tiny_text(tmp_path / "a", template=False))
    with pytest.raises(ConfigError, match=r"extra\.top_k"):
        local(folder, extra={"top_k": 3})
    config = json.loads((build_tiny_text(tmp_path / "b") / "config.json").read_text())
    (tmp_path / "b" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ConfigError, match="lacks 9 weights"):
        local(tmp_path / "b")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        local(folder, device="nonsense")

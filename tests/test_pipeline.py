"""Describing and reasoning: an untrained and a scripted extractor, and functions in the place of reasoners."""

import asyncio
import json
import threading
import time
from dataclasses import replace

import pytest

import vantage
from scripted import Script, sample
from vantage import worlds
from vantage.captions import Prompts
from vantage.endpoints import Budget, Endpoint, EndpointSettings, FunctionEndpoint, Reply
from vantage.errors import ConfigError, DataError
from vantage.evaluation import evaluate
from vantage.generation import each
from vantage.groups import FUSED, mono
from vantage.pipeline import ALONE, BOTH, Answer, Pipeline, open_reasoner
from vantage.samples import PromptStyle

PLAIN = Prompts(extractor="", caption="", tentative="", reasoner="C={caption} Q={question}",
                reasoner_tentative="C={caption} Q={question} A={answer}")  # fmt: skip


def echo(messages) -> str:
    """Answers with the very prompt that it read."""
    return f"so: \\boxed{{{messages[-1]['content']}}}"


def pipeline(model, processor, function=echo, **more) -> Pipeline:
    return Pipeline(model, processor, FunctionEndpoint("echo", function), prompts=PLAIN, **{"max_new_tokens": 6} | more)


class Silent(Endpoint):
    """Thinks for long before its first word, and remembers whether it was asked and left."""

    def __init__(self) -> None:
        super().__init__("silent", EndpointSettings(model="silent"))
        self.seconds = 10.0
        self.asked, self.left = threading.Event(), threading.Event()

    async def _call(self, request, emit):
        self.asked.set()
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.left.set()
            raise
        emit("at last")
        return Reply("at last")


def test_it_is_offered_at_the_top():
    assert vantage.Pipeline is Pipeline and "Pipeline" in vantage.__all__


def test_a_caption_is_what_an_evaluation_would_have_heard(model, processor):
    samples = list(worlds.get("night").dataset(split="test", n=3))
    _, rows = evaluate(model, processor, samples, style=PromptStyle(), max_new_tokens=6)
    found = pipeline(model, processor, batch_size=2).answer(samples, origins=each)
    heard = {(row["id"], row["origin"]): row["text"].strip() for row in rows}
    assert {(answer.id, str(answer.origin)): answer.caption for answer in found} == heard
    assert [str(answer.origin) for answer in found[:3]] == ["fused", "mono:rgb", "mono:infrared"]
    for answer in found:
        assert answer.reasoning == f"so: \\boxed{{C={answer.caption} Q={answer.question}}}"
        assert answer.tentative is None
        assert answer.finished["caption"] == (answer.tokens["caption"] < 6)


def test_captions_and_tentative_answers_are_asked_for_in_their_own_words(model, processor, monkeypatch):
    script = Script(processor, "person A1", "person B2", "yes", "no")
    monkeypatch.setattr(model, "generate", script)
    told = PLAIN.model_copy(update={"extractor": "dark", "caption": "glass", "tentative": "smoke"})
    asked = Pipeline(model, processor, FunctionEndpoint("echo", echo), prompts=told, label_sources=True)
    one, two = asked.answer([sample("a", "rgb"), sample("b", "rgb")], BOTH)
    assert (one.caption, one.tentative, two.caption, two.tentative) == ("person A1", "yes", "person B2", "no")
    assert one.final == "C=person A1 Q=is there a red ball ? A=yes"
    words = [processor.tokenizer.decode(call["input_ids"][0]) for call in script.calls]
    assert "dark" in words[0] and "glass" in words[0] and "smoke" not in words[0]
    assert "smoke" in words[1] and "dark" not in words[1] and "glass" not in words[1]
    assert all("rgb" in text for text in words)


def test_another_reasoner_answers_from_the_same_captions(model, processor):
    samples = [sample("a", "rgb", "infrared")]
    asked = pipeline(model, processor)
    described = asked.describe(samples)
    assert described[0].final is None and described[0].reasoner == ""
    (other,) = asked.reason(described, FunctionEndpoint("yes-man", lambda _: "<answer>yes</answer>"))
    assert (other.final, other.reasoner, other.caption) == ("yes", "yes-man", described[0].caption)
    assert Pipeline(model, processor, prompts=PLAIN, max_new_tokens=2).answer(samples)[0].final is None


def test_a_question_that_would_be_read_as_a_picture_or_an_end_is_an_error(model, processor):
    asked, end = pipeline(model, processor), processor.tokenizer.eos_token
    for mark, what in (("<image>", "marks a picture"), (end, f"holds '{end}', as in .* which would steer the model")):
        marked = replace(sample("a", "rgb"), question=f"What is {mark} here?")
        with pytest.raises(DataError, match=f"row 'a': its question {what}"):
            asked.answer([sample("b", "rgb"), marked])
        with pytest.raises(DataError, match=f"row 'a': its question {what}"):
            list(asked.stream(marked))


def test_a_failed_call_is_told_and_hides_no_other(model, processor, monkeypatch):
    monkeypatch.setattr(model, "generate", Script(processor, "A1", "B2", "C3", ""))

    def moody(messages) -> str:
        if "B2" in messages[-1]["content"]:
            raise RuntimeError("out of order")
        return echo(messages)

    found = pipeline(model, processor, moody).answer([sample(name, "rgb") for name in "abcd"])
    assert [answer.caption for answer in found] == ["A1", "B2", "C3", ""]
    assert [answer.final is not None for answer in found] == [True, False, True, False]
    assert "out of order" in found[1].error and found[1].reasoning is None
    assert "empty" in found[3].error
    assert found[0].error == found[2].error == ""


def test_a_spent_budget_keeps_what_was_paid_for(model, processor, monkeypatch):
    monkeypatch.setattr(model, "generate", Script(processor, "A1", "B2", "C3"))
    reasoner = FunctionEndpoint("echo", echo, Budget(calls=1))
    found = Pipeline(model, processor, reasoner, prompts=PLAIN).answer([sample(name, "rgb") for name in "abc"])
    assert sum(answer.final is not None for answer in found) == 1
    assert all("budget" in answer.error for answer in found if answer.final is None)


def test_an_answer_is_json(model, processor):
    (found,) = pipeline(model, processor).answer([sample("a", "rgb")], BOTH)
    kept = json.loads(json.dumps(found.record()))
    assert kept["origin"] == "fused" and kept["final"] == found.final
    assert set(kept["seconds"]) == {"caption", "tentative", "reasoner"}
    assert all(value > 0 for value in kept["seconds"].values())


@pytest.mark.parametrize("origin", [FUSED, mono("infrared")], ids=str)
def test_a_stream_says_piece_by_piece_what_an_answer_says_at_once(model, processor, origin):
    item = sample("a", "rgb", "infrared")
    asked = pipeline(model, processor)
    *pieces, last = asked.stream(item, BOTH, origin=origin)
    (whole,) = asked.answer([item], BOTH, origins=lambda _: [origin])
    assert isinstance(last, Answer)
    assert (last.caption, last.tentative, last.final) == (whole.caption, whole.tentative, whole.final)
    assert set(last.finished) == {"caption", "tentative"}, "pieces do not say why they end"
    for stage, text in (("caption", whole.caption), ("tentative", whole.tentative), ("reasoner", whole.reasoning)):
        said = [piece for name, piece in pieces if name == stage]
        assert "".join(said).strip() == text
        assert stage == "reasoner" or len(said) > 1
    order = [stage for stage, _ in pieces]
    assert order == sorted(order, key=["caption", "tentative", "reasoner"].index)


def test_a_stream_runs_inside_an_event_loop(model, processor):
    async def running() -> list:
        return list(pipeline(model, processor).stream(sample("a", "rgb")))

    assert asyncio.run(running())[-1].reasoning


def test_leaving_a_stream_stops_the_model(model, processor):
    asked = pipeline(model, processor, max_new_tokens=100_000)
    model.generation_config.eos_token_id = None
    processor.tokenizer.eos_token = None
    asked = pipeline(model, processor, max_new_tokens=100_000)
    stream = asked.stream(sample("a", "rgb"))
    next(piece for _, piece in stream if piece)
    stream.close()
    assert "vantage-extractor" not in {thread.name for thread in threading.enumerate()}


def test_a_reasoner_that_says_nothing_yet_can_be_left(model, processor):
    silent = Silent()
    stream = pipeline(model, processor).stream(sample("a", "rgb"), reasoner=silent)
    pieces = [next(piece for stage, piece in stream if stage == "reasoner")]
    assert not silent.asked.is_set(), "the end of a caption does not wait for the reasoner"
    start = time.monotonic()
    pieces += [piece for _, (_, piece) in zip(range(4), stream, strict=False)]
    assert silent.asked.is_set() and set(pieces) == {""}
    stream.close()
    assert silent.left.wait(1), "the question goes on"
    assert time.monotonic() - start < 2
    silent.seconds = 0
    *_, last = pipeline(model, processor).stream(sample("a", "rgb"), reasoner=silent)
    assert (last.reasoning, last.error) == ("at last", "")


def test_a_model_that_says_nothing_yet_can_be_left_and_so_can_who_waits_for_it(model, processor, monkeypatch):
    monkeypatch.setattr("vantage.pipeline.LEAVING", 0.1)
    free, calls, generate = threading.Event(), [], model.generate

    def slow(**inputs):
        calls.append(inputs)
        assert free.wait(20)
        return generate(**inputs)

    monkeypatch.setattr(model, "generate", slow)
    asked = pipeline(model, processor)
    first, second = asked.stream(sample("a", "rgb")), asked.stream(sample("b", "rgb"))
    start = time.monotonic()
    for stream in (first, second):
        assert [next(stream) for _ in range(3)] == [("caption", "")] * 3
    second.close()
    first.close()
    # A model ends the word that it is at; nobody waits for that longer than a moment.
    assert time.monotonic() - start < 3
    free.set()
    *_, last = asked.stream(sample("c", "rgb"))
    assert last.caption and len(calls) == 2, "who left before his turn came is not answered"


def test_what_goes_wrong_in_a_stream_is_raised_or_told(model, processor, monkeypatch):
    def broken(_) -> str:
        raise RuntimeError("out of order")

    *_, last = pipeline(model, processor, broken).stream(sample("a", "rgb"))
    assert "out of order" in last.error and last.caption

    def no_memory(**_):
        raise MemoryError("no room")

    monkeypatch.setattr(model, "generate", no_memory)
    with pytest.raises(MemoryError, match="no room"):
        list(pipeline(model, processor).stream(sample("a", "rgb")))


def never(_) -> str:
    raise AssertionError("no reasoner is asked")


def test_a_model_alone_is_asked_for_its_answer_and_nobody_else(model, processor, monkeypatch):
    script = Script(processor, "<answer> yes </answer>", "A1", "")
    monkeypatch.setattr(model, "generate", script)
    told = PLAIN.model_copy(update={"extractor": "dark", "tentative": "smoke", "tentative_system": "glass"})
    asked = Pipeline(model, processor, FunctionEndpoint("never", never), prompts=told, batch_size=2)
    steps = []
    found = asked.answer(
        [sample(name, "rgb") for name in "abc"], ALONE, progress=lambda done, total: steps.append((done, total))
    )
    assert [answer.tentative for answer in found] == ["<answer> yes </answer>", "A1", ""]
    assert [answer.final for answer in found] == ["yes", None, None]
    for answer in found:
        assert (answer.caption, answer.reasoning, answer.reasoner, answer.error) == ("", None, "", "")
        assert set(answer.finished) == set(answer.tokens) == set(answer.seconds) == {"tentative"}
    assert steps == [(2, 3), (3, 3)], "one step an answer"
    words = processor.tokenizer.decode(script.calls[0]["input_ids"][0])
    assert "smoke" in words and "glass" in words and "dark" not in words


def test_a_model_alone_says_the_same_streamed_in_a_batch_and_as_the_second_of_two_parts(model, processor):
    samples = [sample(name, "rgb", "infrared") for name in ("a", "bb")]
    asked = pipeline(model, processor, never, batch_size=3)
    alone = asked.answer(samples, ALONE, origins=each)
    assert [str(answer.origin) for answer in alone] == ["fused", "mono:rgb", "mono:infrared"] * 2
    both = asked.describe(samples, BOTH, origins=each)
    assert [answer.tentative for answer in alone] == [answer.tentative for answer in both]
    for answer, item in zip(alone, [item for item in samples for _ in range(3)], strict=True):
        *pieces, last = asked.stream(item, ALONE, origin=answer.origin)
        assert {stage for stage, _ in pieces} == {"tentative"}
        assert "".join(piece for _, piece in pieces).strip() == last.tentative == answer.tentative
        assert (last.final, last.finished, last.tokens) == (answer.final, answer.finished, answer.tokens)


@pytest.mark.parametrize(("settings", "message"), [({"batch_size": 0}, "not 0 and"), ({"max_new_tokens": 0}, "and 0")])
def test_limits_below_one(model, processor, settings, message):
    with pytest.raises(ConfigError, match=message):
        pipeline(model, processor, **settings)


def test_parts_that_there_are_not(model, processor):
    for parts in ([], ["tentative", "caption"], ["caption", "caption"], ["answer"]):
        with pytest.raises(ConfigError, match="parts are"):
            pipeline(model, processor).answer([sample("a", "rgb")], parts)
        with pytest.raises(ConfigError, match="parts are"):
            list(pipeline(model, processor).stream(sample("a", "rgb"), parts))


def test_a_reasoner_is_sampled_as_in_the_paper_unless_told_otherwise():
    settings = open_reasoner("http://127.0.0.1:9/v1#m", timeout=3).settings
    assert (settings.temperature, settings.top_p, settings.timeout, settings.model) == (0.6, 0.95, 3, "m")
    assert open_reasoner("http://127.0.0.1:9/v1#m", temperature=0).settings.temperature == 0
    embedded = open_reasoner("tiny-reader")
    assert (embedded.name, embedded.settings.temperature) == ("tiny-reader", 0)

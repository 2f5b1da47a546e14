"""Evaluations with reasoners that are cut and go on, and captions that are drawn."""

import contextlib
import json

import pytest

from scripted import Script, sample
from vantage import tiny, worlds
from vantage.captions import Prompts
from vantage.endpoints import FunctionEndpoint
from vantage.errors import ConfigError
from vantage.evaluation import kept
from vantage.evaluation.captioned import Kept
from vantage.evaluation.comparison import compare, load, save
from vantage.models import load_model, load_processor
from vantage.pipeline import BOTH, Pipeline, open_reasoner

PROMPTS = Prompts(extractor="", tentative="", reasoner="{caption}|{question}",
                  reasoner_tentative="{caption}|{question}|{answer}")  # fmt: skip
ABOUT = {"model": "m", "data": "d"}


class Reasoner:
    """Says yes to a person and no to all else; counts what it is asked, and fails after so many questions."""

    def __init__(self, fails_after: float = float("inf")):
        self.asked: list[str] = []
        self.left = fails_after

    def __call__(self, messages) -> str:
        if self.left <= 0:
            raise RuntimeError("out of order")
        self.left -= 1
        self.asked.append(messages[-1]["content"])
        return "\\boxed{yes}" if "person" in self.asked[-1] else "\\boxed{no}"


def scripted(model, processor, monkeypatch, said, batch_size=64) -> Pipeline:
    monkeypatch.setattr(model, "generate", Script(processor, *said))
    return Pipeline(model, processor, prompts=PROMPTS, max_new_tokens=8, batch_size=batch_size)


def two() -> list:
    return [sample("a", "rgb", truth="yes"), sample("b", "rgb", truth="no")]


# Of each of two samples of one source: the greedy caption, and three drawn ones; all differ, as a reasoner is asked the
# same only once.
SAID = ["person", "person A1", "lamp A1", "person B1", "lamp", "lamp B1", "person A2", "lamp B2"]


def test_each_drawn_caption_is_read(model, processor, monkeypatch):
    reasoner = Reasoner()
    (found,), rows = compare(
        scripted(model, processor, monkeypatch, SAID), two(), [FunctionEndpoint("r", reasoner)], k=3, constants=0
    )
    assert len(reasoner.asked) == 2 * (1 + 3)
    # a: 2 of 3 drawn right; b: 2 of 3. pass@1 = 2/3, pass@2 = 1 - C(1,2)/C(3,2) = 1, all three: never.
    known = {name: one.value for name, one in found.drawn.items()}
    assert known == {
        "pass@1": pytest.approx(2 / 3), "pass@2": 1, "pass@3": 1, "all@3": 0, "majority@3": 1,
    }  # fmt: skip
    # The draws change nothing of the figures of greedy captions.
    assert (found.n, found.fused.value, found.k, found.leakage.n) == (2, 1, 3, 2)
    assert [row["draw"] for row in rows if row["id"] == "a"] == [None, None, 0, 1, 2], "one source is both views"


def test_where_reasoners_read_tentative_answers_these_are_drawn_too(model, processor, monkeypatch):
    said = ["person", "lamp", "yes", "no"]  # one batch for captions, one for tentative answers
    reasoner = Reasoner()
    one = [sample("a", "rgb")]
    compare(
        scripted(model, processor, monkeypatch, said), one, [FunctionEndpoint("r", reasoner)],
        parts=BOTH, k=1, constants=0,
    )  # fmt: skip
    assert [text.split("|")[::2] for text in reasoner.asked] == [["person", "yes"], ["lamp", "no"]]


@pytest.mark.parametrize("batches", [0, 1, 3, 4, 5])
def test_what_was_cut_goes_on_and_ends_alike(model, processor, monkeypatch, tmp_path, batches):
    """Eight answers in batches of two, then two constant captions: nothing is asked twice, wherever it is cut."""
    whole = Reasoner()
    (expected,), rows = compare(
        scripted(model, processor, monkeypatch, SAID, 2), two(), [FunctionEndpoint("r", whole)], k=3
    )
    assert len(whole.asked) == 8 + 2  # two greedy captions as constant ones
    first, left = Reasoner(), iter(range(batches))
    cut = scripted(model, processor, monkeypatch, SAID, 2)
    reason = cut.reason

    def interrupted(*arguments, **more):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return reason(*arguments, **more)

    monkeypatch.setattr(cut, "reason", interrupted)
    with contextlib.suppress(KeyboardInterrupt), Kept(tmp_path / "r.jsonl", ABOUT) as files:
        compare(cut, two(), [FunctionEndpoint("r", first)], k=3, kept=files)
    second, third = Reasoner(), Reasoner()
    for reasoner in (second, third):
        with Kept(tmp_path / "r.jsonl", ABOUT) as files:
            silent = scripted(model, processor, monkeypatch, [], 2)  # captions are not made again
            (found,), again = compare(silent, two(), [FunctionEndpoint("r", reasoner)], k=3, kept=files)
        assert found.model_copy(update={"seconds": expected.seconds}) == expected
        assert again == rows
    assert first.asked + second.asked == whole.asked and third.asked == []


def test_captions_are_kept_batch_by_batch(model, processor, monkeypatch, tmp_path):
    short = scripted(model, processor, monkeypatch, SAID[:4], 2)  # says no more than four texts
    with Kept(tmp_path / "r.jsonl", ABOUT) as files, pytest.raises(IndexError):
        compare(short, two(), [FunctionEndpoint("r", Reasoner())], k=3, kept=files)
    rest = scripted(model, processor, monkeypatch, SAID[4:], 2)
    with Kept(tmp_path / "r.jsonl", ABOUT) as files:
        _, rows = compare(rest, two(), [FunctionEndpoint("r", Reasoner())], k=3, kept=files)
    assert [row["caption"] for row in rows if row["origin"] == "fused"] == SAID


def test_what_failed_is_asked_again(model, processor, monkeypatch, tmp_path):
    with Kept(tmp_path / "r.jsonl", ABOUT) as files:
        pipeline = scripted(model, processor, monkeypatch, SAID, 2)
        broken = FunctionEndpoint("r", Reasoner(3))
        (found,), rows = compare(pipeline, two(), [broken], k=3, kept=files, constants=0)
    assert sum("failed" in row and row["origin"] == "fused" for row in rows) == 5
    assert found.unscored == 1 and found.drawn["pass@1"].n == 1, "what did not come is no wrong answer"
    mended = Reasoner()
    with Kept(tmp_path / "r.jsonl", ABOUT) as files:
        silent = scripted(model, processor, monkeypatch, [], 2)
        (found,), rows = compare(silent, two(), [FunctionEndpoint("r", mended)], k=3, kept=files, constants=0)
    assert len(mended.asked) == 5 and found.unscored == 0 and not any("failed" in row for row in rows)


def test_another_question_is_refused_and_the_files_stay(tmp_path):
    Kept(tmp_path / "r.jsonl", ABOUT).close()
    before = (tmp_path / "r.jsonl").read_bytes()
    with pytest.raises(ConfigError, match='data: "d", now "other"'):
        Kept(tmp_path / "r.jsonl", {**ABOUT, "data": "other"})
    assert (tmp_path / "r.jsonl").read_bytes() == before
    assert (tmp_path / "r.captions.jsonl").exists()


@pytest.mark.parametrize("settings", [{"k": -1}, {"parts": ("tentative",)}])
def test_what_cannot_be_is_refused(model, processor, settings):
    with pytest.raises(ConfigError, match="parts are"):
        compare(Pipeline(model, processor), two(), [FunctionEndpoint("r", Reasoner())], **settings)


@pytest.mark.slow
def test_the_embedded_captioner_and_reasoner(tmp_path):
    """Kept, gone on with, and compared as any other results; shared prompts and repeated ones draw the same."""
    path = tiny.path("tiny-captioner")
    samples = worlds.get("night-captions").dataset("test", n=8)
    asked = {"k": 4, "constants": 2, "model_name": "m", "data_name": "d"}

    def measured(name, batch_size):
        pipeline = Pipeline(
            load_model(path), load_processor(path), prompts=tiny.prompts(), label_sources=True, max_new_tokens=24,
            batch_size=batch_size,
        )  # fmt: skip
        with open_reasoner("tiny-reasoner-strong") as reasoner, Kept(tmp_path / f"{name}.jsonl", ABOUT) as files:
            found, _ = compare(pipeline, samples, [reasoner], kept=files, **asked)
        save(tmp_path / f"{name}.json", found)
        return found[0]

    found, other = measured("r", 64), measured("s", 5)
    assert found.drawn == other.drawn and found.fused == other.fused
    assert found.drawn["pass@1"].n == 8 and found.drawn["pass@4"].value >= found.drawn["pass@1"].value
    results = kept.load(tmp_path / "r.json")
    assert results.k == 4 and results.figures["pass@4"] == found.drawn["pass@4"]
    assert results.figures["fused"].value == found.fused.value
    captions = [json.loads(line) for line in (tmp_path / "r.captions.jsonl").read_text().splitlines()]
    drawn = {row["caption"] for row in captions if row.get("draw") is not None}
    assert len(drawn) > 8, "drawn captions differ"
    assert load(tmp_path / "r.json") == [found]

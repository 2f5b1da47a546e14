"""Several reasoners behind one extractor, counted on fingers."""

import io
import json

import pytest
from rich.console import Console

from scripted import Script, sample
from vantage.captions import Prompts
from vantage.endpoints import FunctionEndpoint
from vantage.errors import ConfigError, DataError
from vantage.evaluation import figures
from vantage.evaluation.comparison import compare, load, save, says_nothing
from vantage.evaluation.comparison_table import comparison_table
from vantage.pipeline import BOTH, Pipeline

PROMPTS = Prompts(extractor="", tentative="", reasoner="{caption}|{question}",
                  reasoner_tentative="{caption}|{question}|{answer}")  # fmt: skip


def believer(messages) -> str:
    """Says yes to a person, no to a lamp, and nothing that can be read otherwise."""
    caption = messages[-1]["content"].split("|")[0]
    return "\\boxed{yes}" if "person" in caption else "<answer>no</answer>" if "lamp" in caption else "perhaps"


def contrary(messages) -> str:
    said = believer(messages)
    return said.replace("yes", "no") if "yes" in said else said.replace("no", "yes")


def four() -> list:
    return [
        sample("a", "rgb", "infrared", truth="yes", task="ask"),
        sample("b", "rgb", "infrared", truth="no", task="ask"),
        sample("c", "rgb", "infrared", truth="no", task="look"),
        sample("d", "rgb", "infrared", truth="yes", task="look"),
    ]


# For each sample: all sources, colour alone, infrared alone.
SAID = ["person A1", "lamp A1", "person", "lamp A1", "person", "lamp", "person A1", "person", "lamp", "", "person", "."]


def pipeline(model, processor, monkeypatch, said=SAID) -> Pipeline:
    monkeypatch.setattr(model, "generate", Script(processor, *said))
    return Pipeline(model, processor, prompts=PROMPTS, max_new_tokens=8)


def test_counts_of_two_reasoners(model, processor, monkeypatch):
    told = []
    reasoners = [FunctionEndpoint("believer", believer), FunctionEndpoint("contrary", contrary)]
    (one, two), rows = compare(
        pipeline(model, processor, monkeypatch), four(), reasoners, model_name="m", data_name="d", constants=9,
        progress=lambda what, done, total: told.append((what, done, total)),
    )  # fmt: skip
    # Right from all sources: a (yes), b (no); c hears of a person where there is none, d hears nothing.
    assert (one.reasoner, one.n, one.fused.value) == ("believer", 4, 2 / 4)
    # Colour alone: a hears lamp (wrong), b person (wrong), c person (wrong), d person (right).
    assert one.sources["rgb"].value == 1 / 4
    # Infrared alone: a person (right), b lamp (right), c lamp (right), d a full stop.
    assert (one.sources["infrared"].value, one.best_source) == (3 / 4, "infrared")
    assert (one.positive.value, one.positive.n) == (1 / 2, 2)
    assert (one.negative.value, one.negative.n) == (1 / 2, 2)
    assert one.format.value == 3 / 4 and one.unscored == 0
    # Either of the two captions, for every question, is right in half of them.
    assert (one.constant.right.value, one.constant.tried) == (2 / 4, 2)
    assert set(one.tasks) == {"ask", "look"} and one.tasks["ask"].fused.value == 1
    assert (two.fused.value, two.sources["rgb"].value, two.sources["infrared"].value) == (1 / 4, 3 / 4, 0)
    assert (two.positive.value, two.negative.value) == (0, 1 / 2)
    assert len(model.generate.calls) == 1, "captions are made once"
    assert {what for what, *_ in told} == {"describe", "ask believer", "ask contrary", "constant captions"}

    assert len(rows) == 2 * 4 * 3
    assert figures(row for row in rows if row["reasoner"] == "contrary").fused == two.fused
    heard = next(row for row in rows if row["id"] == "b" and row["origin"] == "fused")
    assert (heard["caption"], heard["text"], heard["final"], heard["correct"]) == (
        "lamp A1", "<answer>no</answer>", "no", True,
    )  # fmt: skip
    silent = next(row for row in rows if row["id"] == "d" and row["origin"] == "fused")
    assert (silent["score"], silent["formatted"], silent["final"]) == (0, False, None)
    assert "empty" in silent["error"]


def test_the_best_constant_caption_is_the_models_own(model, processor, monkeypatch):
    samples = [sample(name, "rgb", truth="no" if name in "abc" else "yes") for name in "abcde"]
    said = ["person", "person", "person", "lamp", "bush"]
    (found,), _ = compare(pipeline(model, processor, monkeypatch, said), samples, [FunctionEndpoint("b", believer)])
    assert (found.constant.caption, found.constant.right.value, found.constant.tried) == ("lamp", 3 / 5, 3)
    assert found.fused.value == 0
    (none,), _ = compare(
        pipeline(model, processor, monkeypatch, said), samples, [FunctionEndpoint("b", believer)], constants=0
    )
    assert none.constant is None


def test_the_baseline_takes_no_more_calls_than_there_are_questions(model, processor, monkeypatch):
    asked = []

    def counting(messages) -> str:
        asked.append(messages[-1]["content"])
        return believer(messages)

    samples = [sample(name, "rgb") for name in "abcd"]
    for place, item in enumerate(samples):
        object.__setattr__(item, "question", f"is there a ball {place % 2} ?")
    said = ["person", "lamp", "person A1", "person B1"]
    (found,), _ = compare(pipeline(model, processor, monkeypatch, said), samples, [FunctionEndpoint("c", counting)])
    assert found.constant.tried == 2  # two captions for two questions
    assert len(asked) <= 4 + 4


def test_a_question_that_was_not_asked_is_unscored_and_counted(model, processor, monkeypatch):
    def moody(messages) -> str:
        if "person" in messages[-1]["content"]:
            raise RuntimeError("out of order")
        return believer(messages)

    (found,), rows = compare(pipeline(model, processor, monkeypatch), four(), [FunctionEndpoint("moody", moody)])
    assert found.unscored == 2  # a and c, from all sources
    assert found.constant is None, "half a baseline would be one too low"
    assert found.fused.value == 1 / 4
    row = next(row for row in rows if row["id"] == "a" and row["origin"] == "fused")
    assert row["score"] is None and "out of order" in row["error"]
    assert "2 questions without a reply" in shown(found)


def test_leaks_and_tentative_answers(model, processor, monkeypatch):
    said = ["yes", "lamp", "yes", "no"]
    (found,), rows = compare(
        pipeline(model, processor, monkeypatch, said), [sample("a", "rgb"), sample("b", "rgb")],
        [FunctionEndpoint("copy", lambda messages: f"\\boxed{{{messages[-1]['content'].split('|')[-1]}}}")],
        parts=BOTH, constants=0,
    )  # fmt: skip
    assert (found.leakage.value, found.fused.value) == (1 / 2, 1 / 2)
    assert [row["tentative"] for row in rows if row["origin"] == "fused"] == ["yes", "no"]
    assert [row["leak"] for row in rows if row["origin"] == "fused"] == [1, 0]


@pytest.mark.parametrize(
    ("settings", "right"),
    [
        ({}, {"boxes", "tags"}),
        ({"inner": "racro-boxed"}, {"boxes", "tags"}),
        ({"inner": "racro-boxed", "answer_in": "text"}, {"boxes"}),
        ({"answer_in": "text"}, {"tags"}),
    ],
)
def test_any_reward_verifies_the_answers(model, processor, monkeypatch, settings, right):
    reasoners = [
        FunctionEndpoint("boxes", lambda _: "\\boxed{yes}"),
        FunctionEndpoint("tags", lambda _: "<answer>yes</answer>"),
        FunctionEndpoint("neither", lambda _: "yes"),
    ]
    found, _ = compare(pipeline(model, processor, monkeypatch, ["lamp"]), [sample("a", "rgb")], reasoners, **settings)
    assert {run.reasoner for run in found if run.fused.value == 1} == right
    assert all(run.constant.right == run.fused for run in found)


@pytest.mark.parametrize("truth", ["no", "0", "None", "<answer>no</answer>", 0, "zero or 0"])
def test_truths_that_say_nothing_is_there(truth):
    assert says_nothing(truth)


@pytest.mark.parametrize("truth", ["yes", "3", "A1", "not sure", ["a", "b"], {"boxes": []}, None, 10])
def test_truths_that_do_not(truth):
    assert not says_nothing(truth)


def test_results_come_back_from_their_file(model, processor, monkeypatch, tmp_path):
    found, _ = compare(pipeline(model, processor, monkeypatch), four(), [FunctionEndpoint("b", believer)])
    save(tmp_path / "deep" / "r.json", found)
    assert load(tmp_path / "deep" / "r.json") == found
    (tmp_path / "x.json").write_text("[{}]", encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.json: no evaluations of reasoners; 0\.n"):
        load(tmp_path / "x.json")
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path / "gone.json")
    assert json.loads((tmp_path / "deep" / "r.json").read_text())[0]["reasoner"] == "b"


def test_reasoners_need_names_of_their_own(model, processor, monkeypatch):
    for reasoners in ([], [FunctionEndpoint("b", believer)] * 2):
        with pytest.raises(ConfigError, match="different names"):
            compare(pipeline(model, processor, monkeypatch), four(), reasoners)
    with pytest.raises(DataError, match="no samples"):
        compare(pipeline(model, processor, monkeypatch), [], [FunctionEndpoint("b", believer)])


def shown(*evaluations, after=()) -> str:
    console = Console(width=80, color_system=None, file=io.StringIO())
    console.print(comparison_table(evaluations, after))
    return console.file.getvalue()


def test_the_table(model, processor, monkeypatch):
    reasoners = [
        FunctionEndpoint("believer", believer),
        FunctionEndpoint("a/very-long-name-of-a-reasoner-7B", contrary),
    ]
    found, _ = compare(pipeline(model, processor, monkeypatch), four(), reasoners, model_name="base", data_name="night")
    text = shown(*found)
    assert max(map(len, text.splitlines())) <= 80
    assert "base on night: 4 questions" in text
    line = next(line for line in text.splitlines() if "believer" in line)
    assert line.split() == ["believer", "50.0", "25.0", "75.0", "50.0", "50.0", "50.0"]
    assert "0.0 % (0.0–49.0) of the captions state an answer." in " ".join(text.split())

    twice = shown(*found, after=[run.model_copy(update={"model": "trained"}) for run in found])
    assert "base → trained" in twice
    lines = [line.split()[0] for line in twice.splitlines() if line.strip()]
    assert lines.index("before") < lines.index("after")
    assert max(map(len, twice.splitlines())) <= 80

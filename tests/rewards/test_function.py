import asyncio
import inspect
import threading

import pytest

from rows import fenced, row, tagged
from vantage import reward_function, rewards
from vantage.errors import ConfigError, DataError
from vantage.rewards import Reward, Score

TEXTS = [tagged("3"), tagged("4"), "3"]


def said(text):
    return [{"role": "assistant", "content": text}]


def called(function, completions, **columns):
    """As TRL calls: everything by keyword, with what it adds to the columns of the data set."""
    prompts = [[{"role": "user", "content": "How many?"}] for _ in completions]
    return function(
        prompts=prompts, completions=completions, completion_ids=[[1]] * len(completions), trainer_state=object(),
        log_extra=lambda *_: None, **{"log_metric": lambda *_: None, **columns},
    )  # fmt: skip


@pytest.mark.parametrize("column", ["answer", "truth", "solution", "ground_truth"])
@pytest.mark.parametrize("form", [str, said], ids=["plain", "conversational"])
def test_columns_of_a_data_set_are_the_truth(column, form):
    function = reward_function("answer")
    assert called(function, [form(text) for text in TEXTS], **{column: ["3"] * 3}, other=[1, 2, 3]) == [1, 0, 0]


def test_another_column_may_be_the_truth():
    function = reward_function("answer", truth="label")
    assert called(function, TEXTS, label=["3", "4", "3"], answer=["x"] * 3) == [1, 1, 0]
    with pytest.raises(DataError, match="needs the truth in a column 'label'; there are 'answer'"):
        called(function, TEXTS, answer=["x"] * 3)


def test_samples_of_vantages_own_trainer_are_used_as_they_are():
    samples = [row("3"), row("4"), row("3")]
    columns = {"id": ["r"] * 3, "truth": ["wrong"] * 3, "metadata": [{}] * 3, "question": ["q"] * 3}
    assert called(reward_function("answer"), TEXTS, sample=samples, **columns) == [1, 1, 0]


def test_the_question_is_a_column_or_the_last_message_of_the_prompt():
    function = reward_function("mars-vqa")
    asked = "How many? [A. one, B. two]"
    prompts = [[{"role": "system", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": asked}]}]]
    given = {"completions": [tagged("two")], "answer": ["B"]}
    assert function(**given, prompts=prompts) == [1.5]
    assert function(**given, prompts=["?"], question=[asked]) == [1.5]
    assert function(**given, prompts=["?"]) == [0.5]
    assert function(**given, prompts=[[1, 2, 3]]) == [0.5]


def test_boxes_are_converted_as_the_columns_say():
    function = reward_function("mars-grounding")
    shown = fenced('[{"bbox_2d": [100, 200, 300, 600]}]')
    columns = {"answer": ["[[10, 10, 30, 30]]"], "frame": ["relative"], "image_size": [[100, 50]]}
    assert called(function, [shown], **columns) == [pytest.approx(1.75)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "'answer' needs the truth in a column 'answer', 'truth', .*; there are none"),
        ({"answer": "333"}, "'answer' is not a list of 3 entries"),
        ({"answer": ["3", "3"]}, "'answer' is not a list of 3 entries"),
        ({"answer": ["3", None, "3"]}, "completion 1 of the batch: no truth"),
        ({"answer": ["3", {}, "3"], "id": ["a", "b", "c"]}, "row 'b'"),
        ({"truth": ["3"] * 3, "solution": ["3", "3", "4"]}, "completion 2 of the batch: .* they mean the same"),
    ],
)
def test_a_row_that_cannot_be_scored_is_an_error_that_names_it(columns, message):
    with pytest.raises(DataError, match=message):
        reward_function("answer")(completions=TEXTS, **columns)


@pytest.mark.parametrize(
    ("name", "shown"), [("mars-vqa", "mars_vqa"), ("a + 0.5*b", "a_0_5_b"), ("3d", "reward_3d"), ("é!", "é")]
)
def test_trl_logs_it_by_a_name_that_is_an_identifier(name, shown):
    class Named(Reward):
        low, high = 0.0, 1.0

        def score(self, completion, sample):
            return Score(None if completion == "?" else 0.5, timed_out=completion == "late")

    reward = Named()
    reward.name = name
    logged = []
    function = reward_function(reward)
    found = called(function, ["?", "x", "late", "x"], answer=["3"] * 4, log_metric=lambda *pair: logged.append(pair))
    assert function.__name__ == shown
    assert found == [None, 0.5, 0.5, 0.5]
    assert logged == [(f"rewards/{shown}/timeouts", 0.25)]


def test_an_asynchronous_one_leaves_the_event_loop_free():
    started, freed = threading.Event(), threading.Event()

    class Waits(Reward):
        name, low, high = "waits", 0.0, 1.0

        def score(self, completion, sample):
            started.set()
            return Score(float(freed.wait(5)))

    async def both():
        scored = asyncio.create_task(called(function, ["x"], answer=["3"]))
        while not started.is_set():
            await asyncio.sleep(0.01)
        freed.set()  # would never be reached if the verifier held the loop
        return await scored

    function = reward_function(Waits(), asynchronous=True)
    assert inspect.iscoroutinefunction(function) and function.__name__ == "waits"
    assert asyncio.run(both()) == [1.0]


def test_an_unknown_reward_is_an_error_at_once():
    with pytest.raises(ConfigError, match="no reward is called 'nope'"):
        reward_function("nope")


@pytest.mark.parametrize("name", ["answer", "mars-vqa"])
def test_it_gives_what_the_verifier_gives(name):
    truths = ["3", "4", "3"]
    alone = [rewards.call(name, text, row(truth)).reward for text, truth in zip(TEXTS, truths, strict=True)]
    assert called(reward_function(name), TEXTS, answer=truths) == alone
    assert reward_function(name)(completions=[], answer=[]) == []

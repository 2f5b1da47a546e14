import asyncio
import contextlib
import itertools
import random
import re
import threading
import time

import numpy as np
import pytest

import vantage
from rows import row, tagged
from vantage import rewards
from vantage.errors import DataError, RewardError
from vantage.rewards import Reward, Score, contract
from vantage.rewards.rows import completion_text


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(contract, "WARM_UP", 0.5)


def check(function, rows=None, **kwargs):
    return vantage.check_reward(function, rows, **{"seconds": 0.3, **kwargs})


def sound(completions, answer, **_):
    """A reward function without a fault, from which each test takes something away."""
    return [float(a in completion_text(c)[:2000]) for c, a in zip(completions, answer, strict=True)]


def kinds(found):
    return [problem.kind for problem in found.problems]


def text_of(found):
    return " ".join(str(found).split())


def test_a_sound_function_is_ok_and_says_what_was_tried():
    found = check(sound)
    assert found.ok and found.problems == []
    assert 0 < found.seconds_per_completion < 0.01
    assert found.completions > 40
    assert str(found).startswith("reward 'sound': nothing wrong was found (")
    found.raise_for_problems()


def test_an_async_function_and_a_callable_object_are_tried_alike():
    async def later(completions, answer, **_):
        await asyncio.sleep(0)
        return sound(completions, answer)

    async def wrong(completions, **_):
        await asyncio.sleep(0)
        return [float("nan")] * len(completions)

    class Object:
        def __call__(self, completions, answer, **_):
            return sound(completions, answer)

    assert check(later).ok
    assert kinds(check(wrong)) == ["not-a-number"]
    assert check(Object()).name == "Object" and check(Object()).ok


VALUES = {
    "a nan": float("nan"),
    "infinity": float("inf"),
    "a boolean": True,
    "a boolean of numpy": np.bool_(True),
    "a text": "1",
    "a list": [1.0],
    "complex": 1j,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_no_number_is_found(value):
    found = check(lambda completions, **_: [value] * len(completions))
    assert kinds(found) == ["not-a-number"]
    assert repr(value) in str(found)


@pytest.mark.parametrize("value", [None, 1, np.float32(0.5)], ids=str)
def test_none_integers_and_numbers_of_numpy_are_rewards(value):
    assert check(lambda completions, **_: [value] * len(completions)).ok


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        (lambda n: [0.0] * (n - 1), "length", "rewards for"),
        (lambda n: [0.0] * (n + 1), "length", "rewards for"),
        (lambda n: (0.0,) * n, "not-a-list", "returned tuple, not a list"),
        (lambda n: np.zeros(n), "not-a-list", "returned ndarray"),
        (lambda n: 0.5, "not-a-list", "returned float"),
        (lambda n: None, "not-a-list", "returned NoneType"),
        (lambda n: [2.0] * n, "range", "returned 2 .*outside -1..1"),
    ],
)
def test_results_of_another_form_are_found(result, kind, message):
    found = check(lambda completions, **_: result(len(completions)), low=-1, high=1)
    assert kinds(found) == [kind]
    assert re.search(message, str(found))


def test_what_it_raises_is_told_with_the_text_on_which_it_does():
    def divides(completions, answer, **_):
        return [1 / len(completion_text(c)) for c in completions]

    def parses(completions, **_):
        return [float(completion_text(c).count("x") and int("9" * 10_000)) for c in completions]

    assert kinds(check(divides)) == ["raises"]
    assert "raises ZeroDivisionError: division by zero; seen on the hostile texts: empty" in text_of(check(divides))
    assert "raises ValueError: Exceeds the limit" in text_of(check(parses))

    def always(completions, **_):
        raise RuntimeError("no server")

    (problem,) = check(always).problems
    assert problem.message.startswith("raises RuntimeError: no server for '<think>I look")

    def untagged(completions, **_):
        return [float(len(completion_text(c).split("<answer>")[1])) for c in completions]

    (problem,) = check(untagged).problems
    assert problem.message == r"raises IndexError: list index out of range for 'So it is \\boxed{3}.'"


def test_columns_and_arguments_that_do_not_fit_are_found():
    def needs_label(completions, label, **_):
        return [0.0] * len(completions)

    def needs_label_later(completions, **columns):
        return [float(x) for x in columns["label"]]

    def no_keywords(completions, answer):
        return sound(completions, answer)

    for function in (needs_label, needs_label_later):
        found = check(function)
        assert kinds(found) == ["column"] and "'label'" in str(found)
        assert check(function, [{"label": 1, "answer": "x"}]).ok or function is needs_label
    assert kinds(check(no_keywords)) == ["kwargs"]
    assert kinds(check(needs_label, [{"answer": "3"}])) == ["column"]
    assert "there are answer, and what TRL adds" in str(check(needs_label, [{"answer": "3"}]))


def test_what_trl_adds_is_there():
    def uses(prompts, completions, completion_ids, trainer_state, log_extra, log_metric, **_):
        log_metric("a", 1.0)
        log_extra("b", completions)
        assert all(prompt[-1]["role"] == "user" for prompt in prompts)
        assert trainer_state.global_step == 0
        return [float(len(ids)) for ids in completion_ids]

    assert check(uses).ok


def test_rewards_that_change_from_call_to_call_are_found():
    dice = random.Random(0)
    found = check(lambda completions, **_: [dice.random() for _ in completions])
    assert kinds(found) == ["not-deterministic"]
    calls = itertools.count()
    found = check(lambda completions, **_: [float(next(calls))] * len(completions), conversational=False)
    assert kinds(found) == ["not-deterministic"]


def test_rewards_that_depend_on_the_rest_of_the_batch_are_found():
    def by_place(completions, **_):
        return [float(i) for i in range(len(completions))]

    def above_the_mean(completions, **_):
        lengths = [len(completion_text(c)) for c in completions]
        return [length - sum(lengths) / len(lengths) for length in lengths]

    assert kinds(check(by_place)) == ["batch-dependent"] and "turned round" in str(check(by_place))
    assert kinds(check(above_the_mean)) == ["batch-dependent"] and "by itself" in str(check(above_the_mean))


def drops_a_message(completions, answer, **_):
    found = sound(completions, answer)
    completions.pop()
    return found


def edits_a_message(completions, answer, **_):
    found = sound(completions, answer)
    for completion in completions:
        completion[-1]["content"] = ""
    return found


def edits_a_column(completions, answer, metadata, **_):
    for entry in metadata:
        entry["seen"] = True
    return sound(completions, answer)


def edits_a_sample(completions, sample, answer, **_):
    sample[0].metadata["seen"] = True
    return sound(completions, answer)


@pytest.mark.parametrize("function", [drops_a_message, edits_a_message, edits_a_column, edits_a_sample])
def test_changed_arguments_are_found(function):
    found = check(function)
    # A message that is emptied is read as plain text first; what counts is that the change is told.
    assert "mutates" in kinds(found) and "changes its argument" in str(found)


def catastrophic(completions, **_):
    """A regular expression that takes for ever on a long run of one letter, and holds the interpreter meanwhile."""
    return [float(re.match(r"(a+)+b", completion_text(c)) is not None) for c in completions]


def swallows(completions, **_):
    for completion in completions:
        while len(completion_text(completion)) > 900_000:
            with contextlib.suppress(Exception):  # as such functions do
                time.sleep(0.05)
    return [0.0] * len(completions)


@pytest.mark.parametrize("function", [catastrophic, swallows])
def test_a_text_on_which_it_hangs_is_told_instead_of_waited_for(function):
    start = time.perf_counter()
    found = check(function, seconds=0.1)
    assert kinds(found) == ["slow"]
    assert "takes longer than 0.1 s for a completion" in str(found) and "hostile texts: " in str(found)
    assert time.perf_counter() - start < 5


def test_a_function_that_never_comes_back_is_given_up():
    start = time.perf_counter()
    found = check(lambda completions, **_: time.sleep(60), seconds=0.01)
    assert kinds(found) == ["slow"] and time.perf_counter() - start < 5


def test_a_function_that_is_slow_on_everything_is_found():
    def slow(completions, **_):
        time.sleep(0.02 * len(completions))
        return [0.0] * len(completions)

    assert kinds(check(slow, seconds=0.005)) == ["slow"]
    assert check(slow, seconds=1).ok


def test_outside_the_main_thread_it_is_left_behind():
    found = []

    def waits(completions, **_):
        time.sleep(1)
        return [0.0] * len(completions)

    def one():
        found.extend([check(waits, seconds=0.01), check(sound)])

    thread = threading.Thread(target=one)
    thread.start()
    thread.join()
    assert kinds(found[0]) == ["slow"] and found[1].ok


def test_inside_a_running_event_loop_it_works_too():
    async def notebook():
        return check(sound)

    assert asyncio.run(notebook()).ok


def test_a_function_that_only_reads_plain_texts_is_told_of_chat_messages():
    def strips(completions, answer, **_):
        return [float(c.strip()[:1] == a) for c, a in zip(completions, answer, strict=True)]

    def prints(completions, answer, **_):
        return [float(str(c).startswith("3")) for c in completions]

    for function in (strips, prints):
        assert kinds(check(function)) == ["conversational"]
        assert '[{"role": "assistant", "content": ...}]' in str(check(function))
        assert check(function, conversational=False).ok


class Own(Reward):
    name, low, high = "own", 0.0, 1.0

    def __init__(self, result):
        self.result = result

    def score(self, completion, sample):
        return self.result(completion)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (lambda text: Score(1.5), "range"),
        (lambda text: Score(float("nan")), "not-a-number"),
        (lambda text: 0.5, "raises"),
        (lambda text: Score(1 / len(text)), "raises"),
        (lambda text: Score(random.random()), "not-deterministic"),
    ],
    ids=["range", "nan", "no score", "raises", "random"],
)
def test_a_verifier_of_ones_own_is_tried_alike(result, kind):
    found = check(Own(result))
    assert kinds(found) == [kind] and found.name == "own"
    assert check(Own(lambda text: Score(None))).ok


GUARDED = [name for name in rewards.names() if type(rewards.get(name)).score_many is not Reward.score_many]
QUICK = [name for name in rewards.names() if name not in GUARDED]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in GUARDED)])
def test_the_verifiers_that_ship_are_ok(name):
    found = vantage.check_reward(name, seconds=30)  # machines that run tests are busy
    assert found.ok, str(found)


def test_a_verifier_as_a_function_of_trl_is_ok():
    rows = [{"answer": "3", "id": "a"}, {"answer": "4", "id": "b"}]
    assert check(vantage.reward_function("answer"), rows).ok
    assert check(vantage.reward_function("mars-vqa", asynchronous=True), rows).ok


def test_verifiers_that_stop_themselves_have_the_time_for_it(monkeypatch):
    class Guarded(Own):
        def score_many(self, completions, samples):
            time.sleep(0.005 * len(completions))
            return [Score(0.0) for _ in completions]

    monkeypatch.setattr(contract, "SECONDS", 0.001)
    monkeypatch.setattr(contract, "GUARDED", 1.0)
    assert vantage.check_reward(Guarded(None)).ok


def test_rows_of_ones_own_are_tried_with_their_completions():
    seen = []

    def watches(completions, answer, extra, **_):
        seen.extend(zip(map(completion_text, completions), answer, extra, strict=True))
        return [0.0] * len(completions)

    assert check(watches, [{"answer": "7", "completion": "mine", "extra": 1}, {"answer": "8", "extra": None}]).ok
    assert ("mine", "7", 1) in seen and (tagged("8", "I look at the picture."), "8", None) in seen
    assert check("box", [row([1, 2, 30, 40], "box", frame="pixel")]).ok
    with pytest.raises(DataError, match=r"rows\[0\]"):
        check("box", [{"answer": "3"}])
    with pytest.raises(DataError, match="no rows"):
        check("box", [])


def test_answers_that_say_nothing_and_pay_are_found():
    def part_of_the_truth(completions, answer, **_):
        texts = [text_of_answer(completion[0]["content"]) for completion in completions]
        return [float(text in truth) for text, truth in zip(texts, answer, strict=True)]

    def text_of_answer(text):
        return text.split("<answer>")[-1].split("</answer>")[0]

    def empty_but_not_part(completions, answer, **_):
        texts = [text_of_answer(completion[0]["content"]) for completion in completions]
        return [float(text.strip() in ("", truth)) for text, truth in zip(texts, answer, strict=True)]

    def letter(completions, answer, **_):
        texts = [text_of_answer(completion[0]["content"]) for completion in completions]
        return [float(text != "" and text.strip() != "" and text in t) for text, t in zip(texts, answer, strict=True)]

    rows = [{"answer": "yes"}]
    for function in (part_of_the_truth, empty_but_not_part, letter):
        found = check(function, rows)
        assert [problem.kind for problem in found.problems] == ["cheap"], function.__name__
        assert "as much as for the right answer" in str(found)
    # What does not look at the answer owes nothing.
    assert check(lambda completions, **_: [0.5] * len(completions), rows).ok


def test_a_reward_that_ends_the_program_ends_its_call_only():
    def quits(completions, **_):
        raise SystemExit(1)

    assert [problem.kind for problem in check(quits).problems] == ["raises"]


def test_problems_raise_when_asked_to():
    def two(completions):
        return [2.0] * len(completions)

    found = check(two, low=0, high=1)
    assert kinds(found) == ["kwargs", "range"]
    with pytest.raises(RewardError, match=r"reward 'two': 2 problems(.|\n)*- kwargs: (.|\n)*- range: "):
        found.raise_for_problems()

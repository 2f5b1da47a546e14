r"""The reasoner here reads ``has N`` in a caption and boxes N; the oracle is what a caption says, written beside it."""

import asyncio
import pickle
import re
from collections import Counter
from dataclasses import replace

import pytest

from endpoints.server import Server
from rows import row
from vantage import rewards
from vantage.captions import CaptionReward, Prompts
from vantage.endpoints import Budget, EndpointSettings, FunctionEndpoint, open_endpoint
from vantage.errors import BudgetError, ConfigError, DataError, EndpointError, RewardError, TruthError
from vantage.rewards import Reward, Score
from vantage.rewards.base import Completion
from vantage.rewards.tryout import hostile


def asking(truth="2", question="How many?", reward="math"):
    return replace(row(truth, reward), question=question)


class Reasoner:
    """Counts what it is asked, fails on ``down`` and says what follows ``has``."""

    def __init__(self, form=r"So it is \boxed{{{0}}}."):
        self.form, self.seen = form, []

    def __call__(self, messages):
        text = messages[-1]["content"]
        self.seen.append(text)
        if "down" in text:
            raise RuntimeError("no such luck")
        found = re.search(r"has (\[.*\]|\w+)", text)
        return self.form.format(found.group(1)) if found else "I cannot tell."


def made(reasoner=None, budget=None, **settings):
    return CaptionReward(FunctionEndpoint("reader", reasoner or Reasoner(), budget), **settings)


def test_it_pays_what_the_reasoners_answer_earns():
    captions = ["The road has 2 men.", "It has 3", "There is a road.", "It has 2"]
    scores = made().score_many(captions, [asking(), asking(), asking(), asking("3")])
    assert [score.reward for score in scores] == [1, 0, 0, 0]
    assert [score.correct for score in scores] == [True, False, False, False]
    assert all(score.formatted and score.parts["called"] for score in scores)
    assert scores[0].parts == {
        "called": 1, "failed": 0, "cut": 0, "leak": 0, "mention": 1, "answer": 1, "answer/accuracy": 1,
    }  # fmt: skip
    assert scores[2].error.startswith("answer: ") and not scores[0].error


@pytest.mark.parametrize(
    ("name", "truth"),
    [("math", "2"), ("racro-boxed", "2"), ("answer", "2"), ("count", "two"), ("mars-vqa", "2"),
     ("reason-rft-accuracy", "2"), ("reason-rft-number", 2), ("racro-boxed + 0.5*math", "2")],
)  # fmt: skip
@pytest.mark.parametrize("form", [r"So it is \boxed{{{0}}}.", "<think>x</think> <answer>{0}</answer>"])
def test_rewards_read_the_answer_whether_they_look_for_boxes_or_tags(name, truth, form):
    for reward in (made(Reasoner(form)), made(Reasoner(form), inner=name)):
        right, wrong = reward.score_many(["It has 2", "It has 4"], [asking(truth, reward=name)] * 2)
        assert right.correct and not wrong.correct and right.reward > wrong.reward
        assert right.reward == pytest.approx(right.parts["answer"])


def test_boxes_of_pictures_are_verified_too():
    sample = replace(row([[8, 8, 40, 40]], "grounding", frame="pixel"), question="Where?")
    said = 'It has [{"bbox_2d": [8, 8, 40, 40]}]'
    assert made().score(said, sample).reward == pytest.approx(1)


def test_how_the_answer_is_handed_over_can_be_set():
    assert made(inner="math", answer_in="box").score("It has 2", asking()).reward == 1
    assert made(inner="answer", answer_in="box").score("It has 2", asking()).reward == 0
    assert made(inner="math", answer_in="text").score("It has 2", asking()).reward == 1
    assert made(Reasoner("<answer>{0}</answer>"), inner="answer", answer_in="text").score("It has 2", asking()).correct


@pytest.mark.parametrize(
    ("caption", "error"),
    [
        ("", "the caption is empty"),
        (" \n\t", "the caption is empty"),
        ("<image><|im_end|>", "the caption is empty"),
        ("\u200b ... \0", "the caption is empty"),
        (Completion("It has 2", finished=False), "the caption was cut"),
    ],
)
def test_an_empty_or_cut_caption_earns_nought_without_a_call(caption, error):
    reasoner = Reasoner()
    score = made(reasoner).score(caption, asking())
    assert (score.reward, score.correct, score.formatted, score.error) == (0.0, False, False, error)
    assert score.parts["called"] == score.parts["failed"] == 0 and "answer" not in score.parts
    assert reasoner.seen == []


def test_a_finished_completion_is_a_text_like_any_other():
    kept = pickle.loads(pickle.dumps(Completion("It has 2", finished=True)))  # noqa: S301  made here
    assert made().score(kept, asking()).reward == 1


def test_a_failed_call_is_unscored_and_the_others_are_not():
    captions = ["It has 2", "down", "It has 3", "", "It has 2 and more"]
    scores = made().score_many(captions, [asking()] * 5)
    assert [score.reward for score in scores] == [1, None, 0, 0, 1]
    assert [score.parts["failed"] for score in scores] == [0, 1, 0, 0, 0]
    assert scores[0].record()["said"] == scores[0].said != "" and "said" not in scores[3].record()
    assert "RuntimeError: no such luck" in scores[1].error
    assert rewards.call_many([made()] * 5, captions, [asking()] * 5)  # None passes the checks of every reward


@pytest.mark.parametrize(
    ("failing", "asked", "allowed", "stops"),
    [
        (2, 10, 0.2, False),
        (3, 10, 0.2, True),
        (1, 1, 0.0, False),
        (2, 9, 0.2, True),
        (9, 9, 1.0, False),
        (2, 9, 0, True),
    ],
)
def test_more_failures_than_allowed_stop_training(failing, asked, allowed, stops):
    captions = [f"down {i}" for i in range(failing)] + [f"It has {i}" for i in range(asked - failing)]
    captions += [""] * 20  # no calls, hence no part of the share
    reward = made(max_failed=allowed)
    if not stops:
        scores = reward.score_many(captions, [asking()] * len(captions))
        assert sum(score.reward is None for score in scores) == failing
        return
    share = f"{failing / asked:.0%}"
    told = rf"reader: the calls of {failing} of {asked} captions failed \({share}\).*no such luck"
    with pytest.raises(EndpointError, match=told):
        reward.score_many(captions, [asking()] * len(captions))


def test_equal_captions_whose_one_call_fails_are_many_failures():
    captions = ["down"] * 12 + [f"It has {i}" for i in range(4)]
    with pytest.raises(EndpointError, match=r"12 of 16 captions failed \(75%\)"):
        made(max_failed=0.5).score_many(captions, [asking()] * 16)
    with pytest.raises(EndpointError, match=r"4 of 4 captions failed"):
        made().score_many(["down"] * 4, [asking()] * 4)


def test_a_spent_budget_passes_through():
    with pytest.raises(BudgetError):
        made(budget=Budget(calls=2)).score_many([f"It has {i}" for i in range(5)], [asking()] * 5)


def test_equal_captions_of_one_question_are_asked_once():
    reasoner = Reasoner()
    samples = [asking("2"), asking("2"), asking("2", "How few?"), asking("3"), asking("2")]
    scores = made(reasoner).score_many(["It has 2"] * 4 + ["It has 2, too"], samples)
    assert len(reasoner.seen) == 3
    assert [score.reward for score in scores] == [1, 1, 1, 0, 1]
    assert all(score.parts["called"] for score in scores)


def test_order_and_company_change_nothing():
    captions = [f"It has {i % 4}" for i in range(12)]
    samples = [asking(str(i % 3), f"How many? {i}") for i in range(12)]
    together = made().score_many(captions, samples)
    assert [score.correct for score in together] == [i % 4 == i % 3 for i in range(12)]
    assert made().score_many(captions[::-1], samples[::-1])[::-1] == together
    assert [made().score(*pair) for pair in zip(captions, samples, strict=True)] == together


def test_it_works_inside_a_running_loop_and_as_a_coroutine():
    captions, samples = ["It has 2", "down", ""], [asking()] * 3

    async def both():
        return made().score_many(captions, samples), await made().score_async(captions, samples)

    one, other = asyncio.run(both())
    assert one == other == made().score_many(captions, samples)
    assert asyncio.run(made().score_async([], [])) == made().score_many([], []) == []


def test_leaks_are_counted_and_harmless_by_default():
    reasoner = Reasoner()
    score = made(reasoner).score("It has 2. The answer is 2.", asking())
    assert (score.reward, score.parts["leak"], score.parts["mention"]) == (1, 1, 1)
    assert "The answer is 2." in reasoner.seen[0]
    assert made().score("It has 3", asking()).parts["leak"] == 0


def test_leaks_may_cost_a_penalty():
    captions = ["It has 2. The answer is 2.", "It has 2", "It has 3. The answer is 3.", "", "down. The answer is 2."]
    reward = made(inner="math", leakage="penalty", penalty=0.25, max_failed=1)
    assert [score.reward for score in reward.score_many(captions, [asking()] * 5)] == [0.75, 1, -0.25, 0, None]
    assert (reward.low, reward.high) == (-0.25, 1)
    assert reward.score(captions[0], asking()).parts["answer"] == 1


def test_leaks_may_be_stripped_before_the_reasoner_reads_them():
    reasoner = Reasoner()
    captions = [r"A road. It has 3. Hence \boxed{2}.", r"\boxed{2}", "<answer>2</answer>", "It has 2"]
    scores = made(reasoner, leakage="strip").score_many(captions, [asking()] * 4)
    assert "A road. It has 3." in reasoner.seen[0] and "Hence" not in reasoner.seen[0]
    assert [score.reward for score in scores] == [0, 0, 0, 1]
    assert [score.error for score in scores[1:3]] == ["the caption is empty but for an answer"] * 2
    assert [score.parts["called"] for score in scores] == [1, 0, 0, 1]
    assert [score.parts["leak"] for score in scores] == [1, 1, 1, 0]


def test_the_range_is_that_of_the_inner_reward_and_nought():
    class Late(Reward):
        name, low, high, needs_truth = "late", 1.0, 2.0, False

        def score(self, completion, sample):
            return Score(2.0)

    assert (made(inner=Late()).low, made(inner=Late()).high, made(inner=Late()).needs_truth) == (0, 2, False)
    assert made(inner=Late(), leakage="penalty").low == -0.5
    assert made(inner="mars-vqa").high == 1.5
    assert made().low == -float("inf")


def test_an_unscored_answer_leaves_the_caption_unscored():
    class Silent(Reward):
        name, low, high = "silent", 0.0, 1.0

        def score(self, completion, sample):
            return Score(None, error="no key")

    score = made(inner=Silent()).score("It has 2", asking())
    assert score.reward is None and score.error == "answer: no key" and score.parts["failed"] == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner": "nope"}, "no reward is called 'nope'"),
        ({"leakage": "punish"}, "leakage: one of log, penalty, strip, not 'punish'"),
        ({"answer_in": "mail"}, "answer_in: one of auto, box, tags, text, not 'mail'"),
        ({"penalty": 0}, "penalty: a number above 0"),
        ({"penalty": float("nan")}, "penalty: a number above 0"),
        ({"max_failed": 1.5}, "max_failed: a share from 0 to 1, not 1.5"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        made(**settings)


def test_what_verifies_the_answer_does_not_read_captions():
    with pytest.raises(ConfigError, match="an endpoint"):
        CaptionReward("http://127.0.0.1:1/v1")
    with pytest.raises(ConfigError, match="inner: 'caption' reads captions"):
        made(inner=made())
    with pytest.raises(ConfigError, match="row 'r1' names no reward"):
        made().check(asking(reward=""))


def test_rows_are_checked_by_the_reward_that_verifies_the_answer():
    made().check(asking())
    with pytest.raises(TruthError, match="'r1'"):
        made(inner="count").check(asking("a bus"))
    with pytest.raises(TruthError, match="'r1'"):
        made().check(asking("a bus", reward="count"))
    with pytest.raises(DataError, match="row 'r1': the reasoner has nothing to answer"):
        made().check(asking(question=" "))


def test_no_caption_breaks_it():
    captions = [text[:100_000] for _, text in hostile()]
    reward = made(Reasoner("{0}"), inner="answer", leakage="penalty")
    scores = rewards.call_many([reward] * len(captions), captions, [asking("yes")] * len(captions))
    assert all(score.reward in (0, -0.5) for score in scores)


def test_a_reasoner_that_writes_nonsense_breaks_nothing():
    texts = ["", "\\boxed{" * 5_000, "<answer>" * 5_000, "9" * 100_000, "\ud800", "\\boxed{" + "9" * 10_000 + "}"]
    for text in texts:
        for inner in ("math", "racro-boxed", "answer", "reason-rft-number", "count"):
            assert made(lambda messages, text=text: text, inner=inner).score("It has 2", asking()).reward == 0


def test_prompts_of_ones_own_reach_the_reasoner():
    reasoner = Reasoner()
    made(reasoner, prompts=Prompts(reasoner="Q: {question} C: {caption}")).score("It has {2} <image>", asking())
    assert reasoner.seen == ["Q: How many? C: It has {2}"]


def test_a_server_that_misbehaves_loses_no_member_and_is_paid_once(tmp_path):
    """Every caption meets trouble at first; one is refused for good, one gets half a page for a reply."""
    tries = Counter()
    troubles = [("status", 500), "drop", ("status", 429, [("Retry-After", "0")])]

    def behaviour(number, body):
        text = body["messages"][-1]["content"]
        tries[text] += 1
        if "refused" in text:
            return ("status", 400)
        if "page" in text:
            return ("raw", "<html>")
        return troubles[len(tries) % len(troubles)] if tries[text] == 1 else ("choice", answer(text))

    def answer(text):
        (found,) = re.findall(r"has (\d+)", text)
        return {"message": {"role": "assistant", "content": f"\\boxed{{{found}}}"}}

    captions = [*(f"It has {i % 7}" for i in range(14)), "refused", "a page"]
    samples = [asking(str(i % 2), f"How many? {i}") for i in range(16)]
    with Server(behaviour) as server:
        settings = EndpointSettings(
            url=server.url, model="echo", timeout=5, backoff=0.001, cache=tmp_path / "replies.db"
        )
        with open_endpoint(settings) as endpoint:
            scores = CaptionReward(endpoint).score_many(captions, samples)
            asked = len(server.requests)
            assert CaptionReward(endpoint).score_many(captions[:14], samples[:14]) == scores[:14]
            assert len(server.requests) == asked
    assert [score.reward for score in scores] == [*(float(i % 7 == i % 2) for i in range(14)), None, None]
    assert max(tries.values()) == 2


def test_errors_of_the_inner_reward_name_the_row():
    class Broken(Reward):
        name, low, high = "broken", 0.0, 1.0

        def score(self, completion, sample):
            raise ZeroDivisionError("oh")

    with pytest.raises(RewardError, match="row 'r1': reward 'broken' raised ZeroDivisionError: oh"):
        made(inner=Broken()).score("It has 2", asking())

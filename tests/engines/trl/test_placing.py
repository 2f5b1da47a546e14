"""What is put into the rows of right anchors: in the policy's tokens, right by the sample's reward, or not at all."""

import copy
import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from tiny_qwen import CHAT_TEMPLATE, byte_tokenizer
from vantage.engines.trl import texts as wording
from vantage.engines.trl.placing import Placing, drawn_with
from vantage.engines.trl.rollout import Rollout, Verifier
from vantage.engines.trl.texts import Texts
from vantage.groups import FUSED, Group, Member, mono
from vantage.guests import Refusal
from vantage.methods import Ekipl, Grpo, Mars, MarsTransfer
from vantage.rewards import call
from vantage.samples import Sample
from vantage.worlds import gold


def trainer(method, limit=400, *, tokenizer=None, template=CHAT_TEMPLATE, ends=(), config=None):
    tokenizer = tokenizer or byte_tokenizer()

    def rendered(messages, tokenize):
        return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=tokenize)

    return SimpleNamespace(
        method=method,
        max_completion_length=limit,
        verifier=Verifier(None),
        accelerator=SimpleNamespace(device="cpu", gather=lambda counts: counts),
        _tokenizer=tokenizer,
        processing_class=SimpleNamespace(tokenizer=tokenizer, apply_chat_template=rendered),
        model=SimpleNamespace(config=config or SimpleNamespace(to_dict=dict, text_config=None)),
        _end_tokens=lambda: set(ends) or {tokenizer.eos_token_id},
    )


def sample(truth, reward="answer", **metadata):
    return Sample("a", "?", {"rgb": Image.new("RGB", (100, 100))}, truth, reward, metadata)


def judged(row, thought="a thought", trained=(True,)):
    """One group of a rollout and anchors, of which some are to be trained on."""
    fused = Member(FUSED, f"<think> {thought} </think> <answer> wrong </answer>", [1, 2, 3], trained=True)
    anchors = [Member(mono(f"s{i}"), "right", [4, 5], advantage=1.0, trained=one) for i, one in enumerate(trained)]
    return Rollout(
        groups=[Group(row, [fused, *anchors])],
        completion_ids=[[[1, 2, 3], *([4, 5] for _ in trained)]],
        logprobs=[[[-0.1, -0.2, -0.3], *([None, None] for _ in trained)]],
        advantages=torch.ones(1, 1 + len(trained)),
        trained=torch.tensor([[True, *trained]]),
    )


def relabelled(row, limit=400, **settings):
    """What becomes of the anchor of a group: the rollout, its figures."""
    rollout = judged(row, **settings)
    with_texts = trainer(MarsTransfer(placed="relabelled"), limit)
    return rollout, Placing(with_texts, Texts(with_texts)).place(rollout, 1)


@pytest.mark.parametrize(
    ("truth", "reward", "answer"),
    [
        ("yes", "answer", "yes"),
        (["yes", "aye"], "answer", "yes"),
        (3, "count", "3"),
        ([1, 2, 30, 40], "box", "1 2 30 40"),
        ([1, 2, 30, 40], "mars-grounding", '[{"bbox_2d": [1, 2, 30, 40]}]'),
        ([[1, 2, 30, 40], [5, 6, 70, 80]], "grounding", '[{"bbox_2d": [1, 2, 30, 40]}, {"bbox_2d": [5, 6, 70, 80]}]'),
        ([{"bbox_2d": [1, 2, 30, 40], "label": "é"}], "grounding", '[{"bbox_2d": [1, 2, 30, 40], "label": "é"}]'),
    ],
)
def test_a_truth_is_written_as_its_reward_reads_it(truth, reward, answer):
    row = sample(truth, reward, frame="pixel")
    rollout, figures = relabelled(row)
    member = rollout.groups[0].members[1]
    assert member.placed == f"<think> a thought </think> <answer> {answer} </answer>"
    assert call(reward, member.placed, row).correct and not call(reward, "<answer> 9 </answer>", row).correct
    tokenizer = byte_tokenizer()
    assert tokenizer.decode(rollout.completion_ids[0][1]) == member.placed + "<|im_end|>"
    assert member.trained and rollout.trained[0, 1] and set(figures.values()) == {0.0}


@pytest.mark.parametrize(
    ("row", "limit", "kind"),
    [
        (sample("<|image_pad|>"), 400, "control"),
        (sample("yes <|im_end|>"), 400, "control"),
        (sample([["change", "1", "red"]], "reason-rft-transformation"), 400, "wrong"),
        (sample("yes"), 40, "long"),
    ],
)
def test_what_cannot_stand_there_is_not_trained_on_and_counted(row, limit, kind, caplog):
    rollout, figures = relabelled(row, limit)
    member = rollout.groups[0].members[1]
    assert Refusal(member.refused).kind == kind and not member.placed
    assert not member.trained and not rollout.trained[0, 1] and rollout.advantages[0, 1] == member.advantage == 0
    assert rollout.groups[0].members[0].trained and rollout.trained[0, 0] and rollout.advantages[0, 0] == 1
    assert rollout.completion_ids[0][1] == [4, 5]
    assert figures["anchors/missing"] == figures[f"anchors/missing/{kind}"] == 1
    assert sum(figures.values()) == 2 and caplog.text.count(kind) == 1


def test_log_probs_are_as_many_as_the_tokens_that_are_placed():
    """The stock trainer pads both, and subtracts them where another engine generates."""
    rollout, _ = relabelled(sample("yes"), trained=(True, False))
    ids, logprobs = rollout.completion_ids[0], rollout.logprobs[0]
    assert [len(one) for one in ids] == [len(one) for one in logprobs] and len(ids[1]) > 20
    assert logprobs[0] == [-0.1, -0.2, -0.3] and logprobs[1] == [None] * len(ids[1])


def test_shares_are_of_the_anchors_that_are_to_be_trained_on():
    row = sample("yes", reasoning="because")
    rollout = judged(row, trained=(True, False, True))
    told = trainer(MarsTransfer(placed="truth"))
    whole = copy.deepcopy(rollout)
    assert Placing(told, Texts(told)).place(whole, 1)["anchors/missing"] == 0
    assert [member.placed for member in whole.groups[0].members] == ["", gold(row), "", gold(row)]
    told.max_completion_length = 10
    assert Placing(told, Texts(told)).place(rollout, 1)["anchors/missing"] == 1
    nothing = judged(row, trained=(False,))
    assert all(value != value for value in Placing(told, Texts(told)).place(nothing, 1).values())  # NaN


def test_an_anchor_of_unknown_probability_is_not_weighed_by_it():
    told = trainer(MarsTransfer(ratio="behaviour", anchors="sampled"))
    rollout = judged(sample("yes"), trained=(True, True))
    rollout.groups[0].members[1].logprobs = [-0.5, -0.25]
    figures = Placing(told, Texts(told)).place(rollout, 1)
    assert [member.trained for member in rollout.groups[0].members] == [True, True, False]
    assert rollout.trained.tolist() == [[True, True, False]]
    assert figures["anchors/missing"] == figures["anchors/missing/log-probs"] == 0.5


@pytest.mark.parametrize("method", [Grpo(), Mars(), MarsTransfer(), Ekipl(base=Mars(), ratio="behaviour")])
def test_where_nothing_can_be_refused_there_is_no_figure(method):
    told, rollout = trainer(method), judged(sample("yes"))
    assert Placing(told, Texts(told)).place(rollout, 1) == {} and rollout.trained.all()


@pytest.mark.parametrize(
    ("logprobs", "known"),
    [([-1.0, -2.0], [-1.0, -2.0]), (None, None), ([-1.0, None], None), ([-1.0], None), ([-1.0] * 3, None)],
)
def test_log_probs_are_known_for_every_token_or_for_none(logprobs, known):
    assert drawn_with(logprobs, [7, 8]) == known


def test_a_text_ends_as_the_policys_answers_do():
    """Gemma closes a turn with another token than its tokenizer's end of sequence."""
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = "<|endoftext|>"  # noqa: S105  a control token, no password
    turn, eos = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    for ends, end in (({turn, eos}, turn), ({eos}, eos)):
        told = trainer(Grpo(), tokenizer=tokenizer, ends=ends)
        assert Texts(told).ids("yes") == [*tokenizer("yes")["input_ids"], end]


def test_placeholders_are_looked_up_once(monkeypatch):
    asked = []
    banned = byte_tokenizer()("z")["input_ids"]
    monkeypatch.setattr(wording, "placeholder_ids", lambda config, tokenizer: asked.append(1) or banned)
    texts = Texts(trainer(Grpo()))
    assert [isinstance(texts.ids("yes"), list) for _ in range(5)] == [True] * 5
    assert texts.ids("a z").kind == "control" and len(asked) == 1


def test_what_a_run_logs_of_a_group_says_why_nothing_is_learned():
    rollout, _ = relabelled(sample("yes"), 40)
    _, anchor = json.loads(json.dumps(rollout.groups[0].record()))["members"]
    assert anchor["refused"].startswith("long") and anchor["trained"] is False

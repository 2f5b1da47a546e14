import pytest

from vantage import rewards
from vantage.captions import Prompts, answer_from_caption, final_answer
from vantage.captions.reading import handed, reads_boxes_only
from vantage.endpoints import FunctionEndpoint
from vantage.errors import EndpointError


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"Hence \boxed{5}.", "5"),
        (r"\boxed{5}, no, \boxed{6}", "6"),
        (r"<think>\boxed{5}</think> \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"let me see \boxed{5}</think> \boxed{6}", "6"),
        (r"<think>\boxed{5}</think> so it is 6", None),
        (r"<think>\boxed{5}, or", None),
        (r"\boxed{5} <answer>6</answer>", "5"),
        ("<think>A1</think><answer>6</answer>", "6"),
        ("<answer>6</answer><answer>7</answer>", None),
        (r"\boxed{}", None),
        (r"\boxed{5", None),
        ("The answer is 5.", None),
        ("None", None),
        ("", None),
    ],
)
def test_the_final_answer_is_the_last_box_or_the_one_block(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer_in", "expected"),
    [
        (r"so \boxed{5}", "tags", "<answer>5</answer>"),
        (r"so \boxed{5}", "box", r"\boxed{5}"),
        (r"so \boxed{5}", "text", r"so \boxed{5}"),
        ("so <answer>5</answer>", "tags", "<answer>5</answer>"),
        ("so <answer>5</answer>", "box", r"\boxed{5}"),
        ("so 5", "tags", ""),
        ("so 5", "box", ""),
        ("so 5", "text", "so 5"),
        ("<answer>5} or 6</answer>", "box", ""),
    ],
)
def test_how_a_reward_is_handed_it(text, answer_in, expected):
    assert handed(text, answer_in) == expected


def test_who_reads_boxes_only():
    named = ["racro-boxed", "racro-boxed + 0.5*count", "math", "count", "count + 0.1*answer"]
    assert [reads_boxes_only(rewards.get(name)) for name in named] == [True, True, False, False, False]


def test_one_question_asked_of_a_reasoner():
    def reasoner(messages):
        return rf"\boxed{{{len(messages)}:{'maybe 3' in messages[-1]['content']}}}"

    endpoint = FunctionEndpoint("f", reasoner)
    assert answer_from_caption(endpoint, "How many?", "Two men") == "1:False"
    assert answer_from_caption(endpoint, "How many?", "Two men", "maybe 3", Prompts(reasoner_system="x")) == "2:True"
    assert answer_from_caption(FunctionEndpoint("f", lambda messages: "5"), "How many?", "Two men") is None
    with pytest.raises(EndpointError):
        answer_from_caption(FunctionEndpoint("f", lambda messages: None), "How many?", "Two men")

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows import fenced, row, tagged
from vantage import rewards
from vantage.rewards.format import mars_format

TAGS = ("<think>", "</think>", "<answer>", "</answer>")


def public_rule(text: str) -> bool:
    """Reason-RFT's: the blocks, white space between them, and nothing else, on one line or several."""
    return re.fullmatch(r"<think>.*</think>\s*<answer>.*</answer>", text, re.DOTALL) is not None


def reason_rft(text: str) -> float:
    found = rewards.call("reason-rft-format", text, row(None))
    assert found.parts == {"format": found.reward}
    assert found.formatted == bool(found.reward)
    assert not found.correct
    return found.reward


@pytest.mark.parametrize(
    ("text", "vqa", "grounding"),
    [
        (fenced("[]"), 0.5, 0.75),
        (tagged("[]"), 0.5, 0.5),
        ("<answer>a</answer>", 0.25, 0.25),
        ("<think>a</think>", 0.25, 0.25),
        ("<think></think><answer> </answer>", 0.0, 0.0),
        ("<think>a</think><think>b</think><answer>c</answer>", 0.25, 0.25),
        ("<think>```json [] ```</think><answer>c</answer>", 0.5, 0.5),
        ("```json [] ```", 0.0, 0.0),
        (tagged("```json [] ``` ```json [] ```"), 0.5, 0.5),
        ("", 0.0, 0.0),
    ],
)
def test_a_quarter_for_every_block(text, vqa, grounding):
    assert sum(mars_format(text).values()) == vqa
    assert sum(mars_format(text, grounding=True).values()) == grounding


@pytest.mark.parametrize(
    "text", ["<think>a</think><answer>b</answer>", "<think>\na\nb\n</think>\n\n<answer> c </answer>", tagged("1 < 2")]
)
def test_reason_rft_format_is_the_public_rule(text):
    assert reason_rft(text) == public_rule(text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "<think>a</think>",
        "<think>a<answer>b</answer>",
        "<think>a</think>b<answer>c</answer>",
        "<answer>b</answer><think>a</think>",
        "so <think>a</think><answer>b</answer>",
        "<think>a</think><answer>b</answer>.",
    ],
)
def test_reason_rft_format_refuses_as_the_public_rule_does(text):
    assert reason_rft(text) == public_rule(text) == 0


@pytest.mark.parametrize("text", [tagged("b") + "\n", "\n" + tagged("b"), tagged("b") + " \r\n "])
def test_reason_rft_format_accepts_white_space_around(text):
    assert (reason_rft(text), public_rule(text)) == (1, False)


@pytest.mark.parametrize(
    "text",
    [
        tagged(""),
        tagged(" "),
        tagged("b", think="\n"),
        tagged("b</answer><answer>c"),
        tagged("b", think="a</think><think>b"),
        tagged("<think>b</think>"),
        tagged("b", think="<answer>a</answer>"),
    ],
)
def test_reason_rft_format_refuses_blank_and_doubled_blocks(text):
    assert (reason_rft(text), public_rule(text)) == (0, True)


@given(st.lists(st.sampled_from([*TAGS, " ", "\n", "x"]), max_size=12).map("".join))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_reason_rft_format_is_the_public_rule_where_each_tag_stands_once_around_something(text):
    expected = public_rule(text.strip()) and all(text.count(tag) == 1 for tag in TAGS)
    blocks = re.fullmatch(r"<think>(.*)</think>\s*<answer>(.*)</answer>", text.strip(), re.DOTALL)
    assert reason_rft(text) == (expected and all(content.strip() for content in blocks.groups()))

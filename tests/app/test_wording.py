"""What a model wrote, as people read it."""

import pytest

from vantage.app.wording import parts
from vantage.rewards import extract


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("three people", ("", "three people")),
        ("<think> B1 </think> <answer> 2 0 4 2 </answer>", ("B1", "2 0 4 2")),
        ("so it is </think> <answer>3</answer>.", ("so it is", "3.")),
        ("<think> without end", ("without end", "")),
        ("<cap> person B1 </cap>", ("", "person B1")),
        ("</think>", ("", "")),
        ("", ("", "")),
        # Whatever is not as it should be is shown as it is.
        ("<think> a </think> <think> b </think> c", ("", "<think> a </think> <think> b </think> c")),
        ("</think> a <think> b", ("", "</think> a <think> b")),
        ("well <think> a </think> b", ("", "well <think> a </think> b")),
        ("<answer> 1 </answer> <answer> 2 </answer>", ("", "<answer> 1 </answer> <answer> 2 </answer>")),
        ("<answer> <answer> 2 </answer>", ("", "<answer> <answer> 2 </answer>")),
        ("</answer> 2 <answer>", ("", "</answer> 2 <answer>")),
        ("<answer> 2", ("", "<answer> 2")),
        ("<b> 2 </b>", ("", "<b> 2 </b>")),
    ],
)
def test_parts(text, expected):
    assert parts(text) == expected


def test_while_it_is_written_a_tag_may_yet_be_closed():
    whole = "<think> B1 </think> <answer> 2 0 </answer>"
    shown = [parts(whole[:end], live=True) for end in range(len(whole) + 1)]
    assert ("B1", "2 0") in shown and ("B", "") in shown
    assert parts("<answer> 2 0", live=True) == ("", "2 0")


@pytest.mark.parametrize("text", ["<think> a </think> b", "a </think> b", "<think> a", "b"])
def test_what_is_said_besides_is_what_rewards_read_behind_the_thought(text):
    assert parts(text)[1] == extract.after_thought(text).strip()

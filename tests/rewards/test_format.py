import pytest

from rows import fenced, tagged
from vantage.rewards.format import mars_format


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

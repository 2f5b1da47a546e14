import pytest

from rows import row, tagged
from vantage.rewards.reason_rft_accuracy import ReasonRftAccuracy

ACCURACY = ReasonRftAccuracy()


@pytest.mark.parametrize(
    ("text", "truth", "reward"),
    [
        (tagged("5"), "5", 1),
        (tagged("5.0"), "5", 1),
        (tagged("5"), "<answer>5.0</answer>", 1),
        (tagged(r"\frac{1}{2}"), "0.5", 1),
        (tagged(" A "), "<think>so</think><answer>A</answer>", 1),
        (tagged("change_size(b1, large)"), "change_size(b1, large)", 1),
        (tagged("6"), "5", 0),
        (tagged(""), "5", 0),
        ("5", "5", 0),
        (r"\boxed{5}", "5", 0),
        ("<answer>5", "5", 0),
        (tagged("5") + tagged("5"), "5", 0),
        (tagged("I see 5"), "5", 0),
        ("<think>so <answer>5</answer></think>", "5", 0),
        ("<answer>5</answer><think>late</think>", "5", 1),
        (tagged(r"\boxed{4} \boxed{5}"), "5", 0),
    ],
)
def test_the_answer_block_is_compared(text, truth, reward):
    score = ACCURACY.score(text, row(truth, "reason-rft-accuracy"))
    assert (score.reward, score.correct, score.parts) == (reward, bool(reward), {"accuracy": reward})


def test_format_and_errors():
    sample = row("5", "reason-rft-accuracy")
    assert ACCURACY.score(tagged("6"), sample).formatted
    assert not ACCURACY.score("<answer>5</answer>", sample).formatted
    assert ACCURACY.score("<answer>5</answer>", sample).error == ""
    assert ACCURACY.score("5", sample).error == "not exactly one answer block"

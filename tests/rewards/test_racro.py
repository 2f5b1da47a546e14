import pytest

from rows import row, tagged
from vantage.rewards.racro import RacroBoxed

BOXED = RacroBoxed()


@pytest.mark.parametrize(
    ("text", "truth", "reward"),
    [
        (r"Hence \boxed{5}.", "5", 1),
        (r"Hence $\boxed{\frac{1}{2}}$.", 0.5, 1),
        (r"\boxed{5} or rather \boxed{6}", "5", 0),
        (r"\boxed{5} or rather \boxed{6}", "6", 1),
        (r"\boxed{B}", "B", 1),
        (r"\boxed{5", "5", 0),
        (r"\boxed{}", "None", 0),
        ("5", "5", 0),
        (tagged("5"), "5", 0),
        ("no box", "None", 0),
        ("None", "None", 0),
        (r"\boxed{None}", "None", 1),
        (r"<think>\boxed{5}</think>", "5", 0),
        (r"<think>\boxed{4}</think> so \boxed{5}", "5", 1),
        (r"<think>\boxed{5}</think> so \boxed{4}", "5", 0),
        (r"<think>so \boxed{5}", "5", 0),
        # A reasoner whose prompt opened the thought writes its end alone.
        (r"perhaps \boxed{4}</think> so \boxed{5}", "5", 1),
        (r"surely \boxed{5}</think> so 5", "5", 0),
    ],
)
def test_only_the_last_box_counts(text, truth, reward):
    score = BOXED.score(text, row(truth, "racro-boxed"))
    assert (score.reward, score.correct, score.parts) == (reward, bool(reward), {"accuracy": reward})


def test_a_box_is_the_format():
    sample = row("5", "racro-boxed")
    assert BOXED.score(r"\boxed{6}", sample).formatted
    assert not BOXED.score(tagged("5"), sample).formatted
    assert BOXED.score(tagged("5"), sample).error == "no closed box with something in it"
    assert BOXED.score(r"\boxed{6}", sample).error == ""

"""What the comparison says, every sentence on a case worked out by hand."""

from dataclasses import replace

import pytest

from spoken import answered, asked
from vantage.app.asking import Panel
from vantage.app.verdict import right, verdict
from vantage.groups import FUSED, mono

SOURCES = ("rgb", "infrared", "depth")


def panels(together: str | None, *alone: str | None) -> list[Panel]:
    origins = [FUSED, *map(mono, SOURCES[: len(alone)])]
    return [Panel(o, answer=answered(o, final)) for o, final in zip(origins, (together, *alone), strict=True)]


@pytest.mark.parametrize(
    ("finals", "text", "tone"),
    [
        (("yes", "no", "no"), "Seeing more was knowing more: only all sources together gave the right answer.", "good"),
        (("yes", "yes", "no"), "Right together. rgb alone would have been enough, infrared would not.", "good"),
        (("yes", "yes", None), "Right together. rgb alone would have been enough, infrared would not.", "good"),
        (
            ("yes", "yes", "no", "yes"),
            "Right together. Each of rgb and depth alone would have been enough, infrared would not.",
            "good",
        ),
        (("yes", "yes", "yes"), "Right, and each source alone was enough.", "good"),
        (("no", "yes", "no"), "Interference: rgb alone was right, all sources together were not.", "bad"),
        (
            (None, "yes", "yes", "yes"),
            "Interference: each of rgb, infrared and depth alone was right, all sources together were not.",
            "bad",
        ),
        (("no", "no", "no"), "Neither together nor alone did the sources give the right answer.", "bad"),
        ((None, None, None), "Neither together nor alone did the sources give the right answer.", "bad"),
    ],
)
def test_with_a_truth(finals, text, tone):
    found = verdict(panels(*finals), asked(*SOURCES[: len(finals) - 1], truth="yes"))
    assert (found.text, found.tone) == (text, tone)


@pytest.mark.parametrize(
    ("finals", "text"),
    [
        (("two", "Two.", " two"), "All sources together and each alone give the same answer."),
        (("two", "two", "three"), "All sources together agree with rgb alone, not with infrared."),
        (("two", "two", None), "All sources together agree with rgb alone, not with infrared."),
        (
            ("two", "one", "two", "two"),
            "All sources together agree with each of infrared and depth alone, not with rgb.",
        ),
        (("two", "one", "three"), "All sources together give an answer that none of them gives alone."),
        (("two", "one", "one"), "Each source alone gives one and the same answer, all together another."),
        (("two", None, None), "All sources together give an answer that none of them gives alone."),
        ((None, "one", "one"), "All sources together led to no final answer."),
        ((None, None, None), "All sources together led to no final answer."),
    ],
)
def test_without_a_truth(finals, text):
    found = verdict(panels(*finals), asked(*SOURCES[: len(finals) - 1]))
    assert (found.text, found.tone) == (text, "plain")


def test_boxes_agree_where_they_overlap_by_half():
    # 0..0.4 and 0.1..0.4 share 0.3 of 0.4; 0..0.4 and 0.3..0.7 share 0.1 of 0.7.
    together, near, far = panels("a", "b", "c")
    together = replace(together, boxes=((0.0, 0.0, 0.4, 1.0),))
    near = replace(near, boxes=((0.1, 0.0, 0.4, 1.0),))
    far = replace(far, boxes=((0.3, 0.0, 0.7, 1.0),))
    assert (
        verdict([together, near, far], asked()).text == "All sources together agree with rgb alone, not with infrared."
    )
    twice = replace(near, boxes=near.boxes * 2)
    assert "none of them gives alone" in verdict([together, twice, far], asked()).text


@pytest.mark.parametrize("change", [{"answer": None}, {"error": "no such server"}])
def test_while_it_runs_and_where_something_went_wrong_nothing_is_said(change):
    one, two, three = panels("yes", "yes", "yes")
    assert verdict([one, two, replace(three, **change)], asked(truth="yes")) is None
    assert verdict([one], asked(truth="yes")) is None


def test_what_is_right_is_the_reward_s_to_say():
    (panel,) = panels("Yes.")
    assert right(panel, asked(truth="yes")) is True
    assert right(panel, asked(truth="no")) is False
    assert right(panel, asked()) is None
    assert right(replace(panel, answer=None), asked(truth="yes")) is None
    reasoned = answered(FUSED, "no", reasoning=r"So \boxed{yes}")
    assert right(replace(panel, answer=reasoned), asked(truth="yes")) is True, "the reasoner has the last word"

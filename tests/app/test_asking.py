"""What is on the cards while a question is answered, and where the boxes of an answer lie in its pictures."""

import json
import math
import time
from itertools import pairwise

import pytest
from PIL import Image

from spoken import Spoken, answered, asked, way
from vantage.app import Way, asking
from vantage.app.asking import MOST_BOXES, ask, found_boxes, known_boxes
from vantage.errors import EndpointError
from vantage.groups import FUSED
from vantage.pipeline import ALONE
from vantage.samples import Sample

SAME = {"fused": "yes", "mono:rgb": "yes", "mono:infrared": "yes"}


def wide(**metadata) -> Sample:
    return Sample("a", "?", {"rgb": Image.new("RGB", (200, 100))}, None, "", metadata)


def boxes_of(text: str | None, sample: Sample | None = None, frame: str = "pixel", **answer):
    return found_boxes(answered(FUSED, text, **answer), way(SAME, frame=frame), sample or wide())


def test_all_sources_come_first_then_each_alone_in_the_order_of_the_pictures(monkeypatch):
    monkeypatch.setattr(asking, "EVERY", 0)
    seen = list(ask(way(SAME), asked(), compare=True))
    assert [str(panel.origin) for panel in seen[0]] == ["fused", "mono:rgb", "mono:infrared"]
    assert not any(panel.live or panel.answer for panel in seen[0])
    live = [next((str(panel.origin) for panel in panels if panel.live), None) for panels in seen]
    assert [name for name in dict.fromkeys(live) if name] == ["fused", "mono:rgb", "mono:infrared"]
    assert all(sum(panel.live for panel in panels) <= 1 for panels in seen)
    assert [panel.answer.final for panel in seen[-1]] == ["yes", "yes", "yes"]


@pytest.mark.parametrize(("sources", "compare", "views"), [("a", True, 1), ("abcd", True, 5), ("ab", False, 1)])
def test_as_many_views_as_there_is_something_to_compare(sources, compare, views):
    finals = {"fused": "yes", **{f"mono:{name}": "no" for name in sources}}
    assert len(list(ask(way(finals), asked(*sources), compare))[-1]) == views


def test_texts_only_grow(monkeypatch):
    monkeypatch.setattr(asking, "EVERY", 0)
    first = [panels[0].said.get("tentative", "") for panels in ask(way(SAME), asked(), compare=True)]
    assert first[:4] == ["", "", "<think> so </think>", "<think> so </think> yes"]
    assert all(later.startswith(earlier) for earlier, later in pairwise(first))


def test_a_flood_of_pieces_is_shown_a_few_times_and_nothing_of_it_is_lost():
    def script(origin):
        return [*[("tentative", "word ")] * 100_000, answered(origin, "x")]

    start = time.monotonic()
    seen = list(ask(Way(name="flood", pipeline=Spoken(script), parts=ALONE), asked("rgb"), compare=True))
    assert seen[-1][0].said["tentative"] == "word " * 100_000
    assert len(seen) <= 5 + (time.monotonic() - start) / asking.EVERY


def test_the_end_of_a_caption_is_shown_while_the_reasoner_is_silent(monkeypatch):
    monkeypatch.setattr(asking, "EVERY", 1000)

    def script(origin):
        # A stage begins with an empty piece.
        return [*[("caption", word) for word in ("", "two ", "people")], ("reasoner", ""), answered(origin, "2")]

    seen = list(ask(Way(name="silent", pipeline=Spoken(script), parts=ALONE), asked("rgb"), compare=True))
    assert {"caption": "two people", "reasoner": ""} in [panel.said for (panel,) in seen if panel.live]


def test_panels_come_while_nobody_speaks(monkeypatch):
    monkeypatch.setattr(asking, "EVERY", 0)
    script = [("reasoner", "")] * 5
    seen = ask(Way(name="silent", pipeline=Spoken(lambda _: script), parts=ALONE), asked("rgb"), compare=True)
    assert len(list(seen)) >= len(script)


def test_a_view_that_fails_does_not_stop_the_others(caplog):
    def script(origin):
        fault = {"fused": EndpointError("no such server"), "mono:rgb": MemoryError("no room")}.get(str(origin))
        return [("caption", "two"), fault] if fault else [("caption", "three"), answered(origin, "3")]

    together, rgb, infrared = list(ask(Way(name="moody", pipeline=Spoken(script), parts=ALONE), asked(), True))[-1]
    assert together.error == "no such server" and rgb.error == "MemoryError: no room"
    assert not (together.live or rgb.live or together.answer)
    assert infrared.answer.final == "3" and infrared.error == ""
    assert "no room" in caplog.text and "no such server" not in caplog.text, "the log keeps what nobody expected"


def test_an_answer_that_says_why_there_is_none():
    def script(origin):
        return [("caption", "two"), answered(origin, None, error="budget spent", caption="two")]

    (panel,) = list(ask(Way(name="spent", pipeline=Spoken(script), parts=ALONE), asked("rgb"), True))[-1]
    assert panel.error == "budget spent" and panel.said == {"caption": "two"}


def test_whoever_leaves_stops_the_model_and_asks_no_further_view():
    told = way(SAME)
    views = ask(told, asked(), compare=True)
    for _ in range(3):
        next(views)
    views.close()
    assert told.pipeline.closed == ["fused"]


@pytest.mark.parametrize(
    ("frame", "text", "expected"),
    [
        ("pixel", "50 25 100 75", (0.25, 0.25, 0.5, 0.75)),
        ("pixel", "[50, 25, 100, 75]", (0.25, 0.25, 0.5, 0.75)),
        ("relative", "250 250 500 750", (0.25, 0.25, 0.5, 0.75)),
        ("relative:8", "2 2 4 6", (0.25, 0.25, 0.5, 0.75)),
        ("pixel", '[{"bbox_2d": [50, 25, 100, 75], "label": "person"}]', (0.25, 0.25, 0.5, 0.75)),
        ("pixel", '```json\n[{"bbox_2d": [50, 25, 100, 75]}]\n```', (0.25, 0.25, 0.5, 0.75)),
        ("pixel", '[{"bbox_2d": [-50, -1e308, 1e308, 50]}]', (0.0, 0.0, 1.0, 0.5)),
    ],
)
def test_boxes_are_shares_of_the_picture(frame, text, expected):
    assert boxes_of(text, frame=frame) == ((expected,), "")


def test_boxes_of_the_resized_picture(processor):
    told = way(SAME, frame="resized")
    told.pipeline.processor = processor  # makes 64 x 64 of every picture
    found, note = found_boxes(answered(FUSED, "16 16 32 48"), told, wide())
    assert found == ((0.25, 0.25, 0.5, 0.75),) and note == ""


def test_boxes_of_a_reply_without_a_stated_answer():
    text = '<think> there </think> ```json\n[{"bbox_2d": [50, 25, 100, 75]}]\n```'
    assert boxes_of(None, tentative=text)[0] == ((0.25, 0.25, 0.5, 0.75),)
    assert boxes_of(None, reasoning=text)[0] == ((0.25, 0.25, 0.5, 0.75),)
    assert boxes_of(None, tentative=text.replace("there </think>", "")) == ((), "")


def test_without_a_frame_nothing_is_guessed():
    found, note = boxes_of("50 25 100 75", frame="")
    assert found == () and "--frame" in note
    assert boxes_of("three people", frame="") == ((), "")
    assert boxes_of("50 25 100 75", wide(frame="pixel"), frame="")[0], "a drawn scene names its own"


def test_a_frame_that_cannot_be_had_says_why():
    found, note = boxes_of("1 1 2 2", wide(frame="feet"), frame="")
    assert found == () and "not drawn" in note and "'feet' is no coordinate frame" in note


@pytest.mark.parametrize(
    ("text", "drawn", "note"),
    [
        ('[{"bbox_2d": [1, 1, 9, 9]}, {"bbox_2d": [NaN, 1, 9, 9]}]', 1, "1 box is not drawn"),
        ('[{"bbox_2d": "all"}, {"label": "x"}]', 0, "2 boxes are not drawn"),
        ("90 90 10 10", 0, "1 box is not drawn"),
        ("500 10 600 20", 0, "1 box is not drawn"),
        ("[]", 0, ""),
        ("{" * 5000, 0, ""),
    ],
)
def test_boxes_that_cannot_be_drawn_are_counted(text, drawn, note):
    found, told = boxes_of(text)
    assert len(found) == drawn and told.startswith(note) and bool(told) == bool(note)


def test_a_hundred_thousand_boxes_are_counted_in_no_time():
    text = json.dumps([{"bbox_2d": [place % 90, 1, place % 90 + 5, 9]} for place in range(100_000)])
    start = time.monotonic()
    found, note = boxes_of(text)
    assert time.monotonic() - start < 5
    assert len(found) == MOST_BOXES and note.startswith("99,900 boxes are not drawn")


def test_every_edge_lies_in_the_picture():
    edges = [[1e308, 1e308, -1e308, -1e308], [-1e308, -1e308, 1e308, 1e308], [0, 0, 10**400, 5], [0, 0, math.inf, 1]]
    hostile = [json.dumps([{"bbox_2d": box}, {"bbox_2d": [0, 0, 1, 1]}]) for box in edges]
    for frame in ("pixel", "relative:1e-300", "relative:1e300"):
        for text in hostile:
            for box in boxes_of(text, frame=frame)[0]:
                assert all(math.isfinite(edge) and 0 <= edge <= 1 for edge in box)


def test_a_scene_keeps_the_frame_of_its_truth_where_the_model_writes_another():
    scene = Sample("a", "?", {"rgb": Image.new("RGB", (200, 100))}, [2, 2, 4, 6], "box", {"frame": "relative:8"})
    framed = asking.with_frame(way(SAME, frame="pixel"), scene)
    assert framed.metadata == {"frame": "pixel", "truth_frame": "relative:8"}
    assert asking.with_frame(way(SAME, frame="pixel"), framed).metadata == framed.metadata
    assert known_boxes(framed) == known_boxes(scene) == ((0.25, 0.25, 0.5, 0.75),)
    assert asking.with_frame(way(SAME), scene).metadata == scene.metadata


def test_only_boxes_are_drawn_of_a_truth():
    assert known_boxes(wide()) == ()
    assert known_boxes(asked(truth="yes", frame="pixel")) == ()

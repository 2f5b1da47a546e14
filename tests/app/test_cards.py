"""The cards: everything that anybody wrote is text, and a page can show it."""

import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from spoken import Spoken, answered, asked, way
from vantage.app import Way, cards
from vantage.app.asking import Panel
from vantage.endpoints import FunctionEndpoint
from vantage.groups import FUSED, mono
from vantage.pictures import Source
from vantage.samples import Sample

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&</style><style>*{display:none}"
PLAIN = way({})


class Elements(HTMLParser):
    """Every element and every attribute of a piece of HTML, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def harmless(html: str) -> Elements:
    found = Elements(html)
    assert not {"img", "script", "style", "iframe", "a", "link"} & set(found.names)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("style", "src", "href")]
    return found


def panel(final: str | None = "yes", **more) -> Panel:
    return Panel(**{"origin": FUSED, "said": {"tentative": "hm"}, "answer": answered(FUSED, final)} | more)


def shown(*panels: Panel, way: Way = PLAIN, sample: Sample | None = None, **more) -> Elements:
    return harmless(cards.board(panels, way, sample or asked("rgb"), **more))


def reasoned(name: str) -> Way:
    return Way(name="r", pipeline=Spoken(lambda _: []), reasoner=FunctionEndpoint(name, lambda _: ""))


@pytest.mark.parametrize("stage", ["caption", "tentative", "reasoner"])
@pytest.mark.parametrize("live", [True, False])
def test_what_a_model_says_is_text(stage, live):
    assert EVIL in shown(panel(said={stage: EVIL}, live=live, answer=None), way=reasoned("x")).text


def test_answers_errors_notes_and_notices_are_text():
    assert EVIL in shown(panel(EVIL)).text
    assert EVIL in shown(panel(error=EVIL)).text
    assert EVIL in shown(panel(note=EVIL)).text
    assert EVIL in shown(panel(), notice=EVIL).text
    assert EVIL in harmless(cards.message(EVIL)).text
    assert EVIL in harmless(cards.hint(EVIL)).text
    assert EVIL in harmless(cards.truth(asked(truth=EVIL, condition=EVIL))).text


def test_names_of_sources_and_reasoners_are_text():
    sample = asked(EVIL, "infrared")
    alone = panel(origin=mono(EVIL), answer=answered(mono(EVIL), "no"))
    other = panel(origin=mono("infrared"))
    found = shown(panel(), alone, other, sample=sample)
    assert found.text.count(EVIL) >= 3, "in the verdict, at the pictures, at the head of its card"
    assert ("data-origin", f"mono:{EVIL}") in found.attributes
    assert (
        f"What {EVIL.rpartition('/')[2]} makes of it" in shown(panel(said={"reasoner": "x"}), way=reasoned(EVIL)).text
    )


def test_the_style_sheet_of_pictures_holds_no_name():
    sheet = cards.pictures(asked(EVIL, "b"))
    assert sheet.count("<") == 2 and sheet.startswith("<style>.v-p0{") and ".v-p1{" in sheet


def test_lone_surrogates_and_nul_are_replaced():
    html = cards.board([panel("a\ud800b\0c", said={"tentative": "x\udfffy"})], PLAIN, asked("rgb"))
    html.encode("utf-8")
    assert "a?b\ufffdc" in html and "x?y" in html


def test_a_megabyte_is_shown_in_part_and_says_so():
    start = time.monotonic()
    found = shown(panel("<" * 10**6, said={"tentative": "<b>" * 350_000}, error="e" * 10**6))
    assert time.monotonic() - start < 5
    assert len(found.text) < 4 * cards.LONGEST
    assert "(1,050,000 characters in all)" in found.text and "(1,000,000 characters in all)" in found.text


def classes(found: Elements, wanted: str) -> int:
    return sum(name == "class" and value == wanted for name, value in found.attributes)


def test_a_thought_is_told_apart_and_tags_that_say_nothing_are_left_out():
    found = shown(
        panel(said={"caption": "<cap> B1 </cap>", "tentative": "<think> hm </think> <answer> 2 </answer> so"})
    )
    assert "<" not in found.text and "thought hm" in found.text and "B1" in found.text and "2  so" in found.text
    assert classes(found, "v-thought") == 1 and classes(found, "v-tag") == 0


def test_tags_that_are_not_as_they_should_be_are_set_back_and_stay_text():
    text = "<think> hm </think> <answer> 2 </answer> <answer> 3 </answer> a < b <IMG SRC=x>"
    found = shown(panel(said={"tentative": text}))
    assert "<answer> 2 </answer> <answer> 3 </answer> a < b <IMG SRC=x>" in found.text
    assert classes(found, "v-tag") == 4 and classes(found, "v-thought") == 1


def test_what_is_written_large_is_not_written_small_as_well():
    said = "<think> hm </think> <answer> 2041 </answer>"
    assert shown(panel("2041", said={"tentative": said})).text.count("2041") == 1
    assert "2041" in shown(panel(answer=None, live=True, said={"tentative": said})).text, "while it is said"
    assert "2041" in shown(panel("2041", error="lost", said={"tentative": said})).text, "nothing is written large"
    two = {"caption": said, "reasoner": said}
    assert shown(panel("2041", said=two), way=reasoned("x")).text.count("2041") == 2, "a caption is always shown"


def test_a_truth_is_written_as_an_answer_is():
    scene = Sample("s", "?", {"a": Image.new("RGB", (64, 64))}, [2, 0, 4, 2], "box", {"frame": "relative:8"})
    assert "Truth: 2 0 4 2, a box, dashed" in harmless(cards.truth(scene)).text
    assert harmless(cards.truth(asked(truth="yes"))).text.endswith("Truth: yes")


def rects(html: str, kind: str) -> list[tuple[str, ...]]:
    return re.findall(rf'<rect class="{kind}" x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)" />', html)


def test_boxes_are_drawn_in_pixels_of_the_picture_into_each_aligned_picture():
    sources = {"a": Image.new("RGB", (200, 100)), "b": Image.new("L", (400, 200)), "c": Image.new("RGB", (100, 100))}
    sample = Sample("s", "?", sources, [0, 0, 4, 8], "box", {"frame": "relative:8"})
    html = cards.board([panel(boxes=((0.25, 0.5, 0.75, 1.0),))], PLAIN, sample)
    # Not into the third, whose shape is another.
    assert rects(html, "v-found") == [("50.00", "50.00", "100.00", "50.00")] * 2
    assert rects(html, "v-known") == [("0.00", "0.00", "100.00", "100.00")] * 2
    unanswered = cards.board([panel(answer=None)], PLAIN, sample)
    assert not rects(unanswered, "v-known"), "the truth is not given away before the answer"


def test_right_and_wrong_are_said_where_there_is_a_truth():
    assert "✓ right" in shown(panel("yes"), sample=asked("rgb", truth="yes")).text
    assert "✗ wrong" in shown(panel("no"), sample=asked("rgb", truth="yes")).text
    found = shown(panel("yes")).text
    assert "right" not in found and "wrong" not in found
    assert "no final answer stated" in shown(panel(None)).text
    assert "2 boxes" in shown(panel(None, boxes=((0, 0, 1, 1),) * 2)).text


def test_what_stage_a_card_is_at():
    assert "waiting" in shown(Panel(FUSED)).text
    assert "looking" in shown(Panel(FUSED, live=True)).text
    assert "looking" in shown(Panel(FUSED, live=True, said={"caption": ""})).text
    thinking = Panel(FUSED, live=True, said={"caption": "two", "reasoner": ""})
    assert "x makes of it" in shown(thinking, way=reasoned("x")).text
    cut = replace(answered(FUSED, None), finished={"tentative": False})
    assert "cut at the limit" in shown(panel(answer=cut)).text
    assert "(nothing)" in shown(panel(said={"tentative": "  "})).text
    timed = replace(answered(FUSED, "x"), seconds={"tentative": 1.234})
    assert "answering 1.23 s" in shown(panel(answer=timed)).text


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "1", "CMYK"])
def test_pictures_of_every_kind_of_8_bits_are_shown(mode, tmp_path):
    Image.new("RGB", (600, 300), (9, 60, 200)).convert(mode).save(tmp_path / "a.tif")
    sheet = cards.pictures(Sample("s", "?", {"a": Source(tmp_path / "a.tif")}, None, ""))
    assert "data:image/webp;base64," in sheet and "aspect-ratio:480/240" in sheet


def test_a_picture_of_16_bits_is_shown_by_its_mapping(tmp_path):
    Image.fromarray(np.full((40, 40), 3000, np.uint16)).save(tmp_path / "a.png")
    sheet = cards.pictures(Sample("s", "?", {"a": Source(tmp_path / "a.png", mapping="depth")}, None, ""))
    assert "data:image/png;base64," in sheet and "pixelated" in sheet

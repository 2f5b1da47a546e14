"""The page as people meet it: in a browser, by clicking.

Each test takes seconds, most of them the browser's; what must not break unseen runs with the fast tests.
"""

import re
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image

from rows import write_bomb, write_picture
from vantage.app import embedded


@pytest.fixture(scope="module")
def url(site):
    with ExitStack() as stack:
        yield site(embedded(stack))


def test_at_first_start_a_drawn_scene_is_asked_about_together_and_alone(page):
    page.ask()
    page.answered(3)
    assert [page.tab.get_attribute(f".v-card >> nth={n}", "data-origin") for n in range(3)] == [
        "fused",
        "mono:rgb",
        "mono:infrared",
    ]
    assert re.match("Seeing more|Right|Interference|Neither", page.text(".v-verdict"))
    assert page.count(".v-right, .v-false") == 3
    boxes = page.tab.locator(".v-card.v-fused rect.v-found").all()
    assert boxes and all(box.bounding_box()["width"] > 5 for box in boxes)
    assert page.count("rect.v-known") == 4, "the truth is drawn into each of the four pictures"
    assert page.tab.evaluate("getComputedStyle(document.querySelector('.v-p0')).backgroundImage").startswith("url")


def test_another_reasoner_is_a_click_away(page):
    page.switch("tiny-captioner + tiny-reader")
    # The scene gives way to one of the world that this captioner was taught on.
    page.tab.wait_for_function("document.querySelector('#v-question textarea').value != 'Where is the person?'")
    page.ask()
    page.answered(3)
    assert "tiny-reader makes of it" in page.text(".v-card.v-fused")
    assert page.count(".v-caption") == 3 and page.count(".v-reasoner") == 3
    page.switch("tiny-captioner + tiny-reasoner-weak")
    page.ask()
    page.tab.wait_for_selector("text=tiny-reasoner-weak makes of it")
    page.answered(3)


@pytest.mark.slow
@pytest.mark.parametrize("names", [["thermal"], ["left", "right"], ["a", "b", "c", "d"]], ids=len)
def test_one_s_own_pictures_under_names_of_one_s_own(page, tmp_path, names):
    for place, name in enumerate(names):
        page.drop(place, write_picture(tmp_path / f"{name}.jpg", (90, 60), (60 * place, 9, 9)))
        page.name(place, name)
    if len(names) == 1:
        page.tab.click("#v-picture-1 button[aria-label='Remove Image']")
    page.question("Where is the person?")
    page.ask()
    page.answered(1 if len(names) == 1 else len(names) + 1)
    assert page.text(".v-card >> nth=0").startswith(" + ".join(names))
    assert page.count(".v-right, .v-false, .v-known") == 0


@pytest.mark.slow
def test_two_sources_of_one_name_are_refused_and_nothing_is_lost(page):
    page.name(1, "rgb")
    page.ask()
    page.tab.wait_for_selector(".v-wrong")
    assert "Two pictures are called 'rgb'" in page.text(".v-wrong")
    page.name(1, "infrared")
    page.ask()
    page.answered(3)
    assert page.count(".v-right, .v-false") == 3, "as it was drawn again"


def test_sixteen_bits_ask_for_a_mapping(page, tmp_path):
    deep = tmp_path / "deep.png"
    Image.fromarray(np.linspace(300, 9000, 48 * 64).reshape(48, 64).astype(np.uint16)).save(deep)
    page.drop(1, deep)
    page.tab.wait_for_selector("#v-mapping-1", state="visible")
    page.ask()
    page.tab.wait_for_selector(".v-wrong")
    assert "more than 8 bits" in page.text(".v-wrong")
    for mapping, said in (("<script>window.evil=3</script>", "is no mapping"), ("depth:300-9000", "")):
        page.tab.fill("#v-mapping-1 input", mapping)
        page.tab.press("#v-mapping-1 input", "Enter")
        page.tab.press("#v-mapping-1 input", "Tab")
        page.ask()
        if said:
            page.tab.wait_for_selector(f".v-wrong >> text={said}")
    page.answered(3)
    page.tab.click("#v-picture-1 button[aria-label='Remove Image']")
    page.tab.wait_for_selector("#v-mapping-1", state="hidden")


@pytest.mark.slow
def test_a_file_that_is_no_picture_says_so_and_nothing_is_lost(page, tmp_path):
    (tmp_path / "notes.png").write_text("hello")
    page.question("Where is the person?")
    for file, said in ((tmp_path / "notes.png", "notes.png"), (write_bomb(tmp_path / "bomb.png"), "pixels")):
        page.drop(2, file)
        page.ask()
        page.tab.wait_for_selector(f".v-wrong >> text={said}")
        assert "The picture 'depth' cannot be shown" in page.text(".v-wrong")
        assert page.count("[id^=v-picture-] img") == 3
    page.tab.click("#v-picture-2 button[aria-label='Remove Image']")
    page.tab.wait_for_selector("#v-picture-2 img", state="detached")
    page.ask()
    page.answered(3)
    page.errors.clear()  # the browser says that it cannot show them either


@pytest.mark.slow
def test_a_tiff_is_shown_and_asked_about(page, tmp_path):
    Image.fromarray(np.full((48, 64, 3), (9, 60, 200), np.uint8)).save(tmp_path / "a.tif")
    page.drop(1, tmp_path / "a.tif")
    page.ask()
    page.answered(3)
    page.tab.wait_for_function("document.querySelector('#v-picture-1 img').naturalWidth == 64")


@pytest.mark.slow
@pytest.mark.parametrize("change", ["question", "name", "picture"])
def test_the_truth_goes_when_the_scene_is_touched(page, tmp_path, change):
    if change == "question":
        page.question("Where is the poster?")
    elif change == "name":
        page.name(0, "colour")
    else:
        page.drop(0, write_picture(tmp_path / "a.png"))
    page.tab.wait_for_selector(".v-truth", state="detached")
    page.ask()
    page.answered(3)
    assert page.count(".v-right, .v-false, .v-known") == 0


@pytest.mark.slow
def test_a_picture_is_as_large_alone_as_together_and_in_the_middle_of_its_card(page):
    page.ask()
    page.answered(3)
    cards = [page.tab.locator(f".v-card >> nth={place}").bounding_box() for place in range(3)]
    boxes = [one.bounding_box() for one in page.tab.locator(".v-picture").all()]
    assert len(boxes) == 4 and max(box["width"] for box in boxes) - min(box["width"] for box in boxes) < 1
    for card, box in ((cards[1], boxes[2]), (cards[2], boxes[3])):
        assert abs(box["x"] + box["width"] / 2 - card["x"] - card["width"] / 2) < 1


@pytest.mark.slow
def test_without_comparing_there_is_one_card(page):
    page.tab.click("#v-compare input")
    page.ask()
    page.answered(1)
    assert page.count(".v-verdict") == 0


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_runs_out_of_the_page_and_all_can_be_read(page, scheme):
    page.tab.set_viewport_size({"width": 390, "height": 844})
    page.tab.emulate_media(color_scheme=scheme)
    page.tab.reload()
    page.tab.wait_for_selector(".v-truth b")
    page.errors.clear()  # of what was under way when the page was left
    page.name(0, "w" * 200)
    page.ask()
    page.answered(3)
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 390
    pale = page.tab.evaluate(CONTRAST)
    assert pale == []


CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
    if (c[3] > 250) return c; } return [255, 255, 255, 255]; };
  const pale = [];
  for (const e of document.querySelectorAll('.v-head *, .v-truth, .v-board *, button, label, input, textarea')) {
    const own = [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim());
    if (!own || !e.offsetParent) continue;
    const [back, text] = [behind(e), rgba(getComputedStyle(e).color)];
    const mixed = text.slice(0, 3).map((v, i) => v * text[3] / 255 + back[i] * (1 - text[3] / 255));
    const [a, b] = [light(mixed), light(back.slice(0, 3))].sort((x, y) => y - x);
    const contrast = (a + .05) / (b + .05);
    if (contrast < 3.5) pale.push(`${e.className || e.tagName}: ${e.textContent.slice(0, 30)} ${contrast}`);
  }
  return pale;
}"""

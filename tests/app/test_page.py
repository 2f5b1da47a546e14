"""The page as people meet it: in a browser, by clicking.

Each test takes seconds, most of them the browser's; what must not break unseen runs with the fast tests.
"""

import asyncio
import re
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image

from rows import write_bomb, write_picture
from vantage.app import Way, embedded
from vantage.endpoints import Endpoint, EndpointSettings, FunctionEndpoint
from vantage.endpoints.replies import Reply
from vantage.errors import EndpointError
from vantage.pipeline import ALONE

EVIL = "<img src=x onerror=window.evil=1><script>window.evil=2</script>"


class Slow(Endpoint):
    """Says a word at a time until it is told to end, and remembers whether somebody left."""

    def __init__(self) -> None:
        super().__init__("slow", EndpointSettings(model="slow"))
        self.words, self.pause = 12, 0.05
        self.left = threading.Event()

    async def _call(self, request, emit):
        said = []
        try:
            for place in range(self.words):
                await asyncio.sleep(self.pause)
                said.append(f"word{place} ")
                if emit is not None:
                    emit(said[-1])
        except asyncio.CancelledError:
            self.left.set()
            raise
        return Reply("".join(said), model="slow")


class Refusing(Endpoint):
    """Answers nothing."""

    async def _call(self, request, emit):
        raise EndpointError(f"refusing: out of order {EVIL}")


SLOW = Slow()


@pytest.fixture(scope="module")
def url(site):
    with ExitStack() as stack:
        ways = embedded(stack)
        captioner, alone = ways[1].pipeline, ways[0].pipeline
        said = {
            "slow": SLOW,
            "refusing": Refusing("refusing", EndpointSettings(model="refusing", retries=0)),
            "evil": FunctionEndpoint(EVIL, lambda _: f"{EVIL} \\boxed{{{EVIL}}}"),
            "pixel": FunctionEndpoint("pixel", lambda _: r'\boxed{[{"bbox_2d": [16, 16, 32, 48]}]}'),
        }
        # These keep the scene that is there when one switches to them.
        ways += [Way(name=name, pipeline=captioner, reasoner=one, frame="pixel") for name, one in said.items()]
        ways.append(Way(name=EVIL, pipeline=alone, parts=ALONE))
        yield site(ways)


class Page:
    """A tab, and what people do in it."""

    def __init__(self, tab, url: str) -> None:
        self.tab = tab
        self.requests: list[str] = []
        self.errors: list[str] = []
        tab.on("request", lambda request: self.requests.append(request.url))
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        tab.on("dialog", lambda dialog: (self.errors.append(dialog.message), dialog.dismiss()))
        tab.goto(url)
        tab.wait_for_selector(".v-truth b")
        tab.wait_for_function("document.querySelectorAll('[id^=v-picture-] img').length == 2")

    def ask(self) -> None:
        self.tab.click("#v-ask")

    def answered(self, cards: int) -> None:
        self.tab.wait_for_function(
            f"document.querySelectorAll('.v-card').length == {cards}"
            " && [...document.querySelectorAll('.v-card')].every(c => c.querySelector('.v-answer, .v-wrong'))"
            " && document.querySelector('#v-ask')?.offsetParent"
        )

    def switch(self, name: str) -> None:
        self.tab.click("#v-who input")
        self.tab.get_by_role("option", name=name, exact=True).click()

    def drop(self, place: int, file) -> None:
        if self.tab.locator(f"#v-picture-{place} img").count():
            self.tab.click(f"#v-picture-{place} button[aria-label='Remove Image']")
            self.tab.wait_for_selector(f"#v-picture-{place} img", state="detached")
        self.tab.set_input_files(f"#v-picture-{place} input[type=file]", file)
        self.tab.wait_for_selector(f"#v-picture-{place} img", state="attached")

    def name(self, place: int, text: str) -> None:
        self.tab.fill(f"#v-name-{place} :is(input, textarea)", text)

    def question(self, text: str) -> None:
        self.tab.fill("#v-question textarea", text)

    def text(self, selector: str) -> str:
        return self.tab.inner_text(selector)

    def count(self, selector: str) -> int:
        return self.tab.locator(selector).count()


@pytest.fixture
def page(browser, url):
    """A fresh tab; at its end nothing hostile has run, nobody else was asked, and the browser did not complain."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.set_default_timeout(20_000)
    opened = Page(tab, url)
    yield opened
    assert tab.evaluate("window.evil") is None
    assert opened.errors == []
    assert [address for address in opened.requests if not address.startswith((url, "data:", "blob:"))] == []
    tab.close()


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
def test_what_is_said_is_seen_growing(page, monkeypatch):
    monkeypatch.setattr(SLOW, "pause", 0.3)
    page.switch("slow")
    page.ask()
    page.tab.wait_for_selector(".v-fused .v-reasoner")
    page.tab.wait_for_selector("#v-ask", state="hidden")
    lengths = []
    for _ in range(200):
        lengths.append(len(page.text(".v-fused .v-reasoner p")))
        if "word11" in page.text(".v-fused .v-reasoner p"):
            break
        time.sleep(0.03)
    assert lengths == sorted(lengths) and len(set(lengths)) >= 4
    assert "waiting" in page.text(".v-card >> nth=2")
    SLOW.pause = 0.01
    page.answered(3)


def test_stop_stops_the_model_and_the_endpoint(page, monkeypatch):
    monkeypatch.setattr(SLOW, "words", 10_000)
    SLOW.left.clear()
    page.switch("slow")
    page.ask()
    page.tab.wait_for_selector("text=word3")
    page.tab.click("#v-stop")
    page.tab.wait_for_selector("#v-ask", state="visible")
    assert SLOW.left.wait(5), "the endpoint goes on"
    assert "vantage-extractor" not in {thread.name for thread in threading.enumerate()}
    kept = page.text(".v-fused .v-reasoner p")
    assert "word3" in kept
    page.tab.wait_for_selector(".v-stopped .v-card")
    after = "getComputedStyle(document.querySelector('.v-stopped .v-wait'), '::after').content"
    assert page.tab.evaluate(after) == '"stopped"'
    monkeypatch.setattr(SLOW, "words", 2)
    page.ask()
    page.answered(3)


@pytest.mark.slow
def test_who_closes_the_tab_stops_the_endpoint(page, browser, url, monkeypatch):
    monkeypatch.setattr(SLOW, "words", 10_000)
    SLOW.left.clear()
    other = Page(browser.new_page(), url)
    other.switch("slow")
    other.ask()
    other.tab.wait_for_selector("text=word3")
    other.tab.close()
    assert SLOW.left.wait(10), "the endpoint goes on"


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
def test_without_comparing_there_is_one_card(page):
    page.tab.click("#v-compare input")
    page.ask()
    page.answered(1)
    assert page.count(".v-verdict") == 0


def test_hostile_names_and_texts_run_nothing(page):
    page.switch("evil")
    page.name(0, EVIL)
    page.name(1, "</style><script>window.evil=4</script>")
    page.question(f"How many people? {EVIL}")
    page.ask()
    page.answered(3)
    assert EVIL in page.text(".v-fused header") and EVIL in page.text(".v-fused .v-reasoner")
    assert EVIL in page.text(".v-fused .v-answer") and "onerror" in page.text(".v-notice")
    page.switch(EVIL)
    page.ask()
    page.answered(3)


@pytest.mark.slow
def test_an_endpoint_that_fails_is_told_in_its_card(page):
    page.switch("refusing")
    page.ask()
    page.answered(3)
    assert page.count(".v-card .v-wrong") == 3 and page.count(".v-card .v-caption") == 3
    assert "out of order" in page.text(".v-fused .v-wrong")


@pytest.mark.slow
def test_boxes_of_a_reasoner_in_pixels(page):
    page.switch("pixel")
    page.ask()
    page.answered(3)
    frame = page.tab.locator(".v-fused .v-p0").bounding_box()
    box = page.tab.locator(".v-fused .v-p0 rect.v-found").bounding_box()
    # The picture has 64 x 64 pixels; a line of 2.5 pixels goes around the box.
    assert abs((box["x"] - frame["x"]) / frame["width"] - 0.25) < 0.03
    assert abs(box["width"] / frame["width"] - 0.25) < 0.03 and abs(box["height"] / frame["height"] - 0.5) < 0.03


@pytest.mark.slow
def test_two_tabs_do_not_mix(page, browser, url):
    other = Page(browser.new_page(), url)
    other.tab.click("#v-draw")
    other.tab.wait_for_function("!document.querySelector('#v-question textarea').value.includes('Where')")
    page.switch("slow")
    page.ask()
    other.ask()
    other.answered(3)
    page.answered(3)
    assert page.count(".v-reasoner") == 3 and other.count(".v-reasoner") == 0
    assert other.count(".v-tentative") == 3 and page.count(".v-tentative") == 0
    other.tab.close()


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

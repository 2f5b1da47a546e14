"""The page while reasoners speak, keep silent, fail and lie."""

import asyncio
import threading
import time
from contextlib import ExitStack

import pytest

from tab import Page
from vantage.app import Way, embedded
from vantage.endpoints import Endpoint, EndpointSettings, FunctionEndpoint
from vantage.endpoints.replies import Reply
from vantage.errors import EndpointError
from vantage.pipeline import ALONE

EVIL = "<img src=x onerror=window.evil=1><script>window.evil=2</script>"


class Slow(Endpoint):
    """Thinks, then says a word at a time until it is told to end; remembers whether it was asked, and left."""

    def __init__(self) -> None:
        super().__init__("slow", EndpointSettings(model="slow"))
        self.thinking, self.words, self.pause = 0.0, 12, 0.05
        self.asked, self.left = threading.Event(), threading.Event()

    async def _call(self, request, emit):
        said = []
        self.asked.set()
        try:
            await asyncio.sleep(self.thinking)
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
        down = FunctionEndpoint("down", lambda _: r"\boxed{up again}")
        ways.append(Way(name="down, unavailable", pipeline=captioner, reasoner=down, trouble=f"no route {EVIL}"))
        ways.append(Way(name=EVIL, pipeline=alone, parts=ALONE))
        yield site(ways)


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


@pytest.fixture
def silent(monkeypatch) -> Slow:
    """It thinks for as long as a test lasts."""
    monkeypatch.setattr(SLOW, "thinking", 30)
    SLOW.asked.clear()
    SLOW.left.clear()
    return SLOW


def test_stop_ends_a_question_before_its_first_word_and_the_next_one_is_answered(page, silent):
    page.switch("slow")
    page.ask()
    page.tab.wait_for_selector(".v-fused .v-reasoner h4 >> text=slow makes of it")
    shown = page.text(".v-fused .v-caption p")
    assert silent.asked.wait(5) and shown.strip(), "the whole caption is seen meanwhile"
    page.tab.click("#v-stop")
    page.tab.wait_for_selector("#v-ask", state="visible")
    assert silent.left.wait(2), "the endpoint goes on"
    silent.thinking, silent.pause = 0, 0.01
    page.ask()
    page.answered(3)
    assert "word11" in page.text(".v-fused .v-reasoner p") and page.text(".v-fused .v-caption p") == shown


@pytest.mark.slow
def test_who_closes_the_tab_ends_a_question_before_its_first_word(browser, url, silent):
    other = Page(browser.new_page(), url)
    other.switch("slow")
    other.ask()
    assert silent.asked.wait(10)
    other.tab.close()
    assert silent.left.wait(10), "the endpoint goes on"


@pytest.mark.slow
def test_a_reasoner_that_could_not_be_asked_says_why_and_is_asked_again(page):
    page.switch("down, unavailable")
    page.tab.wait_for_selector(".v-wrong >> text=no route")
    assert EVIL in page.text(".v-wrong") and "asking tries again" in page.text(".v-wrong")
    page.ask()
    page.answered(3)
    assert "up again" in page.text(".v-fused .v-answer")


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

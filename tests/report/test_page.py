"""The page in a browser: nothing that a model wrote runs or leaves, and what one clicks does what it says."""

import pytest
from PIL import Image

from run_folders import answers, evaluated, group, member, run_folder, two_sided
from vantage.report.document import write

EVIL = [
    "</script><script>window.evil=1</script>",
    "<img src=x onerror='window.evil=1'><svg onload='window.evil=1'>",
    "javascript:window.evil=1",
    "<a href='javascript:window.evil=1'>click</a><iframe srcdoc='<script>parent.evil=1</script>'></iframe>",
    "a\u2028window.evil=1\u2029b",
    "\u202etxet desrever\u202c \u200b\ufeff",
    "nul \x00 bell \x07 escape \x1b[31m",
    "half \ud800 a pair \udc00",
    "__proto__",
    "${window.evil=1} {{constructor.constructor('window.evil=1')()}} `${window.evil=1}`",
    "<!--<script>window.evil=1",
    "<style>@import 'http://evil.example/a.css'</style><link rel=stylesheet href=http://evil.example/b.css>",
    "<meta http-equiv=refresh content='0;url=http://evil.example/'><base href=http://evil.example/>",
    "x" * 1_000_000,
]


class Tab:
    """A page in a tab, and all that the browser asked for and complained of."""

    def __init__(self, browser, path, **more):
        self.page = browser.new_page(viewport={"width": 1280, "height": 900}, **more)
        self.page.set_default_timeout(60_000)
        self.asked, self.complaints = [], []
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda line: line.type == "error" and self.complaints.append(line.text))
        session = self.page.context.new_cdp_session(self.page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", lambda event: self.asked.append(event["request"]["url"]))
        self.url = path.as_uri()
        self.page.goto(self.url)
        self.page.wait_for_selector("html[data-ready]")

    def groups(self):
        return int(self.page.inner_text("#count b").replace(",", ""))

    def press(self, key, name):
        self.page.click(f"[data-filter={key}] button:has(bdi:text-is({name!r}))")

    def harmless(self):
        """Nothing ran, nothing left, nobody complained."""
        assert self.page.evaluate("[window.evil, Object.prototype.evil, ({}).polluted]") == [None, None, None]
        assert [url for url in self.asked if url != self.url and not url.startswith("data:")] == []
        assert self.complaints == []


@pytest.fixture
def tabs(browser):
    opened = []

    def tab(path, **more):
        opened.append(Tab(browser, path, **more))
        return opened[-1]

    yield tab
    for each in opened:
        each.harmless()
        each.page.close()


def test_hostile_completions_stay_text(tabs, tmp_path):
    groups = []
    for index, evil in enumerate(EVIL):
        members = [
            member("fused", evil, 1.0, error=evil, said=evil, placed=evil, parts={evil[:60]: 1.0, "__proto__": 2.0}),
            member(f"mono:{evil[:60]}", f"<think>{evil}</think><answer>{evil}</answer>", 0.0),
            member(f"guest:{evil[:60]}", "", None, refused=evil),
        ]
        record = group(index + 1, index + 1, members, id=evil[:200], question=evil, truth=evil, reward=evil[:60])
        record["metadata"] = {"task": evil[:60], "world": "__proto__", "condition": evil[:60]}
        refs = {evil[:60]: "../../../../etc/passwd", "rgb": f"world:{evil[:60]}", "b": "file:///etc/passwd"}
        record["pictures"] |= refs | {"c": "http://evil.example/p.png", "d": "javascript:window.evil=1"}
        groups.append(record)
    run = run_folder(
        tmp_path / "<img src=x onerror=window.evil=1>",
        groups,
        **{"__proto__": 1.0, "gain/<script>": 0.1, "anchor/__proto__/accuracy": 0.5},
    )
    evaluated(run, "before", answers([{"fused": True, "mono:__proto__": False, "mono:<b>": False}] * 4, EVIL[:2]))
    target = tmp_path / "report.html"
    write([run], target)
    tab = tabs(target)
    assert tab.groups() == len(EVIL)
    for place, evil in enumerate(EVIL):
        tab.page.locator(".item").nth(0).wait_for()
        shown = tab.page.inner_text(".detail")
        assert f"step {place + 1}" in shown
        if evil.isprintable() and len(evil) < 200:
            assert tab.page.text_content(".question") == evil
        tab.page.keyboard.press("j")
    assert "U+202E" in tab.page.evaluate(
        "(i) => { const d = document.createElement('p'); d.append(...visible(i)); return d.textContent }", "\u202e"
    )
    assert (
        tab.page.locator(".detail script, .detail iframe, .detail a, .detail link, .detail meta, .detail style").count()
        == 0
    )
    tab.page.screenshot(path=str(tmp_path / "hostile.png"))
    assert Image.open(tmp_path / "hostile.png").size == (1280, 900)


@pytest.fixture
def plain(tmp_path):
    """Two runs of 40 and 20 groups; the first's even steps gain, its odd ones lose."""
    groups = [two_sided(step, step, fused=1.0, mono=0.0 if step % 2 == 0 else 1.0) for step in range(1, 41)]
    for record in groups[::2]:  # fused (0 + 0) / 2 against (1 + 0) / 2
        record["members"][0] |= {"reward": 0.0, "score": 0.0, "correct": False}
    runs = [
        run_folder(tmp_path / "mars", groups, steps=40),
        run_folder(tmp_path / "grpo", [two_sided(s, s + 50) for s in range(1, 21)], steps=20),
    ]
    evaluated(runs[0], "before", answers([{"fused": False, "mono:rgb": True, "mono:infrared": False}] * 30))
    evaluated(runs[0], "after", answers([{"fused": True, "mono:rgb": True, "mono:infrared": False}] * 30))
    target = tmp_path / "report.html"
    write(runs, target)
    return target


def test_filters_work_by_clicking(tabs, plain):
    tab = tabs(plain)
    assert tab.groups() == 60
    tab.press("run", "mars")
    assert tab.groups() == 40
    tab.press("gain", "below 0")
    assert tab.groups() == 20
    assert tab.page.inner_text(".detail .crumbs").split()[:3] == ["mars", "step", "1"]
    tab.press("gain", "any")
    tab.press("origin", "rgb alone")
    tab.press("answer", "right")
    assert tab.groups() == 20  # rgb alone is right in the odd steps
    assert tab.page.locator(".member[data-origin='mono:rgb']:not(.dim)").count() == 1
    assert tab.page.locator(".member[data-origin='fused'].dim").count() == 2
    tab.page.click("text=all groups")
    assert tab.groups() == 60
    tab.page.fill("[aria-label='first step']", "5")
    tab.page.fill("[aria-label='last step']", "8")
    assert tab.groups() == 8
    tab.page.fill("#search", "<answer> 6 </answer>")
    tab.page.locator("#count b:text-is('2')").wait_for()
    tab.page.fill("#search", "no such words")
    tab.page.locator("#count b:text-is('0')").wait_for()
    assert "No group is like that" in tab.page.inner_text(".detail")


def test_keys_walk_through_the_groups_and_only_what_is_seen_is_drawn(tabs, plain):
    tab = tabs(plain)
    assert tab.page.locator(".item").count() < 30
    tab.page.click(".item >> nth=0")
    for _ in range(3):
        tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("ArrowUp")
    assert "step 3" in tab.page.inner_text(".detail .crumbs")
    assert tab.page.inner_text(".item[aria-selected=true]").startswith("step 3")
    tab.page.locator(".list").evaluate("node => { node.scrollTop = node.scrollHeight }")
    tab.page.locator(".item:has-text('step 20')").wait_for()


def test_a_group_shows_its_pictures_answers_and_advantages(tabs, plain):
    tab = tabs(plain)
    assert tab.page.locator(".pictures figure").count() == 2
    loaded = (
        "Promise.all([...document.querySelectorAll('.pictures img')].map(i => i.decode().then(() => i.naturalWidth)))"
    )
    assert tab.page.evaluate(loaded) == [64, 64]
    assert tab.page.locator(".member:not(.head)").count() == 4
    assert tab.page.locator(".adv b").all_inner_texts() == ["0.00", "0.00", "+0.50", "−0.50"]


def test_boxes_are_drawn_where_they_are(tabs, tmp_path):
    index = 1  # of the world's kinds of question, the second asks for a box
    record = group(
        1, index, [member("fused", "<think> A1 </think> <answer> 0 2 4 8 </answer>", 0.0)], truth=[2, 4, 4, 8]
    )
    record["metadata"]["frame"] = "relative:8"
    target = tmp_path / "report.html"
    write([run_folder(tmp_path / "run", [record])], target)
    tab = tabs(target)
    read = "(name) => ['x', 'y', 'width', 'height'].map(a => Number(document.querySelector(name).getAttribute(a)))"
    assert tab.page.evaluate(read, "rect.true") == [0.25, 0.5, 0.25, 0.5]
    assert tab.page.evaluate(read, "rect.said") == [0, 0.25, 0.5, 0.75]
    tab.page.hover(".member:not(.head)")
    assert tab.page.locator("rect.said.lit").count() == 2  # one a picture


def test_numbers_of_the_headline_and_of_a_curve(tabs, plain):
    tab = tabs(plain)
    assert tab.page.inner_text("#result .hero h1 >> nth=1") == "Training added 100.0 points."
    first = tab.page.locator(".plot").first
    first.hover(position={"x": first.bounding_box()["width"] - 10, "y": 80})
    tip = tab.page.inner_text(".tip")
    assert tip.startswith("step 40") and "mars" in tip and "0.5" in tip


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_follows_the_system_and_the_switch(tabs, plain, scheme):
    tab = tabs(plain, color_scheme=scheme)
    ground = "getComputedStyle(document.body).backgroundColor"
    first = tab.page.evaluate(ground)
    assert (first == "rgb(16, 18, 22)") == (scheme == "dark")
    tab.page.click("#theme")
    assert tab.page.evaluate(ground) != first


def test_a_phone_needs_no_sideways_scrolling(tabs, plain):
    tab = tabs(plain)
    tab.page.set_viewport_size({"width": 390, "height": 844})
    assert tab.page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_policy_stops_what_would_slip_through(browser, plain):
    """Were markup to reach the page after all, it could neither run nor load anything."""
    tab = Tab(browser, plain)
    inject = """() => new Promise(done => { const p = document.createElement('div');
      p.innerHTML = "<img src=x onerror='window.evil=1'><img src='http://evil.example/p.png'>"; document.body.append(p);
      const s = document.createElement('script'); s.textContent = 'window.evil=1'; document.body.append(s);
      try { fetch('http://evil.example/').catch(() => {}) } catch {} setTimeout(() => done(window.evil), 300) })"""
    assert tab.page.evaluate(inject) is None
    assert any("Content Security Policy" in line for line in tab.complaints)
    tab.page.close()

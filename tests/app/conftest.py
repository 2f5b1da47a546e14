"""A page with scripted ways and the embedded ones, in a browser that nobody sees."""

import shutil
from contextlib import ExitStack

import pytest

from tab import Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")  # while it is open, an event loop counts as running in this thread
def browser():
    """A headless chromium; the test skips where there is none."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with sync.sync_playwright() as tool:
        # A container's root may not open chromium's own sandbox.
        opened = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def site():
    """Opens pages; each is closed at the end."""
    pytest.importorskip("gradio", reason="gradio is not installed")
    from vantage.app import serve

    with ExitStack() as stack:

        def opened(ways) -> str:
            page, url = serve(ways, block=False, port=None)
            stack.callback(page.close, verbose=False)
            return url

        yield opened


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

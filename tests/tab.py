"""A tab that shows the page, and what people do in it."""


class Page:
    """A tab; remembers what it asked for, and of what the browser complained."""

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

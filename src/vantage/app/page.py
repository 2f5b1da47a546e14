"""The page: Gradio components, and what happens when one is used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vantage.app import asking, cards, dropped, guard, scenes
from vantage.app.scenes import SLOTS, Slot
from vantage.app.ways import Way
from vantage.errors import ConfigError, VantageError
from vantage.pictures.mappings import MAPPINGS
from vantage.samples import Sample

NAMES = ("rgb", "infrared", "depth", "view")
"""What the slots are called until somebody says otherwise."""

LARGEST = "64mb"
"""Largest file that is taken."""

CLEAR, HOURLY = 24 * 3600, 3600
"""Uploads are deleted after a day; seconds."""

_STYLE = Path(__file__).parent / "style.css"
_FONTS = ["ui-sans-serif", "system-ui", "sans-serif"]
_HEAD = """<div class="v-head"><svg viewBox="0 0 48 48" aria-hidden="true">
<circle cx="18" cy="24" r="14" fill="#f97316" opacity=".85"/>
<circle cx="30" cy="24" r="14" fill="#2563eb" opacity=".7"/>
</svg><div><h1>Vantage</h1><p>Does seeing more mean knowing more? Ask about pictures of one scene: all sources together
answer, and each alone.</p></div></div>"""
_WELCOME = "Ask, and see what each view makes of it. Your own pictures go into the frames above."


def build(ways: Sequence[Way]) -> Any:
    """The page as ``gradio.Blocks``; ``serve`` opens it.

    Args:
        ways: who can be asked, the first one from the start.

    Raises:
        ConfigError: no way, two of one name, or Gradio is not installed.
    """
    by_name = {way.name: way for way in ways}
    if not by_name or len(by_name) < len(ways):
        raise ConfigError(f"a page needs ways of different names, got {[way.name for way in ways] or 'none'}")
    gr = _gradio()

    def draw(name: str, turn: int) -> list[Any]:
        found = scenes.scene(by_name[name], turn)
        pictures = [found.picture(source) for source in found.sources]
        empty = SLOTS - len(pictures)
        truth = cards.truth(found)
        return [
            *pictures, *([None] * empty), *found.sources, *NAMES[len(pictures) :], *([""] * SLOTS),
            found.question, found.id, turn + 1, truth, "", cards.hint(_WELCOME),
        ]  # fmt: skip

    def switch(name: str, turn: int, known: str) -> list[Any]:
        way = by_name[name]
        # A drawn scene of a world that this one was not made for gives way to one of its own.
        redraw = known and known.partition("/")[0] not in way.worlds
        shown = draw(name, turn) if redraw else [gr.skip()] * len(scene)
        if way.trouble:
            shown[-1] = cards.message(
                f"{name}: {way.trouble}\nThis was so when the page was opened; asking tries again."
            )
        return [gr.update(info=way.about), *shown]

    def known(question: str, drawn: str, *values: Any) -> str:
        try:
            sample = scenes.sample(_slots(values), question, drawn) if drawn else None
        except VantageError:
            return ""  # told when it is asked about
        return cards.truth(sample) if sample is not None and sample.truth is not None else ""

    def ask(name: str, question: str, compare: bool, drawn: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        idle, busy = _buttons(gr, False), _buttons(gr, True)
        way = by_name[name]
        try:
            sample = scenes.sample(_slots(values), question, drawn)
            painted = cards.pictures(sample)
            sample = asking.with_frame(way, sample)
        except VantageError as error:
            yield "", gr.update(value=cards.message(str(error)), elem_classes=[]), *idle
            return
        notice = _strange(way, question)
        yield painted, gr.update(value=cards.hint("…"), elem_classes=[]), *busy
        with closing(asking.ask(way, sample, compare)) as views:  # who stops it, or closes the tab, ends them
            for panels in views:
                yield gr.skip(), cards.board(panels, way, sample, notice), gr.skip(), gr.skip()
        yield gr.skip(), gr.skip(), *idle

    with gr.Blocks(title="Vantage", analytics_enabled=False, delete_cache=(HOURLY, CLEAR), fill_width=True) as page:
        gr.HTML(_HEAD)
        drawn, turn = gr.State(""), gr.State(0)
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=340):
                slots = []
                for row in range(0, SLOTS, 2):
                    with gr.Row():
                        slots += [_slot(gr, place) for place in (row, row + 1)]
            with gr.Column(scale=5, min_width=320):
                who = gr.Dropdown(
                    list(by_name), value=ways[0].name, label="Who answers", info=ways[0].about, elem_id="v-who"
                )
                question = gr.Textbox(label="Question", lines=2, max_lines=6, elem_id="v-question")
                truth = gr.HTML("", elem_id="v-truth")
                compare = gr.Checkbox(True, label="Compare with each source alone", elem_id="v-compare")
                with gr.Row():
                    draw_button = gr.Button("Draw a scene", elem_id="v-draw")
                    ask_button = gr.Button("Ask", variant="primary", elem_id="v-ask")
                    stop_button = gr.Button("Stop", variant="stop", visible=False, elem_id="v-stop")
        painted = gr.HTML("", elem_id="v-paint")
        board = gr.HTML(cards.hint(_WELCOME), elem_id="v-answers", padding=False)

        pictures, names, mappings = (list(part) for part in zip(*slots, strict=True))
        everything = [*pictures, *names, *mappings]
        for picture, mapping in zip(pictures, mappings, strict=True):
            picture.change(_deep(gr), picture, [picture, mapping], show_progress="hidden", api_visibility="private")
        scene = [*everything, question, drawn, turn, truth, painted, board]
        draw_button.click(draw, [who, turn], scene, api_visibility="private")
        who.change(switch, [who, turn, drawn], [who, *scene], show_progress="hidden", api_visibility="private")
        # What is known of a drawn scene holds as long as nobody changes it.
        gr.on(
            [part.change for part in (question, *pictures, *names)],
            known,
            [question, drawn, *everything],
            truth,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
        page.load(draw, [who, turn], scene, show_progress="hidden", api_visibility="private")
        asked = gr.on(
            [ask_button.click, question.submit],
            ask,
            [who, question, compare, drawn, *everything],
            [painted, board, ask_button, stop_button],
            show_progress="hidden",
            concurrency_limit=4,
            api_visibility="private",
        )
        # Asking is offered again when the last question has ended: the browser drops a click that comes before.
        stop_button.click(None, cancels=[asked], api_visibility="private").then(
            # The text is left alone: the last words may still be on their way.
            lambda: (gr.update(elem_classes=["v-stopped"]), *_buttons(gr, False)),
            None,
            [board, ask_button, stop_button],
            api_visibility="private",
        )
    return page


def serve(
    ways: Sequence[Way],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    browser: bool = False,
    block: bool = True,
) -> tuple[Any, str]:
    """Open the page.

    Args:
        ways: see ``build``.
        host: address to listen on; the default is reached from this machine only, and there is no password.
        port: 7860 or the next free one by default.
        browser: open the page in the browser.
        block: wait until it is closed, by an interrupt.

    Returns:
        The page, whose ``close()`` ends it, and its address.

    Raises:
        ConfigError: as ``build``; or the address cannot be listened on.
    """
    gr = _gradio()
    from starlette.middleware import Middleware

    page = build(ways)
    try:
        _, url, _ = page.queue(api_open=False).launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            prevent_thread_lock=True,
            share=False,
            quiet=True,
            footer_links=[],
            max_file_size=LARGEST,
            ssr_mode=False,
            enable_monitoring=False,
            app_kwargs={"middleware": [Middleware(guard.OwnPageOnly)]} if guard.is_loopback(host) else {},
            run_history=False,
            # Fonts of the machine: the page asks nobody else for anything.
            theme=gr.themes.Default(font=_FONTS, font_mono=["ui-monospace", "monospace"]).set(
                # Gradio's own is too pale under the white of "Ask" to be read.
                button_primary_background_fill="*primary_600",
                button_primary_background_fill_hover="*primary_700",
                button_primary_background_fill_dark="*primary_600",
                button_primary_background_fill_hover_dark="*primary_700",
            ),
            css=_STYLE.read_text(encoding="utf-8"),
        )
    except OSError as error:
        # Gradio's own words name its settings instead of ours.
        why = "another program may do so already" if "empty port" in str(error) else str(error)
        raise ConfigError(f"{host}:{port or '7860 to 7959'} cannot be listened on: {why}") from error
    if block:
        page.block_thread()
    return page, url


@cache
def _uploads() -> TemporaryDirectory[str]:
    """Where pictures are kept that are dropped on a page: a folder of this user alone, gone when the process ends."""
    return TemporaryDirectory(prefix="vantage-app-")


def _gradio() -> Any:
    # Read when Gradio is imported: nothing about its use leaves this machine.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Read with every request. The default is one folder for all programs, which other users of the machine can read.
    if "GRADIO_TEMP_DIR" not in os.environ:
        os.environ["GRADIO_TEMP_DIR"] = _uploads().name
    try:
        import gradio
    except ModuleNotFoundError as error:
        raise ConfigError("the page needs Gradio: pip install 'vantage-rl[app]'") from error
    if int(version("gradio").partition(".")[0]) < 6:
        raise ConfigError(f"the page needs Gradio 6, this is {version('gradio')}: pip install 'vantage-rl[app]'")
    return gradio


def _slot(gr: Any, place: int) -> tuple[Any, Any, Any]:
    """Picture, name and mapping of one slot. The file is taken as it is, never converted on the way."""
    with gr.Column(min_width=150, scale=1):
        name = gr.Textbox(NAMES[place], show_label=False, container=False, max_lines=1, elem_id=f"v-name-{place}")
        picture = dropped.component()(
            type="filepath",
            image_mode=None,
            format="png",
            sources=["upload", "clipboard"],
            show_label=False,
            height=150,
            placeholder="Drop a picture",
            buttons=[],
            elem_id=f"v-picture-{place}",
        )
        mapping = gr.Dropdown(
            ["", *MAPPINGS],
            value="",
            visible=False,
            label="More than 8 bits: shown as",
            allow_custom_value=True,
            elem_id=f"v-mapping-{place}",
        )
    return picture, name, mapping


def _deep(gr: Any) -> Any:
    """Asks for a mapping where a picture needs one, and shows a picture whose file no browser shows."""

    def change(path: str | None) -> tuple[Any, Any]:
        # What cannot be read at all is told when it is asked about.
        if path is not None and scenes.deep(path):
            return gr.skip(), gr.update(visible=True)
        foreign = scenes.foreign(path) if path is not None else None
        return gr.skip() if foreign is None else foreign, gr.update(visible=False, value="")

    return change


def _slots(values: Sequence[Any]) -> list[Slot]:
    pictures, names, mappings = values[:SLOTS], values[SLOTS : 2 * SLOTS], values[2 * SLOTS :]
    return [
        Slot(name or "", path, mapping or "") for path, name, mapping in zip(pictures, names, mappings, strict=True)
    ]


def _strange(way: Way, question: str) -> str:
    words = way.unknown(question)
    if not words:
        return ""
    known: Sample = scenes.scene(way, 0)
    return (
        f"This model's vocabulary lacks: {', '.join(words)}. It was taught on drawn scenes, with questions such as "
        f"“{known.question}”"
    )


def _buttons(gr: Any, busy: bool) -> tuple[Any, Any]:
    return gr.update(visible=not busy), gr.update(visible=busy)

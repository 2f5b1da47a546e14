import io

import pytest
from rich.console import Console

from vantage.progress import bar, progress, stages


@pytest.mark.parametrize("text", ["rgb[/x]", "/mnt/[archive]/m", "[bold]x"])
def test_descriptions_and_notes_are_shown_as_they_are(text):
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    with progress(console, text) as report:
        report(1, 2)
    with bar(console) as shown:
        shown.add_task("train", total=1, note=text)
    assert console.file.getvalue().count(text) >= 2


def test_each_stage_has_a_bar_of_its_own():
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    with stages(console) as report:
        for done in (1, 2):
            report("look [b]", done, 2)
        report("ask", 3, 5)
    lines = console.file.getvalue().splitlines()
    assert any("look [b]" in line and "2/2" in line for line in lines)
    assert any("ask" in line and "3/5" in line for line in lines)

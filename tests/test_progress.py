import io

import pytest
from rich.console import Console

from vantage.progress import bar, progress


@pytest.mark.parametrize("text", ["rgb[/x]", "/mnt/[archive]/m", "[bold]x"])
def test_descriptions_and_notes_are_shown_as_they_are(text):
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    with progress(console, text) as report:
        report(1, 2)
    with bar(console) as shown:
        shown.add_task("train", total=1, note=text)
    assert console.file.getvalue().count(text) >= 2

"""What the documentation says can be done can be done: its Python runs, its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("recipes/*.md"), *ROOT.glob("benchmarks/*.md")])
# Pages whose Python needs no run and no training.
RUNNABLE = [
    "answering.md",
    "app.md",
    "data.md",
    "endpoints.md",
    "evaluation.md",
    "guests.md",
    "own-data.md",
    "racro.md",
    "rewards.md",
    "scoring.md",
]


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", RUNNABLE)
def test_python_on_the_page_runs_from_top_to_bottom(name, tmp_path, monkeypatch, capsys):
    from vantage.rewards import registry

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))  # a page may register a reward of its own
    page = ROOT / "docs" / name
    code = blocks(page)
    assert code
    names: dict[str, object] = {"__name__": "page"}
    for block in code:
        exec(compile(block, str(page), "exec"), names)  # noqa: S102  our own pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page):
    for target in re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, heading = target.partition("#")
        linked = (page.parent / file) if file else page
        assert linked.exists(), f"{page.name}: {target}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
            assert heading in anchors, f"{page.name}: {target}"

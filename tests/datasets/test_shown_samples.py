"""A contact sheet of real excerpts, by the command line."""

import pytest
from PIL import Image
from typer.testing import CliRunner

from rows import shared
from vantage.cli import app


@pytest.mark.parametrize(
    ("spec", "folder", "summary"),
    [
        ("super-clevr:{}", "super_clevr", "12 of 238 samples"),
        ("trance:{}?tasks=centre,left,right", "trance", "3 of 3 samples"),
        ("nlvr:{}/dev_20.jsonl?split=dev", "nlvr", "12 of 20 samples"),
    ],
)
def test_data_show_draws_real_samples(tmp_path, spec, folder, summary):
    sheet = tmp_path / "sheet.png"
    found = CliRunner().invoke(app, ["data", "show", spec.format(shared(folder)), "--output", str(sheet)])
    assert found.exit_code == 0, found.output
    assert summary in found.output
    with Image.open(sheet) as image:
        assert min(image.size) > 400
        # Shades of grey and one green are a card's own; what has another hue was pasted from a picture.
        hues = {(r, g, b) for _, (r, g, b) in image.convert("RGB").getcolors(2**24) if r > g + 40 or g > b + 150}
    assert hues

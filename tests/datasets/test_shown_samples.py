"""A contact sheet of real excerpts, by the command line."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rows import shared
from vantage import datasets
from vantage.cli import app
from vantage.pictures import Source
from vantage.samples import Sample
from vantage.worlds.sheet import WIDE_CARD, contact_sheet

GREEN = (32, 224, 138)


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


def test_boxes_of_real_samples_stand_where_the_truth_says():
    """LLVIP's people, drawn on both pictures of a card; their places are counted back from the page."""
    (sample,) = datasets.load(f"llvip:{shared('llvip')}?split=test&frame=pixel&n=1")
    box = sample.truth[0]
    alone = replace(sample, truth=[box])
    page = np.asarray(contact_sheet([alone])).astype(int)
    rows, columns = np.nonzero((page == GREEN).all(2))
    # A card has 16 pixels of edge within 20 of gap; two pictures share what is left, 8 apart.
    room = (WIDE_CARD - 2 * 16 - 8) / 2
    scale = room / 1280
    for left in (20 + 16, 20 + 16 + room + 8):
        inside = (columns >= left - 2) & (columns < left + room + 2)
        found = [columns[inside].min() - left, columns[inside].max() - left]
        assert found == pytest.approx([box[0] * scale, box[2] * scale], abs=3)
        assert np.ptp(rows[inside]) == pytest.approx((box[3] - box[1]) * scale, abs=4)


def test_points_of_real_samples_are_drawn_with_their_letters():
    samples = datasets.load(f"rgbd-7scenes:{shared('rgbd_7scenes')}?tasks=nearer&n=1")
    bare = replace(samples[0], metadata={**samples[0].metadata, "points": {}})
    page, without = (np.asarray(contact_sheet([sample])).astype(int) for sample in (samples[0], bare))
    room = (WIDE_CARD - 2 * 16 - 8) / 2
    changed = (page != without).any(2)
    top = np.nonzero((without[:, int(20 + 16 + room / 2)] != (255, 255, 255)).any(1) & (np.arange(len(page)) > 60))[0][
        0
    ]
    for x, y in samples[0].metadata["points"].values():
        for left in (20 + 16, 20 + 16 + room + 8):
            at = (int(top + y * room * 0.75), int(left + x * room))
            assert tuple(page[at]) == GREEN
    # Four points, each a dot and a letter, and nothing else.
    assert 4 * 100 < changed.sum() < 4 * 600


def test_points_that_are_none_are_left_alone():
    picture = {"rgb": Source(Image.new("RGB", (40, 40)))}
    for points in (None, "A", {"A": [1]}, {"A": ["x", "y"]}, {"A": [float("nan"), 2.0]}, {"A" * 500: [0.5, 0.5]}):
        contact_sheet([Sample("a", "?", picture, "A", "answer", {"points": points})])

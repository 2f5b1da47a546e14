"""Contact sheets take any sample."""

import numpy as np
import pytest
from PIL import Image

from vantage import worlds
from vantage.errors import ConfigError
from vantage.pictures import Source
from vantage.samples import Sample
from vantage.worlds.sheet import CARD_WIDTH, WIDE_CARD

GREEN = (32, 224, 138)


def has_box(sheet: Image.Image) -> bool:
    return bool((np.asarray(sheet) == GREEN).all(2).any())


def test_a_sheet_has_a_column_for_each_card_up_to_the_limit():
    samples = list(worlds.get("night").dataset("test", n=7))
    four, two = worlds.contact_sheet(samples), worlds.contact_sheet(samples[:2])
    assert four.mode == "RGB"
    assert four.width == 4 * (CARD_WIDTH + 20) + 20
    assert two.width == 2 * (CARD_WIDTH + 20) + 20
    assert worlds.contact_sheet(samples, columns=1).height > 6 * two.height


def test_a_data_set_can_be_shown_as_it_is():
    assert worlds.contact_sheet(worlds.get("depth").dataset(n=3)).size[0] > 0


@pytest.mark.parametrize("sources", range(1, 7))
def test_any_number_of_real_pictures_of_any_shape_fits(sources):
    sizes = [(1280, 720), (300, 900), (3000, 40), (8, 8), (640, 640), (1, 500)]
    pictures = {f"camera number {i}": Source(Image.new("RGB", sizes[i])) for i in range(sources)}
    sample = Sample("row" * 60, "What is it? " * 60, pictures, {"any": ["truth"] * 60}, "vqa")
    sheet = worlds.contact_sheet([sample])
    assert sheet.width == WIDE_CARD + 40
    assert sheet.height < 1200


def test_a_box_truth_is_drawn_where_its_frame_is_known():
    picture = {"rgb": Source(Image.new("RGB", (400, 200)))}

    def sheet(truth, **metadata):
        return worlds.contact_sheet([Sample("a", "Where?", picture, truth, "box", metadata)])

    assert has_box(sheet([1, 1, 4, 4], frame="relative:8"))
    assert has_box(sheet([10, 10, 300, 150], frame="pixel"))
    assert has_box(sheet([[10, 10, 50, 50], [100, 100, 300, 150]], frame="relative", truth_frame="pixel"))
    assert not has_box(sheet([10, 10, 300, 150]))
    assert not has_box(sheet([10, 10, 300, 150], frame="nonsense"))
    assert not has_box(sheet("yes", frame="pixel"))


def test_a_box_stands_where_the_truth_says():
    white = Sample("a", "?", {"rgb": Source(Image.new("RGB", (64, 64), "white"))}, [4, 4, 8, 8], "box",
                   {"frame": "relative:8"})  # fmt: skip
    rows, columns = np.nonzero((np.asarray(worlds.contact_sheet([white])) == GREEN).all(2))
    inner = CARD_WIDTH - 32
    assert abs(columns.min() - (20 + 16 + inner / 2)) < 4
    assert abs((rows.max() - rows.min()) - inner / 2) < 8


def test_nothing_to_show_is_an_error():
    with pytest.raises(ConfigError, match="at least one sample"):
        worlds.contact_sheet([])
    with pytest.raises(ConfigError, match="at least one column"):
        worlds.contact_sheet(worlds.get("night").dataset(n=1), columns=0)

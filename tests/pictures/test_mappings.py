import numpy as np
import pytest
from PIL import Image

from vantage.errors import ConfigError
from vantage.pictures.mappings import MAPPINGS, GreyMapping

HOLES = [0, 65535]


def grey(mapping, values, dtype=np.uint16):
    out = GreyMapping.parse(mapping)(Image.fromarray(np.array([values], dtype=dtype)))
    assert (out.mode, out.size) == ("RGB", (len(values), 1))
    pixels = np.asarray(out)[0]
    assert (pixels == pixels[:, :1]).all()
    return pixels[:, 0].tolist()


def test_depth_is_bright_where_near_and_black_where_nothing_was_measured():
    assert grey("depth", [*HOLES, 1, 300, 5150, 10_000, 20_000]) == [0, 0, 255, 255, 128, 1, 1]
    # 1 + 254 (2000 - d) / 1000
    assert grey("depth:1000-2000", [1000, 1250, 1500, 2000]) == [255, round(1 + 254 * 0.75), 128, 1]


def test_inverse_depth_keeps_detail_near_the_camera():
    near, far = 500, 4000
    expected = [round(1 + 254 * (1 / d - 1 / far) / (1 / near - 1 / far)) for d in (500, 600, 1000, 4000)]
    assert grey("depth-inverse:500-4000", [500, 600, 1000, 4000]) == expected
    linear = grey("depth:500-4000", [500, 600])
    assert 255 - expected[1] > 3 * (linear[0] - linear[1])


def test_depth_of_floating_point_has_holes_too():
    assert grey("depth:1-3", [np.nan, np.inf, -1, 0, 1, 2, 3], np.float32) == [0, 0, 0, 0, 255, 128, 1]


def test_channels_hold_every_millimetre():
    values = np.arange(65535, dtype=np.uint16).reshape(1, -1)
    red, green, blue = np.asarray(GreyMapping.parse("depth-channels")(Image.fromarray(values)))[0].astype(int).T
    assert (red // 4 * 1024 + green // 8 * 32 + blue // 8).tolist() == values[0].tolist()
    hole = GreyMapping.parse("depth-channels")(Image.fromarray(np.array([[65535]], dtype=np.uint16)))
    assert hole.getpixel((0, 0)) == (0, 0, 0)


def test_heat_is_stretched_within_a_picture_or_over_a_named_range():
    values = list(range(20_000, 20_101))
    stretched = grey("thermal", values)
    low, high = np.percentile(values, (1, 99))
    assert stretched == [round(float(np.clip((v - low) / (high - low), 0, 1) * 255)) for v in values]
    assert grey("thermal:20000-20200", [19_000, 20_000, 20_120, 30_000]) == [0, 0, 153, 255]
    assert grey("thermal", [7, 7, 7]) == [0, 0, 0]


def test_the_high_byte():
    assert grey("high-byte", [0, 255, 256, 65535]) == [0, 0, 1, 255]


def test_a_mapping_reads_as_it_is_written():
    for text in (*MAPPINGS, "depth:500-8000", "thermal:0.5-1.25"):
        assert str(GreyMapping.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "fog", "depth:", "depth:5", "depth:9-3", "depth:3-3", "depth-inverse:0-9", "high-byte:1-2", "depth:a-b"],
)
def test_what_is_no_mapping(text):
    with pytest.raises(ConfigError):
        GreyMapping.parse(text)

from pathlib import Path

import pytest

from vantage.datasets import DataSpec
from vantage.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("night", {"name": "night"}),
        (
            "night?split=test&n=512&tasks=count,locate",
            {"name": "night", "split": "test", "n": 512, "tasks": ("count", "locate")},
        ),
        (
            "llvip:/data/LLVIP?split=test&frame=resized",
            {"name": "llvip", "path": Path("/data/LLVIP"), "split": "test", "frame": "resized"},
        ),
        ("jsonl:rows.jsonl", {"name": "jsonl", "path": Path("rows.jsonl")}),
        ("mars:C:/q.json?root=/a+b/c", {"name": "mars", "path": Path("C:/q.json"), "root": Path("/a+b/c")}),
        ("mars:q.json?frame=relative:8", {"name": "mars", "path": Path("q.json"), "frame": "relative:8"}),
    ],
)
def test_a_line_of_text_is_settings(text, given):
    spec = DataSpec.parse(text)
    assert spec == DataSpec(**given)
    assert DataSpec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    "text", ["", "?n=1", "night?", "night:", ":path", "night?n", "night?n=", "night?=1", "night?n=1&&"]
)
def test_text_of_another_form(text):
    with pytest.raises(ConfigError, match=r"NAME\[:PATH\]|is not key=value"):
        DataSpec.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("night?m=1", "no key 'm'; the keys are path, split, n, seed"),
        ("night?n=0", "n='0'"),
        ("night?n=many", "n='many'"),
        ("night?n=1&n=2", "'n' is given twice"),
        ("jsonl:a?name=b", "'name' is given twice"),
        ("mars:a?frame=px", "'px' is no coordinate frame"),
        ("llvip:a?unlabelled=maybe", "unlabelled='maybe'"),
        ("night?sources=rgb,", "sources"),
    ],
)
def test_wrong_settings_say_what_is_allowed(text, message):
    with pytest.raises(ConfigError) as caught:
        DataSpec.parse(text)
    assert message in str(caught.value)

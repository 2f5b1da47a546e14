import pytest

from rows import row
from vantage import datasets
from vantage.errors import ConfigError, DataError


def test_drawn_worlds_load_by_name():
    samples = datasets.load("night?split=test&n=6&seed=3&tasks=count")
    assert len(samples) == 6
    assert list(samples[0].sources) == ["rgb", "infrared"]
    assert samples[0].id == datasets.load("night?split=test&n=2&seed=3&tasks=count")[0].id
    assert datasets.check(samples).rows == 6


def test_sources_are_kept_in_the_order_asked_for():
    samples = datasets.load("night?n=4&sources=infrared,rgb")
    assert list(samples[0].sources) == ["infrared", "rgb"]
    assert [list(s.sources) for s in datasets.load("night?n=4&sources=infrared")[1:3]] == [["infrared"]] * 2


def test_a_row_without_a_source_asked_for_is_named():
    with pytest.raises(DataError, match=r"row 'r1' has no source 'depth'; it has rgb, infrared"):
        datasets.with_sources([row("a")], ["rgb", "depth"])[0]
    with pytest.raises(ConfigError, match="twice"):
        datasets.with_sources([row("a")], ["rgb", "rgb"])


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'elephants'; known: .*depth, .*jsonl, llvip, mars, .*night"):
        datasets.load("elephants")
    with pytest.raises(
        ConfigError, match=r"'nihgt'; did you mean 'night'\? known: .*depth, .*jsonl, llvip, mars, .*night"
    ):
        datasets.load("nihgt")


@pytest.mark.parametrize(
    "text", ["night?frame=pixel", "jsonl:a.jsonl?split=test", "mars:a.json?tasks=a", "llvip:a?mix=hard"]
)
def test_a_key_that_the_data_set_does_not_take(text):
    with pytest.raises(ConfigError, match=r"takes no '\w+'; it takes .*n, .*seed"):
        datasets.load(text)


@pytest.mark.parametrize("name", datasets.FILES)
def test_files_need_a_path(name):
    with pytest.raises(ConfigError, match="needs"):
        datasets.load(name)


def test_a_path_without_the_name_of_its_kind_is_told_how_it_is_written():
    with pytest.raises(ConfigError, match=r"a data set goes by its name first: jsonl:rows\.jsonl"):
        datasets.load("rows.jsonl")
    with pytest.raises(ConfigError, match="NAME:data/llvip"):
        datasets.load("data/llvip?split=test")

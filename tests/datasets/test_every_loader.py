"""What holds for every data set that is read from files."""

import re

import pytest

from vantage import datasets
from vantage.datasets import DataSpec, loader
from vantage.errors import ConfigError, DataError

EVERY = pytest.mark.parametrize("name", datasets.FILES)


@EVERY
def test_its_first_line_says_how_it_is_named_and_what_it_is(name):
    first = (loader(name).__doc__ or "").split("\n")[0]
    assert re.fullmatch(rf"``{re.escape(name)}:\S[^`]*``: .+[^,]", first), first


@EVERY
def test_its_keys_are_those_of_the_settings(name):
    assert not loader(name).KEYS - DataSpec.model_fields.keys()
    assert "path" in loader(name).KEYS


@EVERY
def test_without_a_path_it_says_what_one_looks_like(name):
    with pytest.raises(ConfigError, match=f"'{name}' needs a path: {name}:"):
        datasets.load(name)


@EVERY
def test_a_path_where_nothing_lies_is_named(name, tmp_path):
    with pytest.raises((ConfigError, DataError), match=re.escape(str(tmp_path / "nowhere"))):
        datasets.load(DataSpec(name=name, path=tmp_path / "nowhere"))


@EVERY
def test_a_folder_with_nothing_in_it_is_named(name, tmp_path):
    with pytest.raises((ConfigError, DataError), match=re.escape(str(tmp_path))):
        datasets.load(DataSpec(name=name, path=tmp_path))


@EVERY
def test_a_key_that_it_does_not_take_is_an_error(name, tmp_path):
    with pytest.raises(ConfigError, match=f"data set '{name}' takes no 'mix'"):
        datasets.load(DataSpec(name=name, path=tmp_path, mix="night"))

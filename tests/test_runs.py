from contextlib import closing

import pytest

from vantage import recipes, runs
from vantage.endpoints.cache import Cache, digest
from vantage.errors import ConfigError


@pytest.fixture
def recipe():
    return recipes.load("tiny/mars")


def test_a_run_starts_with_its_recipe(recipe, tmp_path):
    run = runs.start("first", recipe, tmp_path / "runs")
    assert run.folder == tmp_path / "runs" / "first"
    assert [path.name for path in run.folder.iterdir()] == ["recipe.yaml"]
    assert recipes.differences(recipes.load(run.recipe), recipe) == []


def test_a_run_is_never_written_over(recipe, tmp_path):
    run = runs.start("first", recipe, tmp_path)
    before = run.recipe.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match=r"first exists already; go on with --resume, choose another --name"):
        runs.start("first", recipes.load("tiny/mars", ["seed=9"]), tmp_path)
    assert run.recipe.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\\b", "/abs", "a\0"])
def test_a_name_is_that_of_one_folder(name, recipe, tmp_path):
    for call in (runs.start, runs.resume):
        with pytest.raises(ConfigError, match="without slashes"):
            call(name, recipe, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(recipe, tmp_path):
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    with pytest.raises(ConfigError, match="a run cannot be written there"):
        runs.start("first", recipe, tmp_path / "runs")


def test_a_run_goes_on_with_its_own_settings_alone(recipe, tmp_path):
    runs.start("first", recipe, tmp_path)
    assert runs.resume("first", recipe, tmp_path).folder == tmp_path / "first"
    with pytest.raises(ConfigError, match=r"other settings.*\n  seed: 0, now 9\n  trainer.max_steps: 60, now 61"):
        runs.resume("first", recipes.load("tiny/mars", ["seed=9", "trainer.max_steps=61"]), tmp_path)
    with pytest.raises(ConfigError, match=r"nothing to resume: .*second"):
        runs.resume("second", recipe, tmp_path)


def test_a_free_name_is_the_first_that_no_run_has(tmp_path):
    assert runs.free_name("a", tmp_path / "none") == "a"
    for taken in ("b", "a", "a-2", "a-4"):
        (tmp_path / taken).mkdir()
    assert runs.free_name("a", tmp_path) == "a-3"
    assert runs.free_name("c", tmp_path) == "c"


def test_a_run_that_made_nothing_gives_its_name_back(recipe, tmp_path):
    run = runs.start("first", recipe, tmp_path)
    run.checkpoints.mkdir()
    runs.abandon(run)
    assert list(tmp_path.iterdir()) == []
    runs.start("first", recipe, tmp_path)


@pytest.mark.parametrize("replied", [0, 1])
def test_a_run_that_only_opened_its_file_of_replies_made_nothing(replied, recipe, tmp_path):
    run = runs.start("first", recipe, tmp_path)
    with closing(Cache(run.replies)) as kept:
        assert len(kept) == 0
        for number in range(replied):
            kept.put(digest(number), {"text": "paid for"})
    runs.abandon(run)
    assert run.folder.exists() == bool(replied)


@pytest.mark.parametrize("made", ["metrics.jsonl", "before.json", "checkpoints/checkpoint-1/model", "notes.txt"])
def test_a_run_that_made_something_keeps_all_of_it(made, recipe, tmp_path):
    run = runs.start("first", recipe, tmp_path)
    (run.folder / made).parent.mkdir(parents=True, exist_ok=True)
    (run.folder / made).write_text("{}", encoding="utf-8")
    runs.abandon(run)
    assert (run.folder / made).is_file() and run.recipe.is_file()

import json

import pytest
from typer.testing import CliRunner

from rows import write_picture
from vantage import cli, plugins, recipes, rewards
from vantage.errors import ConfigError
from vantage.rewards import registry

CODE = """
from vantage.rewards import Reward, Score, register

loaded = globals().get("loaded", 0) + 1

@register
class Shouts(Reward):
    name, low, high = "shouts", 0.0, 1.0

    def score(self, completion, sample):
        return Score(float(completion.isupper()), correct=completion.isupper(), formatted=True)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path


def test_a_file_registers_rewards_once(folder):
    plugins.load(["mine.py"])
    plugins.load([str(folder / "mine.py")])  # a second time would find the name taken
    assert rewards.get("shouts").name == "shouts"


def test_a_module_goes_by_its_name(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    (folder / "shouting_rewards.py").write_text(CODE.replace("shouts", "shouts-too"))
    plugins.load(["shouting_rewards"])
    assert "shouts-too" in rewards.names()


def test_what_cannot_be_imported_says_why(folder):
    with pytest.raises(ConfigError, match=r"plugin 'gone\.py': no such file"):
        plugins.load(["gone.py"])
    with pytest.raises(ConfigError, match="plugin 'no_such_module' cannot be imported: ModuleNotFoundError"):
        plugins.load(["no_such_module"])
    (folder / "broken.py").write_text("1 / 0")
    for _ in range(2):  # the second time too
        with pytest.raises(ConfigError, match=r"plugin 'broken\.py' cannot be imported: ZeroDivisionError"):
            plugins.load(["broken.py"])


def test_the_command_line_takes_one(folder):
    write_picture(folder / "a.png")
    row = {"question": "?", "sources": {"rgb": "a.png"}, "truth": "yes", "reward": "shouts"}
    (folder / "rows.jsonl").write_text(json.dumps(row))
    run = CliRunner().invoke(cli.app, ["data", "check", "jsonl:rows.jsonl"])
    assert run.exit_code == 1 and "no reward is called 'shouts'" in run.stdout
    assert CliRunner().invoke(cli.app, ["data", "check", "jsonl:rows.jsonl", "--plugin", "mine.py"]).exit_code == 0


def test_a_recipe_names_its_plugins():
    parsed = recipes.load("tiny/mars", ["plugins=[mine.py]"])
    assert parsed.plugins == ["mine.py"]
    assert "plugins:\n- mine.py" in recipes.dump(parsed)

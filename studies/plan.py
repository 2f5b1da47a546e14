"""A study's plan: which recipes are run with which settings and seeds, what is measured, and what is compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vantage import recipes, yaml12
from vantage.errors import ConfigError
from vantage.recipes import Recipe

START = "start"
"""The arm that is not trained: the model from which the others start."""
RESULT = "result.json"
"""What a finished run leaves in its folder."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Arm(_Section):
    """One of the things that are compared."""

    recipe: str
    """A shipped recipe or a file."""
    set: dict[str, Any] = {}
    """Its settings, by their paths."""


class Task(_Section):
    """One run."""

    suite: str
    arm: str
    seed: int | None
    """``None`` where nothing is trained."""

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.suite}-{self.arm}" + ("" if self.seed is None else f"-{self.seed}")


class Plan(_Section):
    """What a plan file holds. Settings of an arm win over those of its suite, and these over those of every run."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    seeds: list[int] = Field(min_length=1)
    """Every arm runs with each, on the seed of the run and, where there are guests, that of their draws."""
    reference: str
    """The arm whose final accuracy the others are to reach."""
    every: dict[str, Any] = {}
    """Settings of every run."""
    suites: dict[str, dict[str, Any]]
    """Settings of each suite; every arm runs in each."""
    arms: dict[str, Arm]
    curve: int = Field(default=256, ge=1)
    """Checkpoints answer so many of the test questions, the first ones."""
    primary: str = "accuracy"
    """The figure that decides."""
    compare: list[tuple[str, str]]
    """Pairs of arms, the difference being the first minus the second: the family of tests."""
    also: list[tuple[str, str]] = []
    """Pairs that are shown beside them and not tested."""
    report: list[str] = ["accuracy"]
    """Figures of the tables, see ``figures.py``."""

    @model_validator(mode="after")
    def _whole(self) -> Plan:
        if START in self.arms:
            raise ValueError(f"an arm is called {START!r}, which is the model before training")
        pairs = [*self.compare, *self.also]
        named = {self.reference, *(arm for pair in pairs for arm in pair)}
        if unknown := sorted(named - set(self.arms)):
            raise ValueError(f"no arm is called {', '.join(unknown)}; there are {', '.join(self.arms)}")
        for what, values in (("seeds", self.seeds), ("compare, also", pairs), ("report", self.report)):
            if len(set(values)) != len(values):
                raise ValueError(f"{what}: something is named twice in {values}")
        names = [task.name for task in self.tasks()]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two runs would have one folder: {', '.join(sorted(twice))}")
        return self

    def tasks(self) -> list[Task]:
        """All runs: seed by seed, so that what is there of an unfinished study is balanced."""
        starts = [Task(suite=suite, arm=START, seed=None) for suite in self.suites]
        return starts + [
            Task(suite=suite, arm=arm, seed=seed) for seed in self.seeds for suite in self.suites for arm in self.arms
        ]

    def recipe(self, task: Task) -> Recipe:
        """The recipe of a run; for the model before training that of the reference.

        Raises:
            ConfigError: a setting that is unknown or wrong.
        """
        arm = self.arms[self.reference if task.seed is None else task.arm]
        settings = self._settings(task)
        if recipes.load(arm.recipe).guests is not None:
            settings["guests.seed"] = settings["seed"]
        return recipes.load(arm.recipe, [f"{key}={json.dumps(value)}" for key, value in settings.items()])

    def _settings(self, task: Task) -> dict[str, Any]:
        """What the plan sets over the arm's recipe."""
        arm = self.arms[self.reference if task.seed is None else task.arm]
        return {**self.every, **self.suites[task.suite], **arm.set, "seed": task.seed or 0}

    def digest(self, task: Task) -> str:
        """Of all that the plan says of a run, so that results of another plan are told from those of this one.

        What the plan leaves to the library is that of the commit that a result names.
        """
        arm = self.arms[self.reference if task.seed is None else task.arm]
        told = {"recipe": arm.recipe, "settings": self._settings(task), "curve": self.curve}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def load(path: str | Path) -> Plan:
    """Read a plan file.

    Raises:
        ConfigError: no such file, no YAML, or a plan that cannot work.
    """
    try:
        content = yaml12.read(Path(path).read_text(encoding="utf-8"))
        if not isinstance(content, Mapping):
            raise ConfigError(f"{path} must hold a mapping, got {type(content).__name__}")
        return Plan.model_validate(content)
    except OSError as error:
        raise ConfigError(f"{path}: no plan can be read there ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{path}: {problems}") from None

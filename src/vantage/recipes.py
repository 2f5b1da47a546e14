"""Recipes: one YAML file an experiment, validated before anything is loaded.

A recipe names the model, the method, the data, how a sample becomes a prompt, and TRL's own settings. An unknown key, a
value of the wrong type or a pair that cannot work is an error that names the key, the value and what would be right.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator, model_validator

from vantage import yaml12
from vantage.captions.settings import ReasonerSettings
from vantage.datasets import DataSpec, names
from vantage.errors import ConfigError
from vantage.guests.settings import GuestsSettings, as_spelt
from vantage.methods import AnyMethod
from vantage.samples import PromptStyle


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Model(_Section):
    """The model that is trained."""

    path: str
    """A folder, a name on the Hugging Face hub, or ``tiny`` for the model that Vantage ships."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    """Precision of the weights: bfloat16 loses steps of 1e-6. The trainer's ``bf16`` computes in it all the same."""
    attention: str | None = None
    """Attention implementation of transformers, such as ``sdpa`` or ``flash_attention_2``."""
    lora: dict[str, Any] | None = None
    """Settings of ``peft.LoraConfig``; null trains all weights."""
    processor: dict[str, Any] = {}
    """Settings of the processor, such as ``max_pixels``."""
    trust_remote_code: bool = False
    """Run code that comes with the model."""

    @field_validator("path")
    @classmethod
    def _spelt(cls, value: str) -> str:
        return as_spelt(value)


class Data(_Section):
    """What it is trained and tested on."""

    train: DataSpec
    """Training samples: ``name[:path][?key=value&...]`` or the same as a mapping."""
    test: DataSpec | None = None
    """Samples on which it is measured before and after; null measures nothing."""
    decode: bool | None = None
    """Decode every picture before training starts, not only its header; by default up to a thousand rows of them."""

    @field_validator("train", "test", mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        spec = DataSpec.parse(value) if isinstance(value, str) else value
        if isinstance(spec, dict) and "name" not in spec:
            raise ValueError(f"a data set needs a name, one of {', '.join(names())}")
        name = spec.name if isinstance(spec, DataSpec) else spec.get("name") if isinstance(spec, dict) else None
        if isinstance(name, str) and name not in names():
            raise ValueError(f"no data set is called {name!r}; {_nearest(name, names())}")
        return spec

    @field_serializer("train", "test")
    def _as_text(self, spec: DataSpec | None) -> object:
        """The line that a recipe would write, so that what a run writes down can be run again."""
        if spec is None:
            return None
        try:
            if DataSpec.parse(str(spec)) == spec:
                return str(spec)
        except ConfigError:
            pass  # a path with a character that the line gives another meaning
        return spec.model_dump(mode="json", exclude_defaults=True)


class Prompt(_Section):
    """How a sample becomes chat messages."""

    system: str = ""
    """System message; none where empty."""
    label_sources: bool = False
    """Write each source's name before its picture."""
    instruction: str = ""
    """Text after the question, for example how the answer must be laid out."""
    mono: Literal["fill", "drop"] = "fill"
    """A single source is shown in every slot (the MARS paper's way), or the other slots are dropped."""

    def style(self) -> PromptStyle:
        """As ``vantage.samples`` takes it."""
        return PromptStyle(self.system, self.label_sources, self.instruction)


class Evaluation(_Section):
    """How it is measured before and after training."""

    before: bool = True
    """Measure before training."""
    after: bool = True
    """Measure after training."""
    batch_size: int = Field(default=64, ge=1)
    """Prompts generated at once."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """Longest answer; the trainer's ``max_completion_length`` by default."""
    k: int = Field(default=0, ge=0)
    """Draw so many answers to each question too, for pass@k and majorities; 0 draws none."""
    questions: int | None = Field(default=None, ge=1)
    """Draw answers to so many of the test samples only, the first ones."""
    temperature: float = Field(default=1.0, gt=0)
    """Of these draws."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Probability of the likeliest tokens that they are drawn from."""
    top_k: int = Field(default=0, ge=0)
    """How many of the likeliest tokens they are drawn from; 0 is all."""
    seed: int = Field(default=0, ge=0)
    """Of these draws; apart from the run's, so that runs of other seeds are measured by the same chance."""


class Recipe(_Section):
    """An experiment."""

    engine: Literal["trl"] = "trl"
    """What trains."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of torch; null leaves its own choice. A model of a million weights is fastest with one."""
    plugins: list[str] = []
    """Python files or modules that are imported first, for example with rewards of one's own."""
    model: Model
    method: AnyMethod
    """A method of ``vantage.methods`` with its settings."""
    data: Data
    prompt: Prompt = Prompt()
    reasoner: ReasonerSettings | None = None
    """Scores what the policy writes by the answers that this model gives from it (RACRO)."""
    guests: GuestsSettings | None = None
    """Models beside the policy, whose answers join every group (Vision-EKIPL)."""
    evaluation: Evaluation = Evaluation()
    sharing: Literal["auto", "off", "portable", "fast"] = "auto"
    """Whether a prompt is computed once for all rows of its group: auto where that is exact, or a path by name."""
    trainer: dict[str, Any] = {}
    """Settings of ``trl.GRPOConfig``."""
    environment: dict[str, Any] | None = None
    """Written by a run: versions of what it ran with. Ignored when read."""

    @model_validator(mode="after")
    def _captions(self) -> Recipe:
        if self.reasoner is not None and self.evaluation.k:
            raise ValueError(
                f"evaluation.k: {self.evaluation.k} answers to a question are to be drawn, but with a reasoner the "
                "model writes captions, which no verifier reads; set it to 0"
            )
        if self.reasoner is not None and (self.prompt.system or self.prompt.instruction):
            raise ValueError(
                "prompt.system and prompt.instruction: with a reasoner the policy is told reasoner.prompts.extractor "
                "and reasoner.prompts.caption; set those"
            )
        return self

    def style(self) -> PromptStyle:
        """How a sample becomes what the policy is asked."""
        if self.reasoner is None:
            return self.prompt.style()
        return self.reasoner.prompts.style(label_sources=self.prompt.label_sources)

    @field_validator("trainer")
    @classmethod
    def _known(cls, value: dict[str, Any]) -> dict[str, Any]:
        from vantage.engines.trl.config import check_keys

        return check_keys(value)


def load(path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe file and apply overrides.

    Args:
        path: a YAML file, or the name of a recipe that Vantage ships, such as ``tiny/mars``.
        overrides: ``key.path=value``, the value read as YAML.

    Raises:
        ConfigError: no such file, no YAML, or settings that are unknown or wrong; names every offending key.
    """
    file = find(path)
    try:
        content = yaml12.read(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not YAML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} must hold a mapping of settings, got {type(content).__name__}")
    for override in overrides:
        _override(content, override)
    return parse(content, str(path))


def parse(content: Mapping[str, Any], name: str = "recipe") -> Recipe:
    """Validate settings.

    Raises:
        ConfigError: names every offending key, its value, and what would be right.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(f"  {_explain(problem)}" for problem in error.errors())
        raise ConfigError(f"{name}:\n{problems}") from None


def shipped() -> Path:
    """The folder of recipes that comes with Vantage."""
    installed = Path(__file__).parent / "_recipes"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "recipes"


def find(path: str | Path) -> Path:
    """The file of that path, or the shipped recipe of that name.

    Raises:
        ConfigError: neither exists; lists the shipped ones.
    """
    file = Path(path)
    if file.is_file():
        return file
    name = str(path).removeprefix("recipes/").removesuffix(".yaml")
    ours = shipped() / f"{name}.yaml"
    if ours.is_file():
        return ours
    known = sorted(str(p.relative_to(shipped()).with_suffix("")) for p in shipped().rglob("*.yaml"))
    close = difflib.get_close_matches(name, known, n=3)
    ours_are = f"ours; did you mean {' or '.join(map(repr, close))}?" if close else ", ".join(known)
    raise ConfigError(f"no recipe {str(path)!r}: neither a file nor one of {ours_are}")


def dump(recipe: Recipe) -> str:
    """YAML of the recipe with every default written out and the versions that it runs with; reads back as itself."""
    content = recipe.model_dump(mode="json")
    content["environment"] = environment()
    return yaml12.write(content)


def environment() -> dict[str, str]:
    """Versions of what a run depends on."""
    packages = ("vantage-rl", "torch", "transformers", "trl", "accelerate", "peft", "datasets", "tokenizers", "numpy")
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return {"python": platform.python_version(), "platform": platform.platform(), **found}


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Settings in which two recipes differ, as ``key: old, now new``."""

    def told(value: object) -> object:
        """A value whose settings that say nothing are left out."""
        if isinstance(value, list):
            return [told(one) for one in value]
        return {k: told(v) for k, v in value.items() if v not in (None, {}, [])} if isinstance(value, dict) else value

    def numbered(value: object) -> object:
        """A list of settings, such as that of guests, as one setting a place."""
        settings = isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
        return dict(enumerate(value)) if settings and isinstance(value, list) else value

    def differ(before: object, after: object, key: str) -> Iterator[str]:
        before, after = numbered(before), numbered(after)
        if isinstance(before, dict) and isinstance(after, dict):
            for part in dict.fromkeys([*before, *after]):
                yield from differ(before.get(part, "unset"), after.get(part, "unset"), f"{key}.{part}".strip("."))
        elif before != after:
            yield f"{key}: {told(before)}, now {told(after)}"

    before, after = (recipe.model_dump(mode="json", exclude={"environment"}) for recipe in (old, new))
    return list(differ(before, after, ""))


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set takes key=value, got {override!r}")
    try:
        value = yaml12.read(text)
    except yaml.YAMLError as error:
        reason = getattr(error, "problem", None) or error
        raise ConfigError(f"--set {key}: {text!r} is not a YAML value: {reason}") from error
    *parents, last = key.split(".")
    place: Any = content
    for depth, parent in enumerate(parents, 1):
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            above = ".".join(parents[:depth])
            raise ConfigError(f"--set {key}: {above} is {place!r}, which has no settings inside; set {above} whole")
    place[last] = value


_EXPECTED = {
    "model_type": "a mapping of settings",
    "model_attributes_type": "a mapping such as {name: grpo}",
    "dict_type": "a mapping of settings",
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "too_short": "not empty",
}


def _explain(problem: Any) -> str:
    """One line of a validation error for people."""
    where = ".".join(str(part) for part in problem["loc"] if not _is_tag(part)) or "recipe"
    value, kind, context = problem.get("input"), problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        hint = _nearest(str(problem["loc"][-1]), _siblings(problem["loc"]))
        return f"{where}: no such key (its value is {value!r}); {hint}"
    if kind == "missing":
        return f"{where}: missing"
    if kind == "value_error":
        message = problem["msg"].removeprefix("Value error, ")
        # What is said of a setting of the trainer begins with that setting.
        return f"{where}.{message}" if where == "trainer" else f"{where}: {message}"
    if kind == "union_tag_not_found":
        return f"{where}: a method needs a name, one of {', '.join(_methods())}"
    if kind == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        if context["tag"] in _methods():
            return f"{where}.name: {context['tag']!r} cannot stand under another method; {', '.join(tags)} can"
        return f"{where}.name: no method is called {context['tag']!r}; {_nearest(str(context['tag']), tags)}"
    if kind == "literal_error":
        return f"{where}: must be {context['expected']}, got {value!r}"
    if kind in _EXPECTED:
        return f"{where}: must be {_EXPECTED[kind]}, got {value!r}"
    message = problem["msg"].replace("Input should be", "must be")
    return f"{where}: {message}, got {value!r}"


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"


def _methods() -> dict[str, Any]:
    from vantage.methods import METHODS

    return {method.model_fields["name"].default: method for method in METHODS}


def _is_tag(part: object) -> bool:
    """Names of union members that pydantic puts into a path, which no recipe writes."""
    return part in _methods() or part in ("str", "DataSpec")


def _siblings(location: tuple[Any, ...]) -> list[str]:
    """Known keys beside an unknown one."""
    models: list[Any] = [Recipe]
    methods = _methods()
    for part in location[:-1]:
        model = models[-1]
        if part in methods:
            models.append(methods[part])
        elif part in (fields := _fields(model)):
            annotation = fields[part].annotation
            options = [annotation, *getattr(annotation, "__args__", ())]
            found = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
            if found:
                models.append(found[0])
    return list(_fields(models[-1]))


def _fields(model: Any) -> dict[str, Any]:
    """Fields of a section, by the names that recipes write."""
    return {field.alias or name: field for name, field in getattr(model, "model_fields", {}).items()}

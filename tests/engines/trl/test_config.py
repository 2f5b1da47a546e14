import dataclasses
import warnings

import pytest
from trl import GRPOConfig

from vantage.engines.trl.config import check_keys, grpo_config
from vantage.errors import ConfigError

CPU = {"bf16": False, "use_cpu": True}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("learning_rate", "1e-6", 1e-6),
        ("max_steps", "60", 60),
        ("beta", 0, 0),
        ("bf16", "false", False),
        ("save_steps", 20, 20),
        ("loss_type", "dapo", "dapo"),
        ("report_to", ["tensorboard"], ["tensorboard"]),
        ("generation_kwargs", {"top_k": 5}, {"top_k": 5}),
        ("lr_scheduler_type", "cosine", "cosine"),
        ("epsilon_high", None, None),
    ],
)
def test_values_get_the_type_that_trl_declares_and_never_checks(key, value, expected):
    found = check_keys({key: value})[key]
    assert found == expected and isinstance(found, type(expected))


def test_the_callers_settings_are_left_alone():
    values = {"max_steps": "3"}
    assert check_keys(values) == {"max_steps": 3}
    assert values == {"max_steps": "3"}


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("learning_rat", "learning_rate"), ("num_generation", "num_generations"), ("maxsteps", "max_steps")],
)
def test_an_unknown_key_suggests_a_known_one(key, nearest):
    with pytest.raises(ValueError, match=rf"^{key}: GRPOConfig has no such setting; did you mean .*'{nearest}'"):
        check_keys({key: 1})


def test_a_key_like_nothing_known_suggests_nothing():
    with pytest.raises(ValueError, match=r"no such setting$"):
        check_keys({"zzzzqqq": 1})


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("max_steps", 1.5, "int"),
        ("beta", "low", "float"),
        ("beta", None, "float"),
        ("bf16", "perhaps", "bool or null"),
        ("loss_type", 3, "str"),
        ("generation_kwargs", [1], "dict or str or null"),
    ],
)
def test_a_wrong_type_names_key_value_and_type(key, value, expected):
    with pytest.raises(ValueError, match=f"^{key}: must be {expected}, got {value!r}$".replace("[", r"\[")):
        check_keys({key: value})


@pytest.mark.parametrize("key", ["output_dir", "seed", "data_seed", "model_init_kwargs", "resume_from_checkpoint"])
def test_what_belongs_elsewhere_is_refused_and_exists(key):
    """If TRL renames one of them, the refusal must follow."""
    assert key in {field.name for field in dataclasses.fields(GRPOConfig)}
    with pytest.raises(ValueError, match=f"^{key}: not set here; "):
        check_keys({key: 1})


def test_a_runs_defaults_and_seed(tmp_path):
    args = grpo_config(CPU, tmp_path, 7)
    assert (args.output_dir, args.seed, args.data_seed) == (str(tmp_path), 7, 7)
    assert args.report_to == [] and args.logging_steps == 1
    assert args.save_total_limit == 2
    assert args.disable_tqdm and not args.remove_unused_columns


def test_a_recipe_overrides_a_runs_defaults(tmp_path):
    args = grpo_config({**CPU, "logging_steps": 5, "save_strategy": "no"}, tmp_path, 0)
    assert (args.logging_steps, args.save_strategy.value) == (5, "no")


def test_what_trl_refuses_is_said_with_its_reason(tmp_path):
    with pytest.raises(ConfigError, match=r"^trainer: .*at least 2 generations"):
        grpo_config({**CPU, "num_generations": 1}, tmp_path, 0)
    with pytest.raises(ConfigError, match=r"^trainer: .*sometimes"):
        grpo_config({**CPU, "save_strategy": "sometimes"}, tmp_path, 0)


def test_a_warning_that_no_recipe_can_act_on_is_not_shown(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (True, False):
            assert grpo_config({**CPU, "gradient_checkpointing": value}, tmp_path, 0).gradient_checkpointing is value
        grpo_config(CPU, tmp_path, 0)

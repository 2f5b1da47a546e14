"""Generation settings of transformers, read for shared rollouts."""

import pytest
from transformers import GenerationConfig

from vantage import sharing
from vantage.errors import ConfigError


def test_what_is_left_open_is_the_models_own():
    config = GenerationConfig(max_new_tokens=7, do_sample=True, temperature=0.5, suppress_tokens=[9])
    own = GenerationConfig(top_k=3, temperature=2.0, eos_token_id=[4, 5], cache_implementation="hybrid")
    found = sharing.wanted(config, own)
    assert found.sampling == sharing.Sampling(temperature=0.5, top_k=3, suppressed=(9,))
    assert (found.greedy, found.max_new_tokens, found.ends) == (False, 7, (4, 5))


def test_a_neutral_setting_is_no_setting():
    config = GenerationConfig(max_new_tokens=2, repetition_penalty=1.0, num_beams=1, cache_implementation="dynamic")
    assert sharing.wanted(config).greedy


@pytest.mark.parametrize(
    "setting",
    [
        {"repetition_penalty": 1.05}, {"num_beams": 3}, {"min_new_tokens": 2}, {"stop_strings": ["."]},
        {"typical_p": 0.9}, {"no_repeat_ngram_size": 2}, {"cache_implementation": "static"}, {"max_time": 1.0},
    ],
    ids=str,
)  # fmt: skip
def test_what_shared_rollouts_do_not_have_is_refused(setting):
    (name,) = setting
    with pytest.raises(ConfigError, match=f"have no {name} = "):
        sharing.wanted(GenerationConfig(max_new_tokens=4, **setting))
    with pytest.raises(ConfigError, match=f"have no {name} = "):
        sharing.wanted(GenerationConfig(max_new_tokens=4), GenerationConfig(**setting))


def test_a_length_is_needed():
    with pytest.raises(ConfigError, match="max_new_tokens"):
        sharing.wanted(GenerationConfig(max_length=50))

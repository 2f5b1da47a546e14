import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from vantage.methods import AnyMethod, Grpo, Mars, Racro, Rewards


def decide(method, fused, mono=None):
    parts = Rewards.of(torch.tensor(fused), None if mono is None else torch.tensor(mono))
    return method.decide(parts, seed=0)


def test_captions_are_judged_relative_to_their_group():
    """By hand: mean 1/4, std 1/2 (ddof 1) of one right caption among four."""
    found = decide(Racro(), [[1.0, 0.0, 0.0, 0.0]])
    expected = np.array([0.75, -0.25, -0.25, -0.25]) / (0.5 + 1e-4)
    np.testing.assert_allclose(found.advantages[0].numpy(), expected, rtol=1e-6)
    assert found.trained.all()


def test_a_caption_whose_reasoner_could_not_be_asked_is_in_no_statistic():
    found = decide(Racro(), [[1.0, float("nan"), 0.0, 0.0]])
    alone = decide(Grpo(), [[1.0, 0.0, 0.0]])
    torch.testing.assert_close(found.advantages[0, [0, 2, 3]], alone.advantages[0])
    assert found.advantages[0, 1] == 0


def test_a_caption_of_one_source_anchors_those_of_all():
    found = decide(Mars(base=Racro()), [[1.0, 1.0, 1.0, 1.0]], [[0.0, 1.0]])
    assert (found.advantages[0, :4] > 0).all()  # all right, and better than what a source alone gives
    assert not found.trained[0, 4:].any()


@pytest.mark.parametrize("given", [{"name": "racro"}, {"name": "mars", "base": {"name": "racro", "scale": "none"}}])
def test_recipes_name_it(given):
    adapter = TypeAdapter(AnyMethod)
    method = adapter.validate_python(given)
    assert isinstance(getattr(method, "base", method), Racro)
    assert adapter.validate_python(method.model_dump()) == method

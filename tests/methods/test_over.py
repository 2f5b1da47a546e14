import pytest
import torch

from vantage.methods import Dapo, Ekipl, Imitation, Mars, MarsTransfer

BASE = Dapo(epsilon_high=0.3, max_generation_batches=4, overlong_buffer=10, scale="none")


@pytest.mark.parametrize(
    ("over", "base"),
    [
        *[(over, BASE) for over in (Mars, MarsTransfer, Ekipl, Imitation)],
        *[(over, Mars(base=BASE)) for over in (Ekipl, Imitation)],
    ],
    ids=lambda value: getattr(value, "name", getattr(value, "__name__", None)),
)
def test_what_a_method_does_not_say_its_base_says(over, base):
    method, lengths = over(base=base), torch.tensor([[5, 15, 20]])
    assert (method.clip_high, method.generation_batches, method.token_level, method.scaling) == (0.3, 4, True, "none")
    assert torch.equal(method.length_penalty(lengths, 20), torch.tensor([[0.0, -0.5, -1.0]]))
    plain = over()
    assert (plain.clip_high, plain.generation_batches, plain.token_level, plain.scaling) == (None, 1, False, "group")
    assert plain.length_penalty(lengths, 20) is None


@pytest.mark.parametrize("over", [Ekipl, Imitation])
def test_anchors_speak_where_the_base_has_them(over):
    sources = ("rgb", "infrared")
    mars = Mars(anchors="sampled", sources=("infrared",))
    assert over(base=mars).speakers(sources) == mars.speakers(sources) != ()
    assert over().speakers(sources) == ()

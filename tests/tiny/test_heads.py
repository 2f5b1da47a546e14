"""Heads that ask about cells, against losses that are worked out by NumPy."""

import numpy as np
import pytest
import torch

from vantage import worlds
from vantage.errors import ConfigError
from vantage.tiny.architecture import build_model, build_processor
from vantage.tiny.heads import CellHeads
from vantage.tiny.lessons import IGNORED, LEVELS, MOST_SOURCES, Teacher, collate
from vantage.tiny.training import Curriculum, teach

WIDTH, KINDS = 8, 5


def entropy(layer: torch.nn.Linear, cells: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Cross-entropy of every cell; ``cells`` is (n, width), ``truth`` (n,)."""
    scores = cells @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    scores -= scores.max(1, keepdims=True)
    return np.log(np.exp(scores).sum(1)) - scores[np.arange(len(truth)), truth]


def test_losses_are_those_of_numpy():
    torch.manual_seed(0)
    dice = np.random.default_rng(0)
    cells = dice.normal(size=(3, 16, WIDTH)).astype(np.float32)
    kinds, levels = dice.integers(0, KINDS, (3, 16)), dice.integers(0, LEVELS, (3, 16))
    slots = np.array([0, 1, MOST_SOURCES - 1])
    plain, placed = CellHeads(WIDTH, KINDS), CellHeads(WIDTH, KINDS, places=0.5)
    flat = cells.reshape(-1, WIDTH)
    for heads in (plain, placed):
        weight = np.where(kinds.ravel() > 0, 1.0, 0.2)
        both = entropy(heads.kind, flat, kinds.ravel()) + entropy(heads.level, flat, levels.ravel())
        expected = (both * weight).sum() / weight.sum()
        given = torch.from_numpy(cells), torch.from_numpy(kinds), torch.from_numpy(levels)
        if heads is placed:
            expected += 0.5 * entropy(heads.place, flat, np.tile(np.arange(16), 3)).mean()
        np.testing.assert_allclose(heads(*given).item(), expected, rtol=1e-5)
        if heads is placed:
            expected += 0.5 * entropy(heads.slot, flat, slots.repeat(16)).mean()
        np.testing.assert_allclose(heads(*given, torch.from_numpy(slots)).item(), expected, rtol=1e-5)


def test_muon_moves_the_matrices_and_adamw_all_else(monkeypatch):
    moved = []
    real = torch.optim.Muon
    monkeypatch.setattr(torch.optim, "Muon", lambda params, *a, **k: real(moved.extend(params) or params, *a, **k))
    model = build_model()
    teach(model, build_processor(), Curriculum(steps=1, sight_steps=0, batch=2, fresh=2, pool=4, muon=0.01))
    matrices = {id(p) for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name}
    assert {id(p) for p in moved} == matrices
    assert len(moved) == 35


def test_a_pytorch_without_muon_is_told_so(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ConfigError, match=r"since 2\.9"):
        teach(build_model(), build_processor(), Curriculum(steps=1, muon=0.01))


def test_what_the_picture_before_shows_is_asked_of_later_ones():
    torch.manual_seed(1)
    dice = np.random.default_rng(1)
    heads = CellHeads(WIDTH, KINDS, recall=2.0)
    cells = dice.normal(size=(2, 16, WIDTH)).astype(np.float32)
    kinds, levels = dice.integers(0, 2, (2, 16)), np.zeros((2, 16), np.int64)
    earlier = np.stack([np.full(16, IGNORED), kinds[0]])
    given = torch.from_numpy(cells), torch.from_numpy(kinds), torch.from_numpy(levels)
    weight = np.where((kinds[0] > 0) | (kinds[1] > 0), 1.0, 0.2)
    asked = entropy(heads.earlier, cells[1], kinds[0])
    asked = asked + entropy(heads.differs, cells[1], (kinds[0] != kinds[1]).astype(int))
    found = heads(*given, earlier=torch.from_numpy(earlier)).item() - heads(*given).item()
    np.testing.assert_allclose(found, 2.0 * (asked * weight).sum() / weight.sum(), rtol=1e-5)
    alone = torch.full((2, 16), IGNORED)
    assert heads(*given, earlier=alone).item() == heads(*given).item(), "first pictures have none before"


def test_a_batch_knows_what_the_picture_before_showed():
    teacher = Teacher(build_processor(), ("transform",))
    lessons = [teacher.lesson(sample) for sample in worlds.get("transform").dataset(n=2)]
    batch = collate(lessons, [0, 2])  # both pictures, then the picture after in both slots
    assert (batch.earlier[[0, 2]] == IGNORED).all()
    assert torch.equal(batch.earlier[1], torch.from_numpy(lessons[0].kinds[0]))
    assert torch.equal(batch.earlier[3], torch.from_numpy(lessons[1].kinds[1]))

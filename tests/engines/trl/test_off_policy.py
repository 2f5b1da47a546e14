"""Figures of off-policy tokens, counted by hand, and losses under which their weight would mean something else."""

import math
from types import SimpleNamespace

import pytest
import torch
from trl import GRPOConfig

from vantage.engines.trl.off_policy import BEHAVIOUR, GUEST, ROWS, OffPolicy, reconcile
from vantage.errors import ConfigError
from vantage.methods.ratio import Ratio

LOG = [[math.log(x) for x in row] for row in ([0.5, 0.9, 1.0, 1.5], [0.5, 0.9, 1.0, 1.5], [0.5, 1.5, 9.0, 9.0])]
"""Of p / p_old, of three rows; the last one's second half is padding, its advantage 0."""


def noted(ratio=None, advantages=(1.0, -1.0, 0.0), speakers=(-1, -1, -1), guests=(), **trainer):
    """Figures of one loss over these rows, all of them off-policy."""
    found = {}
    told = SimpleNamespace(
        epsilon_low=0.2, epsilon_high=0.28, loss_type="grpo", importance_sampling_level="token", _note=found.update,
        accelerator=SimpleNamespace(gather=lambda sums: sums),
    )  # fmt: skip
    told.__dict__.update(trainer)
    inputs = {
        ROWS: torch.tensor([True] * 3),
        GUEST: torch.tensor(speakers),
        BEHAVIOUR: torch.zeros(3, 4),
        "advantages": torch.tensor(advantages),
        "completion_mask": torch.tensor([[1] * 4, [1] * 4, [1, 1, 0, 0]]),
        "old_per_token_logps": torch.zeros(3, 4),
    }
    off_policy = OffPolicy(told, ratio or Ratio(), guests)
    with off_policy.loss(inputs):
        off_policy.weigh(torch.tensor(LOG))
    return found


def test_a_token_is_clipped_where_the_stock_loss_clips_it():
    """Below the range where the advantage is negative, above it where it is positive: one of four each, of ten."""
    assert noted()["off_policy/clipped"] == pytest.approx(2 / 10)
    assert noted(advantages=(0.0, 0.0, 0.0))["off_policy/clipped"] == 0
    assert noted(advantages=(-1.0, -1.0, -1.0))["off_policy/clipped"] == pytest.approx(3 / 10)
    assert noted()["off_policy/weight"] == pytest.approx((2 * (0.5 + 0.9 + 1 + 1.5) + 2) / 10)


def test_each_guest_has_figures_of_its_own():
    """``a`` said the first row, ``b`` the last, ``c`` nothing; the second is an anchor's."""
    found = noted(speakers=(0, -1, 1), guests=("a", "b", "c"))
    assert found["guests/a/logp"] == pytest.approx(sum(LOG[0]) / 4)
    assert found["guests/a/weight"] == pytest.approx((0.5 + 0.9 + 1 + 1.5) / 4)
    assert found["guests/a/clipped"] == pytest.approx(1 / 4)
    assert found["guests/a/ess"] == pytest.approx(3.9**2 / (4 * (0.25 + 0.81 + 1 + 2.25)))
    assert found["guests/b/logp"] == pytest.approx(sum(LOG[2][:2]) / 2)
    assert found["guests/b/ess"] == pytest.approx(2**2 / (2 * (0.25 + 2.25)))
    assert not any(name.startswith("guests/c") for name in found)
    assert found["off_policy/logp"] == pytest.approx((2 * sum(LOG[0]) + sum(LOG[2][:2])) / 10)


def test_other_losses_clip_otherwise():
    # cispo cuts at epsilon_high itself, and counts that for positive advantages.
    assert noted(loss_type="cispo", epsilon_high=1.2)["off_policy/clipped"] == pytest.approx(1 / 10)
    assert noted(loss_type="sapo")["off_policy/clipped"] == 0


def test_with_one_ratio_a_sequence_all_of_its_tokens_have_it():
    """Geometric means: 0.906 and 0.906 of four tokens, 0.866 of two."""
    level = {"importance_sampling_level": "sequence"}
    means = [(0.5 * 0.9 * 1.5) ** 0.25] * 2 + [(0.5 * 1.5) ** 0.5]
    found = noted(**level)
    assert found["off_policy/weight"] == pytest.approx((8 * means[0] + 2 * means[2]) / 10)
    assert found["off_policy/clipped"] == 0
    assert noted(**level, epsilon_low=0.05)["off_policy/clipped"] == pytest.approx(4 / 10)


def test_a_truncated_token_is_counted_whatever_its_advantage():
    # p / q with q = 1: three tokens weigh 1.5, and in padding there is 9.
    found = noted(Ratio(kind="behaviour"))
    assert found["off_policy/clipped"] == 0 and found["off_policy/weight"] == pytest.approx(9.8 / 10)
    found = noted(Ratio(kind="behaviour", truncation=1.25))
    assert found["off_policy/clipped"] == pytest.approx(3 / 10)
    assert found["off_policy/weight"] == pytest.approx((9.8 - 3 * 0.25) / 10)


@pytest.mark.parametrize("kind", ["imitation", "shaped", "behaviour"])
def test_a_loss_that_cuts_a_ratio_of_1_is_refused(kind, tmp_path):
    settings = {"output_dir": str(tmp_path), "loss_type": "cispo", "bf16": False, "use_cpu": True}
    with pytest.raises(ConfigError, match=r"'cispo' cuts it to epsilon_high, 0\.2; set epsilon_high to 1 or more"):
        reconcile(Ratio(kind=kind), GRPOConfig(**settings))
    reconcile(Ratio(kind=kind), GRPOConfig(**settings, epsilon_high=5.0))
    reconcile(Ratio(), GRPOConfig(**settings))

"""The order of questions: TRL's, and the same in a process that begins later."""

import pytest
from trl.trainer.utils import RepeatSampler

from vantage.engines.trl.sampling import EpochSampler

SETTINGS = {"data_source": range(7), "mini_repeat_count": 2, "batch_size": 3, "repeat_count": 2, "seed": 5}


def test_epochs_come_in_the_stock_samplers_order():
    stock, state = RepeatSampler(**SETTINGS), {"epoch": 0.0}
    ours = EpochSampler(epoch=lambda: state["epoch"], **SETTINGS)
    seen = []
    for epoch in range(3):
        state["epoch"] = epoch + 0.0
        seen.append(list(ours))
        assert seen[-1] == list(stock)
    assert seen[0] != seen[1]


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.9995])
def test_a_process_that_begins_in_a_later_epoch_asks_its_questions(fraction):
    stock = RepeatSampler(**SETTINGS)
    orders = [list(stock) for _ in range(3)]
    assert list(EpochSampler(epoch=lambda: 2 + fraction, **SETTINGS)) == orders[2]


def test_without_shuffling_the_order_is_that_of_the_rows():
    sampler = EpochSampler(epoch=lambda: None, **{**SETTINGS, "shuffle": False, "repeat_count": 1})
    assert list(sampler) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]

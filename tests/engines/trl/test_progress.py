"""The line of a step."""

import pytest

from vantage.engines.trl.progress import describe


@pytest.mark.parametrize(
    ("logs", "told"),
    [
        ({}, "reward 0.50"),
        ({"accuracy": 0.25, "gain": -0.001}, "reward 0.50  right  25 %  gain of fusion +0.00"),
        ({"guests/kept": 0.14, "guests/missing": 0.0}, "reward 0.50  guests 14 % of kept"),
        ({"guests/kept": 0.14, "guests/missing": 0.031}, "reward 0.50  guests 14 % of kept, 3 % missing"),
        ({"guests/kept": 0.0, "guests/missing": 0.001}, "reward 0.50  guests 0 % of kept, 1 % missing"),
        ({"guests/kept": 0.0, "guests/missing": 1.0}, "reward 0.50  guests 0 % of kept, 100 % missing"),
        ({"guests/kept": None}, "reward 0.50"),
    ],
)
def test_a_step_in_words(logs, told):
    assert describe({"reward": 0.5, **logs}) == told

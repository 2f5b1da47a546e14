"""The benchmark of throughput in small."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "endpoint_throughput.py"
    spec = importlib.util.spec_from_file_location("endpoint_throughput", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_questions_are_under_way_together_and_no_more_than_allowed(benchmark):
    found = benchmark.measure(questions=64, concurrency=32, latency=0.3, rounds=2, cache=True)
    assert found["ideal_seconds"] == pytest.approx(0.6)
    # One after the other they would take 32 times the ideal; the width is for machines that are busy.
    assert 1.0 <= found["ratio_least"] < 1.6

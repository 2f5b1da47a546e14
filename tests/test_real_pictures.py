"""The whole path on real pictures: LLVIP pairs at full resolution through a tiny model of a real family's shape."""

import json

import pytest

from rows import shared
from tiny_qwen import build_tiny_qwen
from vantage import recipes, runs
from vantage.engines.trl.launch import train
from vantage.evaluation import Evaluation

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("family", "frame"), [("qwen2_5_vl", "resized"), ("qwen3_vl", "relative")])
def test_mars_trains_on_real_pairs_and_says_how_well_boxes_overlap(family, frame, tmp_path):
    model = build_tiny_qwen(tmp_path / "model", family=family)
    data = f"llvip:{shared('llvip')}?split=test&frame={frame}"
    recipe = recipes.parse(
        {
            "threads": 2,
            "model": {"path": str(model), "dtype": "float32"},
            "method": {"name": "mars"},
            "data": {"train": data, "test": f"{data}&n=1"},
            "evaluation": {"before": False, "max_new_tokens": 8},
            "trainer": {
                "max_steps": 2, "num_generations": 2, "per_device_train_batch_size": 2, "max_completion_length": 8,
                "bf16": False, "use_cpu": True, "gradient_checkpointing": False, "save_steps": 2,
            },
        }
    )  # fmt: skip
    run = runs.start("llvip", recipe, tmp_path / "runs")
    summary = train(recipe, run)
    assert summary["steps"] == 2
    result = Evaluation.load(run.evaluation("after"))
    assert result.miou is not None
    assert 0 <= result.miou < 0.5, "an untrained model cannot find people"
    assert set(result.sources) == {"rgb", "infrared"}
    groups = [json.loads(line) for line in run.rollouts.read_text().splitlines()]
    assert len(groups) == 2
    for group in groups:
        assert [m["origin"] for m in group["members"]] == ["fused", "fused", "mono:rgb", "mono:infrared"]
        assert all(path.endswith(".jpg") for path in group["pictures"].values())
        # Nothing was shrunk: two pictures of 1280x1024 at the family's own patch size.
        assert group["metadata"]["resized_size"] == [1288, 1036] if family == "qwen2_5_vl" else True
    assert run.curves.stat().st_size > 10_000
    assert (run.model / "model.safetensors").exists()

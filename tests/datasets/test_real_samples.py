"""Loaders and rewards on real excerpts: the truth, written back in any frame, earns what a perfect answer earns."""

import json
import math
from pathlib import Path

import pytest

from rows import fenced, shared, write_picture
from tiny_qwen import build_tiny_qwen
from vantage import datasets, rewards
from vantage.errors import DataError
from vantage.models import load_processor, with_resized_size
from vantage.rewards.frames import Frame, image_size


@pytest.fixture(scope="module")
def processors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qwen")
    return {f: load_processor(build_tiny_qwen(folder / f, f)) for f in ("qwen2_5_vl", "qwen3_vl")}


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize("frame", ["pixel", "resized", "relative", "relative:8"])
def test_the_truth_is_perfect_in_every_frame(processors, family, frame):
    samples = with_resized_size(datasets.load(f"llvip:{shared('llvip')}?split=test&frame={frame}"), processors[family])
    assert len(samples) == 12
    singles = 0
    for sample in samples:
        to = Frame.parse(frame)
        written = [to.from_pixels(box, image_size(sample), sample.metadata.get("resized_size")) for box in sample.truth]
        answer = fenced(json.dumps([{"bbox_2d": box, "label": "person"} for box in written]))
        score = rewards.call(sample.reward, answer, sample)
        n = len(sample.truth)
        assert score.reward == pytest.approx(1.75 if n == 1 else 0.75 + 1 + 0.3 * math.log(n))
        assert score.correct
        singles += n == 1
    assert singles == 5


def test_a_wrong_frame_does_not_pass_for_the_right_one():
    samples = datasets.load(f"llvip:{shared('llvip')}?split=test&frame=relative")
    answers = (fenced(json.dumps([{"bbox_2d": box} for box in sample.truth])) for sample in samples)
    scores = [rewards.call(s.reward, a, s) for s, a in zip(samples, answers, strict=True)]
    # 1024 rows are close to 1000, so boxes at the left still overlap; none is as good as in the right frame.
    assert all(score.parts["iou"] < 0.9 for score in scores)
    assert sum(score.correct for score in scores) < 6


def test_real_rows_pass_the_check(processors):
    samples = datasets.load(f"llvip:{shared('llvip')}?split=test&frame=resized")
    for family, tokens in {"qwen2_5_vl": 1702, "qwen3_vl": 1280}.items():
        found = datasets.check(
            with_resized_size(samples, processors[family]), sources=["rgb", "infrared"], processor=processors[family],
            window=4096, mono="fill", decode=True,
        )  # fmt: skip
        assert found.longest is not None
        assert 2 * tokens < found.longest < 2 * tokens + 400
    processor = processors["qwen2_5_vl"]
    with pytest.raises(DataError, match="12 problems in 12 rows"):
        datasets.check(with_resized_size(samples, processor), processor=processor, window=3000)


def test_pairs_without_boxes_cannot_be_trained_on():
    with pytest.raises(DataError, match=r"^10 problems in 10 rows:\n\S*010001\.jpg: this pair has no boxes"):
        datasets.load(f"llvip:{shared('llvip')}?split=train")
    with pytest.raises(DataError, match=r"^llvip split 'train': none of 10 pairs has boxes"):
        datasets.load(f"llvip:{shared('llvip')}?split=train&unlabelled=drop")


@pytest.mark.parametrize(
    ("file", "reward", "names"),
    [
        ("llvip_eval_first200", "mars-grounding", ["rgb", "infrared"]),
        ("spatialqa_eval", "mars-vqa", ["rgb", "depth"]),
        ("nuscenes_eval", "mars-vqa", [f"camera_{i}" for i in range(1, 7)]),
        ("OCR-VQA_eval", "mars-vqa", ["page_1", "page_2"]),
    ],
)
def test_every_question_file_loads_and_its_truth_is_right(tmp_path, file, reward, names):
    questions = shared("mars_questions") / f"{file}.json"
    # The pictures of these rows are not at hand; small ones of the same names stand in.
    small = write_picture(tmp_path / "small.png", (1280, 1024) if reward == "mars-grounding" else (8, 8)).read_bytes()
    for raw in json.loads(questions.read_text(encoding="utf-8")):
        for part in raw["content"]:
            if part["type"] == "image":
                path = tmp_path / Path(part["image"])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(small)
    samples = datasets.load(f"mars:{questions}?root={tmp_path}&frame=pixel")
    assert datasets.check(samples, sources=names).rows == len(samples) >= 73
    for sample in samples:
        assert list(sample.sources) == names
        assert sample.reward == reward
        if reward == "mars-grounding":
            answer = fenced(json.dumps([{"bbox_2d": box} for box in sample.truth]))
        else:
            answer = f"<think>so</think><answer>{sample.truth.split(' or ')[-1]}</answer>"
        score = rewards.call(reward, answer, sample)
        assert score.correct
        assert score.formatted

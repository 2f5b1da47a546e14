import re

import numpy as np
import pytest
from PIL import Image

from rows import shared, tagged, write_picture
from vantage import datasets, rewards
from vantage.errors import ConfigError, DataError


def write_frame(folder, name, depth_H_W, suffix="jpg"):
    height, width = depth_H_W.shape
    write_picture(folder / f"{name}.color.{suffix}", (width, height))
    Image.fromarray(depth_H_W.astype(np.uint16)).save(folder / f"{name}.depth.png")


def room(hole=0):
    """A near wall at the left and a far one at the right, with a broad hole in each and one along the edge."""
    depth_H_W = np.full((80, 100), 1000)
    depth_H_W[:, 50:] = 3000
    depth_H_W[20:60, 10:40] = hole
    depth_H_W[0:40, 70:90] = hole
    depth_H_W[:, 48:52] = hole
    return depth_H_W


def places(sample):
    """The points as the question states them."""
    return [tuple(map(float, found)) for found in re.findall(r"\((\d\.\d+), (\d\.\d+)\)", sample.question)]


def measured(depth_H_W, place):
    height, width = depth_H_W.shape
    return depth_H_W[int(place[1] * height), int(place[0] * width)]


@pytest.mark.parametrize("hole", [0, 65535])
def test_the_truth_is_what_the_depth_says_and_never_a_hole(tmp_path, hole):
    for i in range(12):
        write_frame(tmp_path, f"frame-{i:06}", room(hole))
    samples = datasets.load(f"rgbd-7scenes:{tmp_path}")
    assert len(samples) == 24
    answers = []
    for sample in samples:
        points = places(sample)
        depths = [measured(room(), place) for place in points]
        assert set(depths) <= {1000, 3000}
        assert list(sample.metadata["millimetres"].values()) == depths
        if sample.reward == "answer":
            assert sample.truth == ("A" if depths[0] < depths[1] else "B")
            assert depths[0] != depths[1]
            answers.append(sample.truth)
        else:
            assert sample.reward == "reason-rft-number"
            assert sample.truth == depths[0] / 1000
        assert rewards.call(sample.reward, tagged(str(sample.truth)), sample).reward == 1
        wrong = {"A": "B", "B": "A"}.get(sample.truth) or str(sample.truth * 1.5)
        assert rewards.call(sample.reward, tagged(wrong), sample).reward == 0
    assert 0 < answers.count("A") < len(answers)
    assert len({sample.question for sample in samples}) > 12
    again = datasets.load(f"rgbd-7scenes:{tmp_path}?seed=3")
    assert {s.id: s.question for s in again} == {s.id: s.question for s in samples}


def test_depth_is_shown_by_a_named_mapping(tmp_path):
    write_frame(tmp_path, "frame-000000", room(), suffix="png")
    (sample,) = datasets.load(f"rgbd-7scenes:{tmp_path}?tasks=distance")
    assert list(sample.sources) == ["rgb", "depth"]
    # Linear from 300 mm, 255, to 5,000 mm, 1; a hole is black.
    grey = round(1 + 254 * (5000 - 1000) / 4700)
    assert sample.picture("depth").getpixel((2, 2)) == (grey,) * 3
    assert sample.picture("depth").getpixel((20, 30)) == (0, 0, 0)
    (sample,) = datasets.load(f"rgbd-7scenes:{tmp_path}?tasks=distance&mapping=depth-channels")
    assert sample.picture("depth").getpixel((2, 2)) == (0, 31 * 8, 8 * 8)


def test_a_scene_has_sequences_and_splits(tmp_path):
    for name in ("seq-01", "seq-12"):
        (tmp_path / name).mkdir()
        write_frame(tmp_path / name, "frame-000007", room())
    (tmp_path / "TrainSplit.txt").write_text("sequence12\r\n")
    (tmp_path / "TestSplit.txt").write_text("sequence1\n")
    (train,) = datasets.load(f"rgbd-7scenes:{tmp_path}?tasks=nearer")
    assert train.id == f"rgbd-7scenes/{tmp_path.name}/seq-12/frame-000007/nearer"
    test = datasets.load(f"rgbd-7scenes:{tmp_path}?split=test")
    assert {s.source("rgb").ref for s in test} == {str(tmp_path / "seq-01" / "frame-000007.color.jpg")}
    with pytest.raises(ConfigError, match="split=val: no such split; there are train, test"):
        datasets.load(f"rgbd-7scenes:{tmp_path}?split=val")
    with pytest.raises(ConfigError, match=r"split=test, but there is no TrainSplit.txt or TestSplit.txt here"):
        datasets.load(f"rgbd-7scenes:{tmp_path / 'seq-01'}?split=test")
    for text in ("../../etc\n", "sequence1/../..\n", "seq-01\n"):
        (tmp_path / "TestSplit.txt").write_text(text)
        with pytest.raises(DataError, match=r"TestSplit.txt:1: a line names a sequence, such as sequence1, not"):
            datasets.load(f"rgbd-7scenes:{tmp_path}?split=test")


def test_what_cannot_be_asked_is_named(tmp_path):
    write_frame(tmp_path, "frame-000001", np.full((80, 100), 1500))
    with pytest.raises(
        DataError, match=r"^1 problem in 2 rows:\n\S*frame-000001.depth.png, nearer: the depth has no two steady places"
    ):
        datasets.load(f"rgbd-7scenes:{tmp_path}")
    write_frame(tmp_path, "frame-000001", np.zeros((80, 100)))
    with pytest.raises(DataError, match=r"frame-000001.depth.png, distance: the depth has no steady place"):
        datasets.load(f"rgbd-7scenes:{tmp_path}?tasks=distance")
    slope = np.tile(np.geomspace(100, 60000, 100), (80, 1))
    write_frame(tmp_path, "frame-000001", slope)
    with pytest.raises(DataError, match=r"frame-000001.depth.png, nearer: the depth has no two"):
        datasets.load(f"rgbd-7scenes:{tmp_path}?tasks=nearer")
    with pytest.raises(ConfigError, match="tasks=pose: no such tasks; there are nearer, distance"):
        datasets.load(f"rgbd-7scenes:{tmp_path}?tasks=pose")


def test_files_that_are_none_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no frames such as"):
        datasets.load(f"rgbd-7scenes:{tmp_path}")
    write_frame(tmp_path, "frame-000001", room())
    depth = tmp_path / "frame-000001.depth.png"
    content = depth.read_bytes()
    for broken, message in ((b"none", "not a readable picture"), (content[:80], "corrupt or cut short")):
        depth.write_bytes(broken)
        with pytest.raises(
            DataError, match=rf"frame-000001.depth.png, distance: \S*frame-000001.depth.png.* {message}"
        ):
            datasets.load(f"rgbd-7scenes:{tmp_path}?tasks=distance")
    write_picture(depth)
    with pytest.raises(DataError, match="has mode RGB; depth in millimetres has 16 bits"):
        datasets.load(f"rgbd-7scenes:{tmp_path}")
    (tmp_path / "frame-000001.color.jpg").unlink()
    with pytest.raises(DataError, match=r"this frame has no picture frame-000001.color.jpg or .png"):
        datasets.load(f"rgbd-7scenes:{tmp_path}")


def test_real_frames():
    root = shared("rgbd_7scenes")
    samples = datasets.load(f"rgbd-7scenes:{root}")
    assert len(samples) == 20
    assert datasets.check(samples, sources=["rgb", "depth"], decode=True).rows == 20
    for sample in samples:
        depth_H_W = np.asarray(Image.open(sample.source("depth").ref))
        depths = []
        for place in places(sample):
            x, y = int(place[0] * 640), int(place[1] * 480)
            around = depth_H_W[max(0, y - 32) : y + 33, max(0, x - 32) : x + 33]
            around = around[around > 0]
            assert 0 < depth_H_W[y, x] < 65535
            depths.append((around.min(), depth_H_W[y, x], around.max()))
        if sample.reward == "answer":
            near, far = sorted(depths)
            assert far[0] >= 1.1 * near[2]
            assert sample.truth == "AB"[depths.index(near)]
        else:
            assert sample.truth == pytest.approx(depths[0][1] / 1000, abs=0.0051)
            assert depths[0][2] <= 1.1 * depths[0][0]
        assert rewards.call(sample.reward, tagged(str(sample.truth)), sample).reward == 1


def test_half_a_frame_is_named(tmp_path):
    for i in range(3):
        write_frame(tmp_path, f"frame-{i:06}", room(), suffix="png" if i else "jpg")
    (tmp_path / "frame-000000.color.jpg").unlink()
    (tmp_path / "frame-000001.depth.png").unlink()
    with pytest.raises(DataError) as caught:
        datasets.load(f"rgbd-7scenes:{tmp_path}?tasks=distance")
    assert str(caught.value).startswith("2 problems in 3 rows:\n")
    assert "frame-000000.depth.png: this frame has no picture frame-000000.color.jpg or .png" in str(caught.value)
    assert "frame-000001.color.png: this frame has no depth frame-000001.depth.png" in str(caught.value)

import json

import pytest

from rows import tagged, write_picture
from vantage import datasets, rewards
from vantage.datasets import nuscenes
from vantage.errors import ConfigError, DataError

CHANNELS = ["CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT", "CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT"]
ORDER = ["front", "front_left", "front_right", "back", "back_left", "back_right"]


def ask(sample="s1", question="are there any bicycles?", answer="yes", template_type="exist", **extra):
    return {
        "split": "val", "sample_token": sample, "question": question, "answer": answer, "num_hop": 0,
        "template_type": template_type, **extra,
    }  # fmt: skip


def write_tables(root, tokens=("s1", "s2"), version="v1.0-mini"):
    folder = root / version
    folder.mkdir(parents=True)
    sensors = [{"token": f"k-{c}", "channel": c, "modality": "camera"} for c in [*CHANNELS, "LIDAR_TOP"]]
    calibrated = [
        {"token": f"c-{c}", "sensor_token": f"k-{c}", "translation": [1.7, 0.0, 1.5], "camera_intrinsic": [[1266.4]]}
        for c in [*CHANNELS, "LIDAR_TOP"]
    ]
    data = []
    for token in tokens:
        for channel in [*CHANNELS, "LIDAR_TOP"]:
            for key_frame in (False, True, False):
                kind = "samples" if key_frame else "sweeps"
                data.append(
                    {
                        "token": f"d-{len(data)}",
                        "sample_token": token,
                        "ego_pose_token": "e",
                        "calibrated_sensor_token": f"c-{channel}",
                        "timestamp": 1533151603512404,
                        "fileformat": "jpg",
                        "is_key_frame": key_frame,
                        "height": 900,
                        "width": 1600,
                        "filename": f"{kind}/{channel}/{token}__{channel}.jpg",
                        "prev": "",
                        "next": "",
                    }
                )
                if key_frame and channel in CHANNELS:
                    write_picture(root / data[-1]["filename"], (16, 9), (10 * CHANNELS.index(channel), 0, 0))
    for name, table in (("sensor", sensors), ("calibrated_sensor", calibrated), ("sample_data", data)):
        # nuScenes writes its tables in this layout.
        (folder / f"{name}.json").write_text(json.dumps(table, indent=0))
    return data


@pytest.fixture
def load(tmp_path):
    root = tmp_path / "nuscenes"

    def write(*questions, query="", tables=True):
        if tables and not root.exists():
            write_tables(root)
        file = tmp_path / "NuScenes_QA_val.json"
        file.write_text(json.dumps({"info": {}, "split": "val", "questions": list(questions)}))
        return datasets.load(f"nuscenes:{file}?root={root}{query}")

    return write


def test_a_question_is_joined_to_its_six_key_frames(load):
    yes, two = load(
        ask(), ask("s2", "how many trucks are there?", "2", "count", num_hop=1)
    )  # the answers are texts in the files
    assert (yes.id, yes.question, yes.truth, yes.reward) == (
        "nuscenes/val/0", "are there any bicycles?", "yes", "answer",
    )  # fmt: skip
    assert (two.id, two.truth, two.reward) == ("nuscenes/val/1", "2", "count")
    assert two.metadata == {"sample_token": "s2", "template_type": "count", "num_hop": 1}
    for sample, token in ((yes, "s1"), (two, "s2")):
        assert list(sample.sources) == ORDER
        for name, source in sample.sources.items():
            channel = f"CAM_{name.upper()}"
            assert source.ref.endswith(f"nuscenes/samples/{channel}/{token}__{channel}.jpg")
    assert datasets.check([yes, two], sources=ORDER, decode=True).rows == 2
    assert rewards.call(yes.reward, tagged("Yes"), yes).reward == 1
    assert rewards.call(two.reward, tagged("two"), two).reward == 1
    assert rewards.call(two.reward, tagged("3"), two).reward == 0


def test_a_number_as_answer(load):
    (sample,) = load(ask(answer=3, template_type="count"))
    assert sample.truth == "3"
    assert rewards.call(sample.reward, tagged("3"), sample).reward == 1


def test_templates_asked_for(load):
    questions = [ask(template_type=kind, answer="1") for kind in nuscenes.TASKS]
    kept = load(*questions, query="&tasks=status,count")
    assert [(s.id, s.metadata["template_type"]) for s in kept] == [
        ("nuscenes/val/1", "count"),
        ("nuscenes/val/3", "status"),
    ]
    with pytest.raises(ConfigError, match="tasks=counts: no such tasks; there are exist, count, object"):
        load(ask(), query="&tasks=counts")


def test_a_folder_has_splits(load, tmp_path):
    load(ask())
    (tmp_path / "NuScenes_QA_train.json").write_text(json.dumps({"questions": [ask("s2")]}))
    root = tmp_path / "nuscenes"
    (sample,) = datasets.load(f"nuscenes:{tmp_path}?root={root}")
    assert (sample.id, sample.metadata["sample_token"]) == ("nuscenes/train/0", "s2")
    with pytest.raises(ConfigError, match="split=test: no such split; there are train, val"):
        datasets.load(f"nuscenes:{tmp_path}?root={root}&split=test")
    with pytest.raises(ConfigError, match=r"NuScenes_QA_val.json: a file is one split"):
        datasets.load(f"nuscenes:{tmp_path / 'NuScenes_QA_val.json'}?root={root}&split=val")


def test_tables_of_several_versions_and_pieces(tmp_path, monkeypatch, load):
    write_tables(tmp_path / "nuscenes", ["s1"])
    write_tables(tmp_path / "nuscenes", ["s2"], "v1.0-trainval")
    whole = load(ask(), ask("s2"))
    for size in (1, 7, 400):
        monkeypatch.setattr(nuscenes, "_CHUNK", size)
        assert [s.sources for s in load(ask(), ask("s2"))] == [s.sources for s in whole]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ask("elsewhere"), "no sample 'elsewhere' in the tables of"),
        ({k: v for k, v in ask().items() if k != "answer"}, "key 'answer' is missing"),
        ({k: v for k, v in ask().items() if k != "sample_token"}, "key 'sample_token' is missing"),
        (ask(4), "key 'sample_token' is a text, not 4"),
        (ask(answer=None), "key 'answer' is a text, not None"),
        (ask(answer=True), "key 'answer' is a text, not True"),
        (ask(question=" "), "key 'question' is blank"),
        (ask(template_type=3), "key 'template_type' is a text, not 3"),
        (ask([]), "key 'sample_token' is a text"),
        (["what?"], "a row is an object, not list"),
    ],
)
def test_a_row_that_is_none_is_named_and_hides_no_other(load, row, message):
    with pytest.raises(DataError, match=rf"^1 problem in 2 rows:\n\S*NuScenes_QA_val.json, row 1: {message}"):
        load(ask(), row)


def test_a_picture_that_is_missing_or_elsewhere_is_named(load, tmp_path):
    data = write_tables(tmp_path / "nuscenes", ["s1"])
    table = tmp_path / "nuscenes" / "v1.0-mini" / "sample_data.json"
    table.write_text(json.dumps([d for d in data if "CAM_BACK/" not in d["filename"]]))
    with pytest.raises(DataError, match=r"row 0: no key frame of CAM_BACK of sample 's1' in the tables"):
        load(ask())
    table.write_text(json.dumps([d | {"filename": "../../" + d["filename"]} for d in data]))
    with pytest.raises(DataError, match=r"row 0: the path '\.\./\.\./samples/CAM_FRONT/\S* leaves its root"):
        load(ask())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{}]", "sample_data.json, entry 0: an entry has texts under sample_token, calibrated_sensor_token, filename"),
        ("[3]", "sample_data.json, entry 0: "),
        ('{"a": 1}', "sample_data.json: not a JSON list, or cut short, at '{\"a\": 1}'"),
        ('[{"token": ', "sample_data.json: not a JSON list, or cut short"),
        ("", "sample_data.json: not a JSON list"),
        ("[" * 100_000, "sample_data.json: not a JSON list"),
        ("[]]", "sample_data.json: not a JSON list"),
        (b"\xff", "sample_data.json: not a readable UTF-8 file"),
    ],
)
def test_a_table_that_is_none_is_named(load, tmp_path, text, message):
    write_tables(tmp_path / "nuscenes")
    table = tmp_path / "nuscenes" / "v1.0-mini" / "sample_data.json"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError) as caught:
        load(ask())
    assert message in str(caught.value)


def test_a_root_without_tables(load):
    with pytest.raises(ConfigError, match=r"no tables such as v1.0-trainval/sample_data.json; root=FOLDER names"):
        load(ask(), tables=False)

import json

import numpy as np
import pytest
from PIL import Image

from rows import shared, tagged, write_picture
from vantage import datasets, rewards
from vantage.errors import ConfigError, DataError


def write_pair(folder, name="existence/sa_1.jpg"):
    task, _, file = name.partition("/")
    write_picture(folder / name, (6, 4))
    depth = folder / f"{task}_d" / f"{file.partition('.')[0]}.png"
    depth.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((4, 6), 5000, np.uint16)).save(depth)


def bench(image="existence/sa_1.jpg", question="Is there a cup?", answer="Yes", **extra):
    return {"image": image, "question": question, "answer": answer, **extra}


def talk(*values, image=("open/1.jpg", "open_d/1.png"), **extra):
    speakers = ["human", "gpt"] * len(values)
    said = [{"from": speaker, "value": value} for speaker, value in zip(speakers, values, strict=False)]
    return {"id": "spatial_7", "image": list(image), "conversations": said, **extra}


@pytest.fixture
def load(tmp_path):
    def write(*questions, query="", name="existence.json"):
        (tmp_path / name).write_text(json.dumps(list(questions)))
        return datasets.load(f"spatialqa:{tmp_path / name}{query}")

    return write


def test_rows_of_spatialbench_find_their_depth(load, tmp_path):
    write_pair(tmp_path)
    write_pair(tmp_path, "existence/a.rgb.png")
    yes, no = load(bench(), bench(["existence/a.rgb.png"], answer="No", id="existence_3"))
    assert (yes.id, yes.question, yes.truth, yes.reward) == (
        "spatialqa/existence/0",
        "Is there a cup?",
        "Yes",
        "answer",
    )
    assert {name: source.image for name, source in yes.sources.items()} == {
        "rgb": tmp_path / "existence" / "sa_1.jpg",
        "depth": tmp_path / "existence_d" / "sa_1.png",
    }
    assert no.source("depth").ref.endswith("existence_d/a.png")
    assert yes.metadata == {"folder": "existence"}
    assert no.metadata == {"row": "existence_3", "folder": "existence"}
    assert datasets.check([yes, no], sources=["rgb", "depth"], decode=True).rows == 2
    assert rewards.call(yes.reward, tagged("yes"), yes).reward == 1
    assert rewards.call(no.reward, tagged("yes"), no).reward == 0


def test_depth_is_shown_as_spatialbot_shows_it_or_by_another_mapping(load, tmp_path):
    write_pair(tmp_path)
    # SpatialBot: (d // 1024) * 4, (d // 32) * 8 and (d % 32) * 8, each in eight bits.
    expected = tuple(value % 256 for value in (5000 // 1024 * 4, 5000 // 32 * 8, 5000 % 32 * 8))
    assert load(bench())[0].picture("depth").getpixel((1, 1)) == expected
    grey = round(1 + 254 * (10000 - 5000) / 9700)
    assert load(bench(), query="?mapping=depth")[0].picture("depth").getpixel((1, 1)) == (grey,) * 3


def test_each_question_of_a_conversation_is_a_row(load, tmp_path):
    write_pair(tmp_path, "open/1.jpg")
    first, second = load(
        talk("<image 1>\n<image 2>\nIs it near?", "Yes.", "What is darker in <image 1>?", "The cup"), name="qa.json"
    )
    assert (first.id, first.question, first.truth) == ("spatialqa/qa/0/0", "Is it near?", "Yes.")
    assert (second.id, second.question, second.truth) == ("spatialqa/qa/0/1", "What is darker in picture 1?", "The cup")
    assert second.metadata == {"row": "spatial_7", "turn": 1, "folder": "open"}
    assert list(first.sources) == ["rgb", "depth"]
    assert datasets.check([first, second], decode=True).rows == 2
    for sample in (first, second):
        assert rewards.call(sample.reward, tagged(sample.truth), sample).reward == 1


def test_pictures_of_one_kind_are_numbered_and_a_conversation_gets_no_depth_that_it_does_not_name(load):
    images = ["a/1.jpg", "a_d/1.png", "a/2.jpg", "a_d/2.png"]
    (sample,) = load(talk("What?", "A cup", image=images))
    assert list(sample.sources) == ["rgb_1", "depth_1", "rgb_2", "depth_2"]
    (sample,) = load(talk("What?", "A cup", image=["coco/1.jpg"]))
    assert list(sample.sources) == ["rgb"]


def test_sentences_and_rows_without_pictures_can_be_left_out(load):
    sentence = "It is a cup that stands on a table."
    questions = (talk("What?", sentence, "Where?", "There"), {k: v for k, v in talk("a", "b").items() if k != "image"})
    with pytest.raises(DataError) as caught:
        load(*questions, bench(answer=sentence))
    assert "3 problems in 4 rows" in str(caught.value)
    assert "existence.json, row 0, turn 0: the answer 'It is a cup that stands on a table.' has more" in str(
        caught.value
    )
    assert "existence.json, row 1, turn 0: key 'image' is missing" in str(caught.value)
    assert "existence.json, row 2: the answer" in str(caught.value)
    (kept,) = load(*questions, bench(answer=sentence), query="?unlabelled=drop")
    assert kept.truth == "There"
    with pytest.raises(DataError, match="row 0: key 'answer' is missing"):
        load({"image": "a/b.jpg", "question": "What?"}, query="?unlabelled=drop")


def test_the_folder_of_spatialbench(load, tmp_path):
    load(bench())
    load(bench("counting/1.jpg", "How many?", 3), name="counting.json")
    load(bench("reach/1.jpg"), name="reach.json")
    load(bench("other/1.jpg"), name="notes.json")
    samples = datasets.load(f"spatialqa:{tmp_path}")
    assert [s.id for s in samples] == [f"spatialqa/{task}/0" for task in ("existence", "counting", "reach")]
    counting = samples[1]
    assert (counting.truth, counting.reward) == ("3", "count")
    assert rewards.call(counting.reward, tagged("three"), counting).reward == 1
    assert [s.id for s in datasets.load(f"spatialqa:{tmp_path}?tasks=reach")] == ["spatialqa/reach/0"]
    with pytest.raises(ConfigError, match="tasks=size2: no such tasks; there are existence, counting, positional"):
        datasets.load(f"spatialqa:{tmp_path}?tasks=size2")
    with pytest.raises(DataError, match=r"size.json: no such file"):
        datasets.load(f"spatialqa:{tmp_path}?tasks=size")
    with pytest.raises(ConfigError, match=r"reach.json: a file has no tasks"):
        datasets.load(f"spatialqa:{tmp_path / 'reach.json'}?tasks=reach")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"none of existence.json, counting.json"):
        datasets.load(f"spatialqa:{tmp_path / 'empty'}")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "a/1.jpg", "answer": "Yes"}, "row 1: key 'question' is missing"),
        (bench(answer=None), "row 1: key 'answer' is a text, not None"),
        (bench(answer=True), "row 1: key 'answer' is a text, not True"),
        (bench(image=3), "row 1: key 'image' is a list, not 3"),
        (bench(image=[]), "row 1: key 'image' is a path or a list of them, not []"),
        (bench(image=[None]), "row 1: key 'image' is a path or a list of them, not [None]"),
        (bench(image="1.jpg"), "row 1: the depth of '1.jpg' would lie in the folder of its task"),
        (bench(image="../a/1.jpg"), "row 1: the path '../a/1.jpg' leaves its root"),
        (bench(objects=[{"a cup": [1, 2, 3, 4]}]), "row 1: a row of boxes ('objects'), whose form is not documented"),
        (talk("What?"), "row 1: a conversation goes human, gpt, human, gpt ..., not ['human']"),
        (talk(), "row 1: a conversation goes human, gpt"),
        (talk("What?", 3), "row 1: key 'value' is a text, not 3"),
        (talk("What?", "Yes", conversations="x"), "row 1: key 'conversations' is a list, not 'x'"),
        (talk("What?", "Yes", image=["/etc/passwd"]), "row 1, turn 0: the path '/etc/passwd' leaves its root"),
        ("What?", "row 1: a row is an object, not str"),
    ],
)
def test_a_row_that_is_none_is_named_and_hides_no_other(load, row, message):
    with pytest.raises(DataError) as caught:
        load(bench(), row)
    assert "1 problem in 2 rows" in str(caught.value)
    assert f"existence.json, {message}" in str(caught.value)


def test_real_pairs_are_found_by_the_rule(load):
    """MARS's question file names both pictures of SpatialBench's rows; without the depth, the rule finds the same."""
    rows = json.loads((shared("mars_questions") / "spatialqa_eval.json").read_text(encoding="utf-8"))
    pairs = []
    for row in rows:
        paths = [part["image"].removeprefix("data/images/SpatialQA/") for part in row["content"] if "image" in part]
        pairs.append((paths, row["content"][-1]["text"], row["ground_truth"]))
    samples = load(*(bench(paths[0], text, truth) for paths, text, truth in pairs))
    assert len(samples) == 80
    for sample, (paths, text, truth) in zip(samples, pairs, strict=True):
        assert list(sample.sources) == ["rgb", "depth"]
        assert [source.ref.split("/", source.ref.count("/") - 1)[-1] for source in sample.sources.values()] == paths
        assert (sample.question, sample.truth) == (text, truth)
        assert rewards.call(sample.reward, tagged(truth.lower()), sample).reward == 1


def test_a_defect_is_no_missing_label(load, caplog):
    long = bench(answer="It is a cup that stands on a table.")
    for bad in (bench(image=""), bench(image=[])):
        with pytest.raises(DataError, match=r"^1 problem in 2 rows:\n\S*existence\.json, row 1: "):
            load(bench(), bad, long, query="?unlabelled=drop")
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "left out 1 questions without a picture or an answer of at most 5 words"
    ] * 2

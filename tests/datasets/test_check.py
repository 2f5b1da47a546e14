from dataclasses import replace

import pytest
from PIL import Image

from rows import row, write_bomb, write_picture
from tiny_qwen import build_tiny_qwen
from vantage import datasets
from vantage.errors import ConfigError, DataError
from vantage.models import load_processor, prompt_length
from vantage.pictures import Source
from vantage.rewards import Reward, Score
from vantage.samples import PromptStyle, Sample


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    return load_processor(build_tiny_qwen(tmp_path_factory.mktemp("qwen")))


def shown(path, **changes):
    return replace(Sample("r1", "?", {"rgb": Source(path)}, "yes", "answer"), **changes)


def problems(samples, **options) -> str:
    with pytest.raises(DataError) as caught:
        datasets.check(samples, **options)
    return str(caught.value)


def test_rows_without_problems(processor):
    rows = [replace(row("yes"), id=f"r{i}") for i in range(3)]
    done = []
    found = datasets.check(rows, sources=["rgb"], processor=processor, window=200, progress=lambda *x: done.append(x))
    assert (found.rows, found.longest_row) == (3, "r0")
    assert found.longest == prompt_length(processor, PromptStyle().messages(rows[0]))
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_a_missing_picture(tmp_path):
    assert "row 'r1', source 'rgb'" in (text := problems([shown(tmp_path / "gone.png")]))
    assert "no such file" in text


def test_a_file_that_is_no_picture(tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    assert "not a readable picture" in problems([shown(tmp_path / "a.png")])


def test_a_picture_cut_short_is_found_by_decoding(tmp_path):
    path = tmp_path / "a.png"
    Image.effect_noise((200, 200), 90).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:20_000])
    rows = [row("yes"), shown(path, id="r2")]
    assert datasets.check(rows).rows == 2
    assert "row 'r2', source 'rgb'" in (text := problems(rows, decode=True))
    assert "corrupt or cut short" in text


def test_the_first_row_is_always_decoded(tmp_path):
    Image.new("I;16", (8, 8)).save(tmp_path / "d.png")
    assert "mode I;16 is not 8-bit" in problems([shown(tmp_path / "d.png")])


def test_a_bomb_is_refused_undecoded(tmp_path):
    path = write_bomb(tmp_path / "bomb.png")
    assert path.stat().st_size < 1000
    text = problems([shown(path)])
    assert "60000x60000 is more than" in text or "not a readable picture" in text


def test_a_source_that_is_absent():
    assert "row 'r1' has no source 'depth'; it has rgb, infrared" in problems([row("yes")], sources=["rgb", "depth"])


def test_a_truth_that_its_reward_cannot_read(tmp_path):
    assert "row 'r1': the truth is a non-empty list of boxes" in problems([row([], "mars-grounding", frame="pixel")])
    assert "row 'r1': no coordinate frame" in (text := problems([row([[1, 2, 3, 4]], "mars-grounding")]))
    assert "?frame=pixel" in text
    assert "row 'r1': no reward is called 'nope'; known:" in problems([row("yes", "nope")])


def test_rewards_of_ones_own():
    class Mine(Reward):
        name, low, high = "mine", 0, 1

        def score(self, completion, sample):
            return Score(0)

    assert datasets.check([row(None, "mine")], rewards={"mine": Mine()}).rows == 1


def test_two_rows_of_one_name():
    assert "another row has the same id" in problems([row("yes"), row("no")])


def test_a_prompt_too_long_names_row_length_and_window(processor, tmp_path):
    big = shown(write_picture(tmp_path / "big.png", (1280, 1024)))
    length = prompt_length(processor, PromptStyle().messages(big))
    assert datasets.check([big], processor=processor, window=length).longest == length
    text = problems([big], processor=processor, window=length - 1)
    assert f"row 'r1': its prompt takes {length} tokens, more than the window of {length - 1}" in text
    assert "never truncated" in text
    assert "100 are kept for the completion" in problems([big], processor=processor, window=length, completion=100)


def test_anchors_that_show_the_larger_source_twice_are_measured(processor, tmp_path):
    small, big = write_picture(tmp_path / "s.png", (56, 56)), write_picture(tmp_path / "b.png", (560, 560))
    sample = shown(small, sources={"rgb": Source(small), "infrared": Source(big)})
    fused = datasets.check([sample], processor=processor).longest
    assert fused is not None
    assert "for mono:infrared" in problems([sample], processor=processor, window=fused, mono="fill")
    assert datasets.check([sample], processor=processor, window=fused, mono="drop").rows == 1


def test_a_shape_that_the_processor_refuses(processor):
    assert "row 'r1': the processor refuses" in problems([row("yes", size=(3000, 10))], processor=processor)


def test_twenty_problems_are_spelled_out_and_the_rest_counted():
    text = problems([replace(row(None), id=f"r{i}") for i in range(30)])
    assert text.startswith("30 problems in 30 rows:\n")
    assert text.count("\nrow ") == 20
    assert text.endswith("... and 10 more")


def test_what_cannot_be_checked():
    with pytest.raises(ConfigError, match="no row"):
        datasets.check([])
    with pytest.raises(ConfigError, match="processor"):
        datasets.check([row("yes")], window=10)


@pytest.mark.parametrize("question", ["", " \n", None, 3])
def test_a_question_that_asks_nothing(question):
    assert "row 'r1': its question is a text that is not blank, not" in problems(
        [replace(row("yes"), question=question)]
    )


@pytest.mark.parametrize("question", ["<image>\nHow many?", "Is <image 2> darker?"])
def test_a_question_that_marks_a_picture(question):
    text = problems([replace(row("yes"), question=question)])
    assert "row 'r1': its question marks a picture" in text
    assert "would count as one picture more" in text


def test_a_question_that_a_processor_would_take_for_a_picture(processor):
    for token in ("<|image_pad|>", "<|video_pad|>"):
        rows = [replace(row("yes"), question=f"Is {token} a picture?")]
        assert f"its question holds {token!r}" in problems(rows, processor=processor)
        assert datasets.check(rows).rows == 1


def test_half_a_surrogate_is_a_problem_where_prompts_are_measured(processor):
    rows = [replace(row("yes"), question="How \ud83d many?"), replace(row("yes"), id="r2")]
    text = problems(rows, processor=processor)
    assert text.startswith("1 problem in 2 rows:\nrow 'r1': its question is no valid Unicode")
    assert datasets.check(rows).rows == 2

import pytest
from PIL import Image

from vantage.errors import DataError
from vantage.groups import FUSED, guest, mono, subset
from vantage.pictures import Source
from vantage.samples import PromptStyle, Sample, Slot, view

NAMES = ("rgb", "infrared", "depth", "left", "right", "rear")


def sample(count=2, **kwargs):
    sources = {name: Source(Image.new("RGB", (4, 3), (i * 40, 0, 0)), ref=name) for i, name in enumerate(NAMES[:count])}
    return Sample("r1", "How many?", sources, "3", "answer", **kwargs)


@pytest.mark.parametrize("count", range(1, 7))
def test_fused_shows_each_source_in_its_own_slot(count):
    assert view(sample(count)) == tuple(Slot(name, name) for name in NAMES[:count])
    assert view(sample(count), guest("gpt")) == view(sample(count), FUSED)


@pytest.mark.parametrize("count", range(1, 7))
def test_filling_keeps_every_label_and_shows_one_source(count):
    for name in NAMES[:count]:
        slots = view(sample(count), mono(name), "fill")
        assert [slot.label for slot in slots] == list(NAMES[:count])
        assert {slot.source for slot in slots} == {name}


@pytest.mark.parametrize("count", range(1, 7))
def test_dropping_keeps_one_slot(count):
    for name in NAMES[:count]:
        assert view(sample(count), mono(name), "drop") == (Slot(name, name),)


def test_some_sources_fill_the_slots_of_the_others_in_turn():
    shown = [(slot.label, slot.source) for slot in view(sample(4), subset(["infrared", "left"]))]
    assert shown == [("rgb", "infrared"), ("infrared", "infrared"), ("depth", "left"), ("left", "left")]
    assert view(sample(4), subset(["left", "infrared"]), "drop") == (
        Slot("infrared", "infrared"), Slot("left", "left"),
    )  # fmt: skip


@pytest.mark.parametrize("how", ["fill", "drop"])
@pytest.mark.parametrize("origin", [mono("radar"), subset(["rgb", "radar"])])
def test_a_source_that_the_row_lacks_is_named(how, origin):
    with pytest.raises(DataError, match=r"row 'r1' has no source 'radar'; it has rgb, infrared"):
        view(sample(), origin, how)


def test_a_sample_needs_named_sources():
    with pytest.raises(DataError, match="row 'r1': a sample needs at least one source"):
        Sample("r1", "?", {}, "3", "answer")
    for name in ("", "  ", None, 0):
        with pytest.raises(DataError, match="row 'r1': a source needs a name"):
            Sample("r1", "?", {name: "a.png"}, "3", "answer")


def texts(message):
    return [part["text"] for part in message["content"] if part["type"] == "text"]


def colours(message):
    return [part["image"].getpixel((0, 0))[0] for part in message["content"] if part["type"] == "image"]


def test_a_prompt_is_pictures_then_the_question():
    (user,) = PromptStyle().messages(sample(3))
    assert user["role"] == "user"
    assert [part["type"] for part in user["content"]] == ["image", "image", "image", "text"]
    assert colours(user) == [0, 40, 80]
    assert texts(user) == ["How many?"]


def test_a_prompt_may_carry_a_system_message_labels_and_an_instruction():
    system, user = PromptStyle(system="Be brief.", label_sources=True, instruction="Use tags.").messages(sample())
    assert system == {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    assert [part["type"] for part in user["content"]] == ["text", "image", "text", "image", "text"]
    assert texts(user) == ["rgb", "infrared", "How many?\nUse tags."]


def test_a_filled_prompt_differs_in_pictures_alone():
    style = PromptStyle(label_sources=True)
    (fused,), (single,) = style.messages(sample()), style.messages(sample(), mono("infrared"))
    assert texts(single) == texts(fused)
    assert (colours(fused), colours(single)) == ([0, 40], [40, 40])
    (dropped,) = style.messages(sample(), mono("infrared"), "drop")
    assert texts(dropped) == ["infrared", "How many?"]


def test_pictures_already_decoded_are_used():
    decoded = {name: Image.new("RGB", (1, 1), (7, 0, 0)) for name in ("rgb", "infrared")}
    (user,) = PromptStyle().messages(sample(), pictures=decoded)
    assert colours(user) == [7, 7]
    (partly,) = PromptStyle().messages(sample(), pictures={"rgb": decoded["rgb"]})
    assert colours(partly) == [7, 40]

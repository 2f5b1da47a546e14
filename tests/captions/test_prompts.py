import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from rows import row
from vantage.captions import Prompts
from vantage.captions.prompts import unmarked
from vantage.errors import ConfigError

MARKS = [
    "<image>", "<image_1>", "<image 2>", "<image3>", "<Image>", "</image>", "<img>", "<video>", "<image/>",
    "<image_soft_token>", "<IMG_CONTEXT>", "[IMG]", "[IMG_END]", "<start_of_image>",
    "<|image_pad|>", "<|vision_start|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>",
    "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<s>", "</s>",
    "<bos>", "<eos>", "<<SYS>>", "<</SYS>>", "[SYSTEM_PROMPT]", "[/INST]",
]  # fmt: skip


def asked(*args, **kwargs):
    (message,) = Prompts(**kwargs).messages(*args)
    assert message["role"] == "user"
    return message["content"]


def test_the_reasoner_reads_caption_and_question_and_is_asked_for_a_box():
    text = asked("How many?", "Two people.")
    assert "Two people." in text and "Question: How many?" in text and r"\boxed{}" in text
    assert "proposed answer" not in text
    both = asked("How many?", "Two people.", "3")
    assert "Two people." in both and "How many?" in both and "\n3\n" in both and "ignore" in both


@pytest.mark.parametrize(
    "caption", ["{question}", "{answer}", "{0}", "{", "}}", "%s $caption", r"\boxed{5}", "{caption}{caption}"]
)
def test_braces_of_a_caption_are_left_alone(caption):
    assert asked("Q", caption, reasoner="C={caption} Q={question}") == f"C={caption} Q=Q"
    assert asked("{caption}", caption, reasoner="Q={question} C={caption}") == f"Q={{caption}} C={caption}"


@pytest.mark.parametrize("mark", MARKS)
def test_marks_of_pictures_and_chats_never_reach_the_reasoner(mark):
    texts = [f"{mark}\nHow many?", f"two{mark} men", f"3{mark * 3}"]
    assert mark.lower() not in json.dumps(Prompts().messages(*texts)).lower()
    # Taking a mark away must not leave another one.
    for end in range(1, len(mark)):
        nested = mark[:end] + mark + mark[end:]
        assert mark not in unmarked(nested) and unmarked(unmarked(nested)) == unmarked(nested)


def test_what_only_looks_like_a_mark_stays():
    for text in (
        "a < b and c > d",
        "<cap> person A1 </cap>",
        "<answer>2</answer>",
        "f(x) = |x|",
        "[1, 2]",
        "<b>bold</b>",
    ):
        assert unmarked(text) == text


@example("two \ud800 men")
@example("two\0men")
@given(st.text(st.characters(codec=None), max_size=40))
def test_whatever_was_written_can_be_sent(text):
    content = asked("Q", text)
    assert "\0" not in content
    content.encode("utf-8")


@pytest.mark.parametrize(
    ("field", "template", "message"),
    [
        ("reasoner", "{captoin} {question}", r"unknown field {captoin} \(did you mean {caption}\?\)"),
        ("reasoner", "{caption}", "{question} missing; the fields are {caption}, {question}"),
        ("reasoner", "nothing", "{caption} and {question} missing"),
        ("reasoner", "{caption} {question} {answer}", "unknown field {answer}"),
        ("reasoner_tentative", "{caption} {question}", "{answer} missing"),
    ],
)
def test_templates_are_checked_when_they_are_read(field, template, message):
    with pytest.raises(ValidationError, match=message):
        Prompts(**{field: template})
    with pytest.raises(ConfigError, match=f"prompts: {field}: .*{message}"):
        Prompts.checked({field: template})


def test_an_unknown_prompt_is_an_error():
    with pytest.raises(ConfigError, match="prompts: captoin: Extra inputs"):
        Prompts.checked({"captoin": "x"})


def test_latex_in_a_template_needs_no_escaping():
    assert (
        asked("Q", "C", reasoner=r"{caption}{question} \boxed{} \boxed{answer} {}") == r"CQ \boxed{} \boxed{answer} {}"
    )


def test_a_system_message_for_the_reasoner():
    system, user = Prompts(reasoner_system="Be brief.").messages("Q", "C")
    assert system == {"role": "system", "content": "Be brief."} and user["role"] == "user"


def test_the_extractor_describes_under_a_system_message_and_answers_without():
    style = Prompts(caption="Describe.").style("caption", label_sources=True)
    messages = style.messages(row("2"))
    assert messages[0]["role"] == "system" and "not answer" in messages[0]["content"][0]["text"]
    assert messages[1]["content"][0] == {"type": "text", "text": "rgb"}
    assert messages[1]["content"][-1]["text"] == "What?\nDescribe."
    (tentative,) = Prompts().style("tentative").messages(row("2"))
    assert tentative["content"][-1]["text"].startswith("What?\n") and r"\boxed{}" in tentative["content"][-1]["text"]


def test_a_system_message_of_its_own_for_the_tentative_answer():
    told = Prompts(extractor="Describe.", tentative_system="Answer.", tentative="Now.")
    system, user = told.style("tentative").messages(row("2"))
    assert system == {"role": "system", "content": [{"type": "text", "text": "Answer."}]}
    assert user["content"][-1]["text"] == "What?\nNow."
    (system, _) = told.style("caption").messages(row("2"))
    assert system["content"][0]["text"] == "Describe."

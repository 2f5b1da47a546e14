import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vantage.rewards import extract

PIECES = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "```json",
        "```",
        "[",
        "]",
        "{",
        "}",
        ",",
        '"bbox_2d":',
        "1e999",
        "NaN",
        "-Infinity",
        "1 2 3 4",
        "[1,2,3,4]",
        "9" * 5000,
        "\ud800",
        "\0",
        " ",
        "yes",
        '"',
        "\\",
    ]
)
MESSY = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=30).map("".join))


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("<answer>5</answer>", "5"),
        ("before <answer>\n 5 \n</answer> after\n", "5"),
        ("<answer></answer>", None),
        ("<answer>  \n</answer>", None),
        ("<answer>5", None),
        ("5</answer>", None),
        ("</answer>5<answer>", None),
        ("<answer>5</answer><answer>5</answer>", None),
        ("<answer><answer>5</answer></answer>", None),
        ("<answer>5</answer></answer>", None),
        ("<ANSWER>5</ANSWER>", None),
        ("", None),
    ],
)
def test_a_block_is_read_only_where_there_is_exactly_one(text, content):
    assert extract.block(text, "answer") == content


def test_layout_wants_the_thought_before_the_answer():
    assert extract.laid_out("<think>a</think><answer>b</answer>\n")
    assert not extract.laid_out("<answer>b</answer><think>a</think>")
    assert not extract.laid_out("<think>a <answer>b</answer></think>")
    assert not extract.laid_out("<think> </think><answer>b</answer>")


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("```json\n[1]\n```", "[1]"),
        ("so: ```json [1]``` done", "[1]"),
        ("```json\n```", None),
        ("```json\n[1]", None),
        ("```\n[1]\n```", None),
        ("```json\n[1]\n```\n```json\n[2]\n```", None),
    ],
)
def test_a_json_block_is_read_only_where_there_is_exactly_one(text, content):
    assert extract.json_block(text) == content


def test_boxes_are_read_from_json():
    assert extract.boxes('[{"bbox_2d": [1, 2.5, 3, 4], "label": "person"}]') == [(1, 2.5, 3, 4)]
    assert extract.boxes('{"bbox_2d": [1, 2, 3, 4]}') == [(1, 2, 3, 4)]
    assert extract.boxes("[]") == []


@pytest.mark.parametrize(
    "entry",
    [
        '{"bbox_2d": [1, 2, 3]}',
        '{"bbox_2d": [1, 2, 3, NaN]}',
        '{"bbox_2d": [1, 2, 3, 1e999]}',
        "[1, 2, 3, 4]",
        "7",
        '{"bbox_2d": [true, 2, 3, 4]}',
        '{"bbox_2d": "1 2 3 4"}',
        '{"label": "person"}',
        "null",
        '{"bbox_2d": [1, 2, 3, ' + "9" * 5000 + "]}",
    ],
)
def test_an_entry_that_is_no_box_still_counts(entry):
    found = extract.boxes(f'[{{"bbox_2d": [1, 2, 3, 4]}}, {entry}]')
    assert found is not None
    assert found[0] == (1, 2, 3, 4)
    assert len(found) == 2
    assert all(math.isnan(x) for x in found[1])


@pytest.mark.parametrize("text", ["", "no", "[", "[" * 100_000, '{"a":' * 100_000, '"text"', "3", "[1, 2,]"])
def test_other_json_holds_no_boxes(text):
    assert extract.boxes(text) is None


def test_an_answer_with_a_fence_is_read_inside_it_only():
    assert extract.answer_boxes('[{"bbox_2d": [1, 2, 3, 4]}]') == [(1, 2, 3, 4)]
    assert extract.answer_boxes('x ```json [{"bbox_2d": [1, 2, 3, 4]}] ``` y') == [(1, 2, 3, 4)]
    assert extract.answer_boxes("```json [] ``` ```json [] ```") is None


@pytest.mark.parametrize("text", ["2 1 4 5", "2, 1, 4, 5", "[2,1,4,5]", "(2, 1), (4, 5)", " 2.0\n1 4 5 ", "+2 1 4 5."])
def test_a_plain_box_is_four_numbers(text):
    assert extract.plain_box(text) == (2, 1, 4, 5)


@pytest.mark.parametrize(
    "text", ["", "2 1 4", "2 1 4 5 6", "nan 1 4 5", "inf 1 4 5", "1_0 1 4 5", "٢ 1 4 5", "a 1 4 5", "1" * 30 + " 1 4 5"]
)
def test_anything_else_is_no_plain_box(text):
    assert extract.plain_box(text) is None


def test_normalising():
    assert extract.normalise("  Yes.\n") == "yes"
    assert extract.normalise("Two\t or  2 ;") == "two or 2"
    assert extract.normalise("5!") == "5!"
    assert extract.normalise("**Yes!**") == "yes"
    assert extract.normalise("...") == ""


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{5}", "5"),
        (r"so $\boxed{ \frac{1}{2} }$.", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{1} then \fbox{2}", "2"),
        (r"\fbox{1} then \boxed{2}", "2"),
        (r"\boxed {5}", "5"),
        (r"\boxed 5 apples", "5"),
        (r"$\boxed 5$", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\}}", r"\}"),
        (r"\boxed{1 \\}", r"1 \\"),
        (r"\boxed{a \boxed{b}}", "b"),
        (r"\boxed{1} \boxedx{2}", "1"),
        (r"\boxed{}", None),
        (r"\boxed{ }", None),
        (r"\boxed{5", None),
        (r"\boxed{1} \boxed{5", None),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed", None),
        ("boxed{5}", None),
        ("", None),
    ],
)
def test_the_last_box_is_read(text, content):
    assert extract.boxed(text) == content


def box_by_hand(text):
    """The last box, one character at a time; for texts whose boxes have braces."""
    starts = [i for i in range(len(text)) if text.startswith("\\boxed{", i)]
    if not starts:
        return None
    depth, content, i = 1, "", starts[-1] + len("\\boxed{")
    while i < len(text):
        if text[i] == "\\":
            content, i = content + text[i : i + 2], i + 2
            continue
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return content.strip() or None
        content, i = content + text[i], i + 1
    return None


@given(st.lists(st.sampled_from(["\\boxed{", "{", "}", "\\", "\\{", "5", " ", "\ud800", "\0", "\n"]), max_size=25))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_boxes_agree_with_a_reading_by_hand(pieces):
    text = "".join(pieces)
    assert extract.boxed(text) == box_by_hand(text)


@given(MESSY)
@settings(max_examples=300, deadline=None)
def test_no_text_raises(text):
    for tag in (extract.THINK, extract.ANSWER):
        assert extract.block(text, tag) != ""
    assert extract.laid_out(text) in (True, False)
    extract.json_block(text)
    extract.fenced(text)
    extract.boxes(text, free=True)
    extract.boxes_differ(text)
    assert extract.answer(text) in (None, extract.block(text, "answer"))
    assert text.endswith(extract.after_thought(text))
    extract.answer_boxes(text)
    extract.plain_box(text)
    assert extract.boxed(text) != ""
    assert extract.normalise(extract.normalise(text)) == extract.normalise(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.just("bbox_2d"), inner),
        max_leaves=12,
    )
)
@settings(deadline=None)
def test_no_json_raises_and_every_box_is_whole(value):
    found = extract.boxes(json.dumps(value))
    for box in found or ():
        assert len(box) == 4
        assert all(map(math.isfinite, box)) or all(map(math.isnan, box))


@pytest.mark.parametrize(
    "unit",
    [
        "<answer>",
        "<answer></answer>",
        "```json",
        "[",
        "{},",
        "9",
        "a) ",
        " ",
        "\ud800",
        "<think",
        "\\boxed{",
        "\\boxed{5}",
        "\\boxeda",
        "{",
        "**",
        "`*$",
        "$5",
        "a-",
        "a !",
        "\\(",
    ],
)
def test_a_megabyte_is_read_quickly(unit):
    text = unit * (1_000_000 // len(unit))
    start = time.perf_counter()
    for candidate in (text, f"<answer>{text}</answer>"):
        extract.laid_out(candidate)
        extract.answer_boxes(extract.block(candidate, "answer") or candidate)
        extract.plain_box(candidate)
        extract.boxed(candidate)
        extract.boxed(f"\\boxed{{{candidate}")
        extract.normalise(candidate)
        extract.unwrapped(f"*{candidate}!")
        extract.boxes_differ(candidate)
        extract.answer(candidate)
        extract.fenced(candidate)
    # Linear work takes milliseconds; anything quadratic would take hours.
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    ("text", "content", "behind"),
    [
        ("<think>a</think><answer>5</answer>", "5", "<answer>5</answer>"),
        ("<answer>5</answer><think>a</think>", "5", ""),
        ("<think>a</think><answer>5</answer><think>b</think>", "5", ""),
        ("<think>I use <think> here</think><answer>5</answer>", "5", "<answer>5</answer>"),
        ("a</think><answer>5</answer>", "5", "<answer>5</answer>"),
        ("<answer>5</answer>", "5", "<answer>5</answer>"),
        ("<think>a<answer>5</answer></think>", None, ""),
        ("<think>a<answer>5</answer></think> so 5", None, " so 5"),
        ("<think><think>a</think><answer>5</answer></think>", None, ""),
        ("<think>a<answer>5</answer>", None, ""),
        ("<think>a</think><think><answer>5</answer>", None, ""),
        ("a <answer>5</answer></think>", None, ""),
    ],
)
def test_an_answer_inside_the_thought_is_none(text, content, behind):
    assert extract.answer(text) == content
    assert extract.after_thought(text) == behind
    if content is None:
        assert extract.no_answer(text) == "the answer block lies inside the thought"


@pytest.mark.parametrize(
    "text",
    ["**3**", "__3__", "*3*", "$3$", "$$3$$", r"\(3\)", r"\[ 3 \]", r"\boxed{3}", r"\fbox{3}", r"\text{3}", "`3`",
     "```3```", '"3"', "'3'", "“3”", "‘3’", "3.", "3,;", "3\\,", "$3", r"\$3", "3$", "  3 ",
     '**$3$.**', r"$\boxed{3}$."],
)  # fmt: skip
def test_what_only_sets_a_text_off_is_taken_away(text):
    assert extract.unwrapped(text) == "3"


@pytest.mark.parametrize(
    "text", ["3!", "**a** or **b**", "$3$ or $4$", '"a" or "b"', "(3)", "-3", "n!", "yes!!", "$3 or $4", "2**3",
             r"\boxed{3", r"\boxed{3} or \boxed{4}", r"\text{a} \text{b}", "$x", r"a \\"]
)  # fmt: skip
def test_what_belongs_to_a_text_stays(text):
    assert extract.unwrapped(text) == text


def test_an_exclamation_mark_behind_words_is_taken_away():
    assert [extract.unwrapped(text) for text in ("Yes!", "the red one!", "5!")] == ["Yes", "the red one", "5!"]


def test_boxes_of_different_contents_are_told():
    for text in (r"\boxed{5} \boxed{6}", r"\boxed{5} \boxed{5} \fbox{6}", r"\boxed{\boxed{5}} \boxed{6}"):
        assert extract.boxes_differ(text)
    for text in (r"\boxed{5}", r"\boxed{5} = \boxed{$5$}", r"\boxed{5 + \boxed{6}}", r"\boxed{5} \boxed{6", ""):
        assert not extract.boxes_differ(text)

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rows import row, tagged
from vantage import rewards
from vantage.errors import TruthError
from vantage.rewards.text import agree, alternatives, choices

VQA = rewards.get("mars-vqa")
CHOICES = "Same field? Choice list : [A. not the same, B. Travel, C. Religion & Spirituality, D. Medical Books]."


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("yes", "Yes"),
        (" YES. ", "yes"),
        ("two", "two or 2"),
        ("2", "two or 2"),
        ("2.", "two or 2"),
        ("two or 2", "two or 2"),
        ("white and orange", "orange and white or white and orange"),
        ("3", 3),
        ("no", ["no", "none"]),
        ("5", "<answer>5</answer>"),
    ],
)
def test_answers_that_agree(answer, truth):
    assert agree(answer, truth)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("", "yes"),
        ("  ", "yes"),
        ("...", "yes"),
        ("e", "yes"),
        ("ye", "yes"),
        ("yes, there is", "yes"),
        ("yes no", "yes"),
        ("or", "two or 2"),
        ("w", "two or 2"),
        ("t", "two or 2"),
        ("12", "two or 2"),
        ("2 2", "2"),
        ("None", ""),
        ("true", "yes"),
    ],
)
def test_answers_that_do_not(answer, truth):
    assert not agree(answer, truth)


@pytest.mark.parametrize(
    "answer", ["D", "d", "D.", "(D)", "D)", "D:", "D. Medical Books", "(D) medical books.", "Medical Books"]
)
def test_a_choice_may_be_written_several_ways(answer):
    assert agree(answer, "D", CHOICES)


@pytest.mark.parametrize(
    "answer", ["A", "A. Medical Books", "D. Travel", "A. B. C. D.", "D. or A.", "Travel", "DA", "Books", "D A"]
)
def test_the_wrong_choice_however_written(answer):
    assert not agree(answer, "D", CHOICES)


def test_options_are_read_from_the_question():
    assert choices(CHOICES) == {
        "a": "not the same",
        "b": "travel",
        "c": "religion & spirituality",
        "d": "medical books",
    }
    lines = {"a": "one, or two", "b": "two", "c": "three"}
    assert choices("Which?\nA. One, or two.\nB) two\n (C) Three\nAnswer with the letter.") == lines
    assert choices("Which?\r\nA: one, or two\r\n\r\nB. two\r\nC.three") == lines


@pytest.mark.parametrize(
    "question",
    [
        "no list here",
        "A. Smith drew this.\nWho?",
        "B. one\nC. two",
        "A. one\nC. two",
        "[B. one]",
        "[A. one",
        "Options: A, B, C",
        "Is A. Smith or B. Jones right?",
        "(B) one (C) two",
        "Options: one, two",
    ],
)
def test_what_lists_no_options(question):
    assert choices(question) == {}
    assert not agree("one", "A", question)


@pytest.mark.parametrize(
    "question",
    [
        "Which? Options: A. cat B. dog",
        "Which?\nOptions: A. cat, B. dog.",
        "Choices:\nA) cat B) dog",
        "Which? (A) cat (B) dog",
        "Which?\n(A) cat (B) dog\nAnswer with the letter.",
        "Which? options: (A) cat; (B) dog",
    ],
)
def test_options_in_one_line_are_options(question):
    assert choices(question) == {"a": "cat", "b": "dog"}
    for truth in ("B", "(B)", "B)", "B.", "B. dog"):
        assert all(agree(answer, truth, question) for answer in ("B", "(b)", "B.", "**B**", "B. dog", "(B) Dog", "dog"))
        assert not any(agree(answer, truth, question) for answer in ("A", "cat", "A. dog", "B. cat", *HEDGES))


HEDGES = [
    "A and B",
    "A or B",
    "A, B",
    "A. cat B. dog",
    "B. dog A. cat",
    "B. dog or A",
    "B. C",
    "B/A",
    "B. A",
    "B and A",
]


@pytest.mark.parametrize("answer", ["B", "(b)", "B. dog", "B) a dog", "B. A dog", "B: 5 m", "(B) vitamins"])
def test_the_letter_is_enough_where_no_options_can_be_read(answer):
    for truth in ("B", "(B)", "B)", "B.", ["C", "B"]):
        assert agree(answer, truth)
        assert not agree(answer, "D")


@pytest.mark.parametrize("answer", [*HEDGES, "B. or C maybe", "B. dog, c. cat", "B. the first, a", "C. dog", "dog"])
def test_two_letters_are_no_letter(answer):
    assert not agree(answer, "B")


def test_a_truth_may_bring_its_option_s_text():
    for answer in ("B", "(b)", "dog", "B. dog", "B) Dog.", "B: dog"):
        assert agree(answer, "B. dog")
        assert agree(answer, ["(B) dog"])
    for answer in ("B. cat", "A. dog", "cat", "A", "B. dog A. cat"):
        assert not agree(answer, "B. dog")


def test_the_letter_of_another_option_is_not_the_text_of_the_right_one():
    assert not agree("C", "B", "Which?\nA. B\nB. C\nC. A")


def test_plain_numbers_are_numbers():
    pairs = [("5.0", "5"), ("5", 5.0), ("0.0", 0), ("1,234", "1234"), ("\N{MINUS SIGN}5", "-5"), ("$5", "5.")]
    for answer, truth in pairs:
        assert VQA.score(tagged(answer), row(truth, "mars-vqa")).reward == 1.5
    assert not agree("5.1", 5)
    assert not agree("5!", 5)


@pytest.mark.parametrize("answer", ["**yes**", "`yes`", '"Yes"', "Yes!", r"\boxed{yes}", r"\text{yes}", "$yes$"])
def test_what_sets_an_answer_off_does_not_matter(answer):
    assert agree(answer, "yes")
    assert agree("yes", answer)


def test_an_entry_of_a_list_is_literal():
    assert agree("die", "Do or Die")
    assert agree("do or die", ["Do or Die"])
    assert not agree("die", ["Do or Die"])
    assert alternatives(["two or 2"]) == ["two or 2"]
    assert alternatives("x=1 or x=2") == ["x=1 or x=2"]
    assert alternatives("(1 or 2)") == ["(1 or 2)"]


def test_where_the_answer_stands():
    sample = row("yes", "mars-vqa")
    inside = VQA.score("<think>so <answer>yes</answer></think>", sample)
    assert (inside.reward, inside.correct, inside.formatted) == (
        0.5,
        False,
        False,
    )  # the format terms are the public ones
    assert inside.error == "the answer block lies inside the thought"
    before = VQA.score("<answer>yes</answer><think>late</think>", sample)
    assert (before.reward, before.correct, before.formatted) == (1.5, True, False)
    assert VQA.score(tagged("no"), sample).formatted


@pytest.mark.parametrize(("answer", "right"), [("two", True), ("B. two", True), ("(b)", True), ("A. two", False)])
def test_options_one_a_line_are_options(answer, right):
    assert agree(answer, "B", "Which?\nA. one\nB. two") is right


def test_a_text_that_two_options_share_names_neither():
    assert not agree("same", "A", "Which?\nA. same\nB. same")


def test_alternatives():
    assert alternatives("Two or 2") == ["two or 2", "two", "2"]
    assert alternatives(True) == alternatives(None) == alternatives(" ") == alternatives([]) == []


def test_scores():
    sample = row("Yes", "mars-vqa")
    assert VQA.score(tagged("yes"), sample).reward == 1.5
    assert VQA.score(tagged("no"), sample).reward == 0.5
    assert VQA.score("<answer>yes</answer>", sample).reward == 1.25
    assert VQA.score("yes", sample).reward == 0.0
    assert VQA.score(tagged(""), sample).reward == 0.25
    two = VQA.score(tagged("yes") + "<answer>no</answer>", sample)
    assert (two.reward, two.correct, two.error) == (0.25, False, "not exactly one answer block")


@pytest.mark.parametrize("truth", [None, "", " . ", [], True, math.nan, {}, ["yes", None], [["yes"]]])
def test_an_unreadable_truth_is_found_before_training(truth):
    with pytest.raises(TruthError, match="'r1'"):
        VQA.check(row(truth, "mars-vqa"))


@given(st.text(max_size=60), st.sampled_from(["yes", "two or 2", "D", 7]))
def test_any_text_scores_in_range(text, truth):
    sample = row(truth, "mars-vqa")
    for completion in (text, tagged(text)):
        reward = rewards.call("mars-vqa", completion, sample).reward
        assert reward is not None
        assert reward in (0, 0.25, 0.5, 1.25, 1.5)


@given(
    st.lists(st.sampled_from(["yes", "no", "two", "2", "red", "left"]), min_size=1, max_size=3, unique=True),
    st.sampled_from(["yes", "no", "two", "2", "red", "left", "blue", "7"]),
    st.booleans(),
    st.booleans(),
)
def test_whole_words_agree_as_by_the_public_rule(words, answer, thought, capital):
    """MARS's rule, restated: the answer is contained in the truth, case aside; right for words not part of another."""
    truth = " or ".join(words)
    terms = 0.25 * thought + 0.25
    given_answer = answer.capitalize() if capital else answer
    text = tagged(given_answer) if thought else f"<answer>{given_answer}</answer>"
    assert VQA.score(text, row(truth, "mars-vqa")).reward == terms + (given_answer.lower() in truth.lower())

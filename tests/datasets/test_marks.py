import pytest

from vantage.datasets import marks


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("What?", "What?"),
        ("<image>\nWhat?", "What?"),
        ("<image 1>\n<image 2>\nWhat?\n<image 3>", "What?"),
        ("<image><image1>What?", "What?"),
        ("<image1> What? <image2>", "What?"),
        ("Is <image 2> darker than <image1>?", "Is picture 2 darker than picture 1?"),
        ("In the picture <image> below, what?", "In the picture below, what?"),
        ("First\n\n<image>\nA. 1 < 2", "First\n\nA. 1 < 2"),
        ("<images> <img> <image x>", "<images> <img> <image x>"),
        ("<image>", ""),
    ],
)
def test_marks_leave_the_question_and_references_can_be_read(text, read):
    assert marks.unmark(text) == read


def test_marks_are_counted():
    assert marks.count("<image><image 2>a<image17>b<image") == 3

import pytest

from vantage.printing import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größer, 人", "plain, größer, 人"),
        ("\x1b[2J\x9b", "\\x1b[2J\\x9b"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\ud800\u202e", "\\ud800\\u202e"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, shown):
    assert printable(text) == shown


def test_line_ends_may_stay():
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"

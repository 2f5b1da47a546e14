import email.utils

import pytest

from vantage.endpoints.retry import LONGEST, LONGEST_ASKED, retry_after, wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.25", 0.25),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("9" * 10_000, None),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None),
        (email.utils.formatdate(1_000_030, usegmt=True), 30.0),
        (email.utils.formatdate(999_000, usegmt=True), 0.0),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_a_server_asks_for_is_read(header, seconds):
    assert retry_after(header, now=1_000_000.0) == seconds


def test_waits_double_up_to_a_limit_less_up_to_a_half():
    for attempt in range(40):
        whole = min(LONGEST, 0.5 * 2**attempt)
        assert whole / 2 <= wait(attempt, 0.5, "key") <= whole


def test_a_wait_depends_on_the_request_alone_and_differs_between_requests():
    assert wait(2, 0.5, "a") == wait(2, 0.5, "a")
    assert len({wait(2, 0.5, str(i)) for i in range(50)}) == 50


def test_a_server_cannot_make_us_wait_for_ever():
    assert 5 <= wait(0, 0.5, "a", asked=5) <= 5.25
    assert wait(0, 0.5, "a", asked=1e9) <= LONGEST_ASKED + 0.25

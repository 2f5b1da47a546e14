"""What a server sends is untrusted: no key comes back in an error, a reply or a piece of one."""

import json

import pytest

from vantage.endpoints.answers import Wipe, clean, decode, plain, shape
from vantage.endpoints.replies import Reply
from vantage.errors import EndpointError

KEY = "0123456789abcdefGHIJKLMNOPQRSTUV"


@pytest.mark.parametrize("before", [*range(200, 260, 3), *range(4770, 4810, 3)])
@pytest.mark.parametrize("fill", ["x", " ", "x" * 99 + " "], ids=["solid", "blank", "words"])
def test_no_part_of_a_key_is_shown_wherever_it_is_cut(before, fill):
    padding = (fill * before)[:before]
    shown = [clean(padding + KEY, KEY), clean(shape({"a": [padding + KEY]}), KEY)]
    with pytest.raises(EndpointError) as caught:
        decode((padding + KEY + "<html>").encode(), "text/html")
    shown.append(clean(str(caught.value), KEY))
    for text in shown:
        assert KEY[:6] not in text and len(text) < 300


def test_a_key_is_found_in_json_too():
    key = 'quotes"and\\slashes-0123456789'
    assert clean(shape({"sent": key}), key) == '{"sent": "***"}'
    assert clean(f"it was {key}.", key) == "it was ***."


def test_what_is_long_says_how_long_it_was():
    assert clean("word " * 2000, None) == ("word " * 48) + "... (10000 characters)"


def test_what_is_shown_commands_no_terminal():
    assert clean("a \x1b[2J\x1b]0;title\x07b", None) == r"a \x1b[2J\x1b]0;title\x07b"
    assert clean("\x1b" * 300, None) == r"\x1b" * 240 + "... (300 characters)"


REPLIES = [
    "",
    "abc",
    f"{KEY}",
    f"a {KEY} b{KEY}",
    KEY[:-1],
    KEY[:5] + KEY,
    KEY[1:] + KEY[0],
    "\ud83e\udd4a \ud83e",
    "é",
]


@pytest.mark.parametrize("text", REPLIES)
@pytest.mark.parametrize("size", [1, 2, 5, 31, 33, 100])
def test_pieces_are_wiped_as_the_whole_is(text, size):
    wipe = Wipe(KEY)
    told = [wipe.piece(text[i : i + size]) for i in range(0, len(text), size)] + [wipe.rest()]
    expected = text.replace(KEY, "***").replace("\ud83e\udd4a", "🥊").replace("\ud83e", "\ufffd")
    assert "".join(told) == expected == Wipe(KEY).whole(text)
    assert all(piece.encode("utf-8") is not None for piece in told)


def test_pieces_that_begin_no_key_are_not_held_back():
    wipe = Wipe(KEY)
    assert [wipe.piece(text) for text in ("abc", "d0", "1x", "012")] == ["abc", "d", "01x", ""]
    assert wipe.rest() == "012"


def test_a_reply_holds_no_key_and_no_half_characters():
    reply = Reply(f"your key is {KEY} \ud800", model="m\ud800", logprobs=(("a\ud800", -1.0), ("b", -2.0)))
    found = plain(reply, KEY)
    assert (found.text, found.model) == ("your key is *** \ufffd", "m\ufffd")
    assert found.logprobs == (("a\ufffd", -1.0), ("b", -2.0))
    tokens = tuple((KEY[i : i + 3], -0.5) for i in range(0, len(KEY), 3))
    assert plain(Reply(KEY, logprobs=tokens), KEY).logprobs is None, "tokens would spell it"
    assert json.dumps(KEY) not in json.dumps(plain(Reply(KEY, model=KEY), KEY).model)


@pytest.mark.parametrize("key", [None, "EMPTY", "none", "a"])
def test_keys_in_name_only_are_words_that_a_reply_may_say(key):
    reply = Reply("The box is EMPTY: none of a kind", model="a")
    assert plain(reply, key) == reply

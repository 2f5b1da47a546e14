"""Who can be asked."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from spoken import Spoken, way
from vantage.app import Way, embedded
from vantage.app.page import _strange
from vantage.endpoints import FunctionEndpoint
from vantage.errors import ConfigError
from vantage.pipeline import ALONE, BOTH, CAPTION

READER = FunctionEndpoint("reader", lambda _: "")
OTHER = FunctionEndpoint("other", lambda _: "")


@pytest.mark.parametrize("parts", [CAPTION, BOTH])
def test_captions_without_anybody_who_reads_them(parts):
    with pytest.raises(ConfigError, match="deaf: captions need a reasoner"):
        Way(name="deaf", pipeline=Spoken(lambda _: []), parts=parts)


def test_a_way_s_own_reasoner_comes_before_the_pipeline_s():
    pipeline = Spoken(lambda _: [])
    pipeline.reasoner = OTHER
    assert Way(name="a", pipeline=pipeline).answering is OTHER
    assert Way(name="b", pipeline=pipeline, reasoner=READER).answering is READER
    assert Way(name="c", pipeline=pipeline, reasoner=READER, parts=ALONE).answering is None


@pytest.mark.parametrize("frame", ["pixels", "relative:0", "relative:x", "resized "])
def test_a_frame_that_there_is_not(frame):
    with pytest.raises(ConfigError, match="is no coordinate frame"):
        way({}, frame=frame)


def test_words_that_a_small_vocabulary_lacks(processor):
    told = way({})
    told.pipeline.processor = processor
    assert told.unknown("Where is the person?") == []
    assert told.unknown("Where is the (elephant), the elephant, the zebra?") == ["elephant", "zebra"]
    assert "elephant" in _strange(told, "elephant") and "Where is the person?" in _strange(told, "elephant")
    assert _strange(told, "Where is the person?") == ""
    told.pipeline.processor = SimpleNamespace(tokenizer=SimpleNamespace(unk_token_id=None))
    assert told.unknown("elephant") == []


def test_the_embedded_ways_hold_one_captioner_and_close_their_readers():
    with ExitStack() as stack:
        ways = embedded(stack)
    assert [one.name for one in ways] == [
        "tiny, by itself",
        "tiny-captioner + tiny-reasoner-strong",
        "tiny-captioner + tiny-reasoner-weak",
        "tiny-captioner + tiny-reader",
    ]
    assert len({id(one.pipeline.model) for one in ways}) == 2
    assert ways[0].answering is None and all(one.answering is not None for one in ways[1:])

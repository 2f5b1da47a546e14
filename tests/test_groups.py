import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rows import row
from vantage.errors import ConfigError
from vantage.groups import FUSED, Group, Member, Origin, guest, mono, subset
from vantage.rewards.base import Score


@given(st.sampled_from(["mono", "guest"]), st.text(min_size=1))
def test_an_origin_reads_back_as_it_is_written(kind, name):
    origin = Origin(kind, name)
    assert Origin.parse(str(origin)) == origin


def test_how_origins_are_written():
    assert [str(o) for o in (FUSED, mono("rgb"), guest("org/model:7b"))] == ["fused", "mono:rgb", "guest:org/model:7b"]
    assert Origin.parse("guest:org/model:7b").name == "org/model:7b"


@given(st.lists(st.text(min_size=1), min_size=2, unique=True))
def test_a_subset_reads_back_as_it_is_written(names):
    origin = subset(names)
    assert Origin.parse(str(origin)) == origin
    assert origin.sources == tuple(names)


def test_which_sources_a_member_sees():
    assert str(subset(["rgb", "a+b"])) == "subset:rgb+a%2Bb"
    assert [o.sources for o in (FUSED, mono("a+b"), guest("m"))] == [(), ("a+b",), ()]


@pytest.mark.parametrize("names", [[], ["rgb"], ["rgb", "rgb"], ["rgb", ""]])
def test_a_subset_has_two_sources_or_more(names):
    with pytest.raises(ConfigError, match="origin 'subset'"):
        subset(names)


@pytest.mark.parametrize("text", ["", "solo", "Fused", "mono", "mono:", "guest", "fused:rgb", "rgb", ":rgb"])
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(ConfigError, match="origin"):
        Origin.parse(text)


def test_members_are_found_by_kind_in_order():
    members = [Member(FUSED, "a"), Member(mono("rgb"), "b"), Member(FUSED, "c"), Member(guest("m"), "d")]
    group = Group(row("3"), members)
    assert [m.text for m in group.of("fused")] == ["a", "c"]
    assert [m.text for m in group.of("mono")] == ["b"]
    assert [m.text for m in group.of("guest")] == ["d"]


def test_a_record_is_plain_json_and_says_who_said_what():
    members = [
        Member(FUSED, "three", [1, 2], Score(1.5, True, True, {"format": 0.5}), 1.5, 0.7, True),
        Member(mono("rgb"), "none", score=Score(None, error="no answer")),
        Member(guest("m"), "unscored"),
    ]
    record = Group(row({"boxes": [[1, 2, 3, 4]]}, scene="street"), members).record()
    read = json.loads(json.dumps(record, allow_nan=False))
    assert read == record
    assert read["id"] == "r1" and read["truth"] == {"boxes": [[1, 2, 3, 4]]}
    assert read["pictures"] == {"rgb": "drawn", "infrared": "drawn"}
    assert read["metadata"] == {"scene": "street"}
    first, second, third = read["members"]
    assert (first["origin"], first["score"], first["advantage"], first["trained"]) == ("fused", 1.5, 0.7, True)
    assert first["parts"] == {"format": 0.5}
    assert (second["origin"], second["score"], second["error"]) == ("mono:rgb", None, "no answer")
    assert (third["origin"], third["reward"], "score" in third) == ("guest:m", None, False)

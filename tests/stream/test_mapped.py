"""Users' own schemas: each field by its path, nothing coerced unasked, and only DecodeError comes out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.decoders import MappedDecoder
from daemon.errors import DecodeError
from daemon.events import Event, Input, Op
from daemon.stream.decoders import Decoder, get_decoder
from daemon.stream.own import OWN
from daemon.stream.ports import Headers, Record

REASONS = {
    "no_value", "not_json", "not_object", "missing_field", "wrong_type", "wrong_value", "wrong_time", "wrong_mapping",
}  # fmt: skip
TICKET: dict[str, Any] = {
    "ticket": {"id": "tkt-1", "number": 1042},
    "subject": "card",
    "body": "swallowed abroad",
    "category": "card_swallowed",
    "created_ms": 1_700_000_000_123,
}
BIG = {"path": "to_number(category)", "coerce": "string"}
SUPPORT: dict[str, Any] = {
    "id": "ticket.id",
    "text": "join(' ', [subject, body])",
    "label": "category",
    "time": {"path": "created_ms", "format": "epoch_ms"},
    "constants": {"task": "support"},
}


def decoder(**cfg: Any) -> Decoder:
    return get_decoder(MappedDecoder.model_validate({"kind": "mapped", **cfg}))


def decode(
    value: Any, cfg: dict[str, Any] = SUPPORT, key: bytes | None = None, headers: Headers = (), **more: Any
) -> Event:
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return decoder(**{**cfg, **more}).decode(Record("tickets", 3, 7, 5.5, key, body, headers))


def test_the_example_of_the_documentation_is_an_event() -> None:
    expected = Event(
        "tkt-1",
        "support",
        time=1_700_000_000.123,
        input=Input("card swallowed abroad"),
        label="card_swallowed",
    )
    assert decode(TICKET) == expected


def test_every_field_can_be_mapped() -> None:
    # Given a record with everything in it, under other names
    value = {
        "i": "a", "t": "mood", "at": "1970-01-01T00:00:01Z", "x": "one", "y": "two", "l": ["p", "q"],
        "known": 2, "by": "agent", "g": "week 1", "place": {"region": "emea", "shop": 7}, "del": False,
    }  # fmt: skip
    cfg = {
        "id": "i", "task": "t", "time": "at", "text": "x", "text_pair": "y", "label": "l",
        "label_time": {"path": "known", "format": "epoch_s"}, "source": "by", "group": "g", "op": "del",
        "attributes": {"region": "place.region", "shop": {"path": "place.shop", "coerce": "string"}, "n": "place.no"},
        "constants": {"attributes": {"from": "crm"}},
    }  # fmt: skip
    # When it is read
    event = decode(value, cfg)
    # Then each field is where it belongs, and what is null is left out
    assert event == Event(
        "a", "mood", time=1.0, input=Input("one", "two"), label=("p", "q"), label_time=2.0, source="agent",
        group="week 1", attributes={"from": "crm", "region": "emea", "shop": "7"},
    )  # fmt: skip
    tokens = decode({**value, "w": ["a", "b"]}, {"id": "i", "task": "t", "time": "at", "tokens": "w", "label": "l"})
    assert tokens.input == Input(tokens=("a", "b"))


def test_the_record_beside_the_value_can_be_read() -> None:
    # Given key, headers (one twice, one no text) and a value with a field of the reserved name
    headers: Headers = (("who", b"old"), ("who", b"agent"), ("bytes", b"\xff"))
    cfg = {
        "id": "_record.key", "text": "b", "source": "_record.headers.who", "group": "_record.headers.bytes",
        "time": {"path": "_record.timestamp", "format": "epoch_s"}, "task": "_record.topic",
        "attributes": {"place": "join('-', [to_string(_record.partition), to_string(_record.offset)])"},
    }  # fmt: skip
    # When the record is read
    event = decode({"b": "x", "_record": {"key": "theirs"}}, cfg, key=b"k1", headers=headers)
    # Then the paths see the record, and what is no text is null
    assert (event.id, event.task, event.time, event.source, event.group) == ("k1", "tickets", 5.5, "agent", None)
    assert event.attributes == {"place": "3-7"}
    with pytest.raises(DecodeError, match=r"id \(_record.key\): gives null"):
        decode({"b": "x"}, cfg, key=b"\xff")


def test_a_null_label_retracts_only_when_asked_and_only_where_it_is_there() -> None:
    null, absent = {**TICKET, "category": None}, {key: TICKET[key] for key in TICKET if key != "category"}
    assert [decode(value).op for value in (null, absent)] == [Op.UPSERT] * 2
    assert decode(null).label is None
    assert decode(null, null_label="retract").op is Op.RETRACT
    assert decode(absent, null_label="retract") == decode(absent)
    assert decode({**TICKET, "c": 1}, label="c.d.e", null_label="retract").op is Op.UPSERT
    nested = decode({**TICKET, "c": {"d": None}}, label={"path": "c.d", "coerce": "string"}, null_label="retract")
    assert nested.op is Op.RETRACT


def test_deletions_are_told_by_a_condition_or_are_all_there_is() -> None:
    condition = "kind == 'erased' && 'delete'"
    assert decode({**TICKET, "kind": "erased"}, op=condition).op is Op.DELETE
    assert decode({**TICKET, "kind": "made"}, op=condition).op is Op.UPSERT
    # Of an erasure nothing is read but whose it is
    bare = {"ticket": {"id": "t"}, "kind": "erased", "category": 7}
    assert decode(bare, op=condition) == Event("t", "support", Op.DELETE)
    assert decode({"i": "a"}, {"id": "i", "constants": {"task": "s", "op": "delete"}}).op is Op.DELETE
    with pytest.raises(DecodeError, match="must be 'delete', null or false, not string 'erased'"):
        decode({**TICKET, "kind": "erased"}, op="kind")


def test_what_retaind_writes_itself_is_read_in_its_own_form() -> None:
    erasure = {"id": "tkt-1", "task": "mood", "op": "delete"}
    assert decode(erasure, headers=(("x", b"y"), OWN)) == Event("tkt-1", "mood", Op.DELETE)
    with pytest.raises(DecodeError, match=r"ticket\.id"):
        decode(erasure)


@pytest.mark.parametrize(
    ("given", "time"),
    [
        ("2023-11-14T22:13:20Z", {"format": "rfc3339"}),
        (1_700_000_000, {"format": "epoch_s"}),
        (1_700_000_000.0, {"format": "epoch_s"}),
        (1_700_000_000_000, {"format": "epoch_ms"}),
        (1_700_000_000_000_000, {"format": "epoch_us"}),
        (1_700_000_000_000_000_123, {"format": "epoch_ns"}),
        ("1700000000", {"format": "epoch_s", "coerce": "number"}),
        ("1.7e9", {"format": "epoch_s", "coerce": "number"}),
    ],
)
def test_times_are_read_in_the_unit_that_was_said(given: object, time: dict[str, str]) -> None:
    assert decode({**TICKET, "at": given}, time={"path": "at", **time}).time == 1_700_000_000.0


def test_whole_numbers_lose_nothing_down_to_the_microsecond() -> None:
    # As a float this number of nanoseconds would be one microsecond later
    at = {**TICKET, "at": 1_700_000_000_000_001_999}
    assert decode(at, time={"path": "at", "format": "epoch_ns"}).time == 1_700_000_000.000001


def test_coercions_do_what_they_say_and_no_more() -> None:
    # Given numbers and booleans where text is needed: refused, with the mend, and read once that is asked for
    with pytest.raises(
        DecodeError, match=r"id \(ticket.number\): must be a string, not number 1042; say coerce: string"
    ):
        decode(TICKET, id="ticket.number")
    assert decode(TICKET, id={"path": "ticket.number", "coerce": "string"}).id == "1042"
    for value, text in ((True, "true"), (1.5, "1.5"), (10**15, "1000000000000000"), ("a", "a")):
        assert decode({**TICKET, "l": value}, label={"path": "l", "coerce": "string"}).label == text
    assert decode({**TICKET, "l": [1, "b"]}, label={"path": "l", "coerce": "string"}).label == ("1", "b")
    # And text where a number is needed
    assert decode({**TICKET, "l": "-0.5"}, label="l").label == "-0.5"
    assert decode({**TICKET, "l": "-0.5"}, label={"path": "l", "coerce": "number"}).label == -0.5


@pytest.mark.parametrize(
    ("more", "cfg", "reason", "says"),
    [
        ({"ticket": {}}, {}, "missing_field", r"id \(ticket.id\): gives null"),
        ({"ticket": {"id": ["a"]}}, {}, "wrong_type", "not list; join"),
        ({"ticket": {"id": "x" * 600}}, {}, "wrong_value", "id: 600 characters; at most 512"),
        ({"subject": None}, {}, "wrong_mapping", r"\[subject, body\]\)\): join\(\) is given null, takes .* default"),
        ({"created_ms": "soon"}, {}, "wrong_type", "must be a number .*coerce: number"),
        ({"created_ms": True}, {}, "wrong_type", "not boolean True"),
        ({"created_ms": 10**18}, {}, "wrong_time", "not within the years 1 to 9999; is the format right"),
        ({"created_ms": 1e300}, {}, "wrong_time", "is no time in epoch_ms"),
        ({"created_ms": None}, {}, "missing_field", "time"),
        ({}, {"time": "created_ms"}, "wrong_type", "RFC 3339 text; for a number say its unit"),
        ({"at": "noon"}, {"time": {"path": "at", "format": "epoch_s", "coerce": "number"}}, "wrong_value", "no number"),
        ({"category": {"a": 1}}, {}, "wrong_type", "label .* not object; join"),
        ({"category": False}, {}, "wrong_type", "not boolean False; say coerce: string"),
        ({"category": {}}, {"label": {"path": "category", "coerce": "string"}}, "wrong_type", "not object"),
        ({"category": "x"}, {"label": {"path": "category", "coerce": "number"}}, "wrong_value", "'x' is no number"),
        ({"category": []}, {"label": {"path": "category", "coerce": "number"}}, "wrong_type", "a number, or text"),
        ({"category": "inf"}, {"label": "to_number(category)"}, "wrong_value", "finite"),
        ({"category": "9" * 400}, {"label": "to_number(category)"}, "wrong_value", "finite"),
        ({"category": "9" * 400}, {"label": BIG}, "wrong_value", "large"),
        ({"category": "nan"}, {"label": BIG}, "wrong_value", "large"),
        ({"category": "inf"}, {"label": "ceil(to_number(category))"}, "wrong_mapping", "label"),
        ({}, {"attributes": {"n": "ticket.number"}}, "wrong_type", r"attributes.n \(ticket.number\)"),
        ({}, {"text": "ticket"}, "wrong_type", "to_string"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(more: dict[str, Any], cfg: dict[str, Any], reason: str, says: str) -> None:
    with pytest.raises(DecodeError, match=says) as caught:
        decode({**TICKET, **more}, **cfg)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 500


def test_deep_and_huge_documents_are_refused_and_break_nothing() -> None:
    for depth in range(890, 1040, 10):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        for path in ("to_string(a)", "a == a", "a", "sort(a)", "keys(a)", "[a][?@ == `1`]", "to_array(a)"):
            with pytest.raises(DecodeError):
                decode(deep, id=path)
    for value in (b"[" * 1_000_000, b'{"a":' * 100_000, b"", b"\xff", b"null"):
        with pytest.raises(DecodeError):
            decode(value)
    assert len((decode({**TICKET, "body": "x" * 500_000}).input or Input("")).text or "") == 500_005
    with pytest.raises(DecodeError, match="at most 512"):
        decode({**TICKET, "n": ["x"] * 100_000}, id="join('', n)")


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
PATHS = (
    "a", "a.b", "b[0]", "b[*].a", "a || b", "a && b", "!a", "@", "a == b", "a < b", "[a, b]", "{x: a}", "a[?b > c]",
    "join(' ', a)", "to_number(a)", "to_string(@)", "to_array(a)", "sort(a)", "sort_by(a, &b)", "max_by(a, &b)",
    "sum(a)", "ceil(a)", "abs(a)", "length(a)", "keys(a)", "merge(a, b)", "reverse(a)", "contains(a, b)", "_record.key",
    "map(&a, b)", "not_null(a, b)", "type(a)", "starts_with(a, b)", "max(a)", "a[] | [0]", "_record.headers.a", "*.a",
)  # fmt: skip
paths = st.sampled_from(PATHS)
texts = paths | st.fixed_dictionaries({"path": paths, "coerce": st.sampled_from(["string", None])})
labels = paths | st.fixed_dictionaries({"path": paths, "coerce": st.sampled_from(["string", "number", None])})
moments = paths | st.fixed_dictionaries(
    {
        "path": paths,
        "format": st.sampled_from(["rfc3339", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"]),
        "coerce": st.sampled_from(["number", None]),
    }
)
configurations = st.fixed_dictionaries(
    {"id": texts, "label": labels, "time": moments},
    optional={
        "text": texts, "text_pair": texts, "tokens": texts, "label_time": moments, "source": texts, "op": paths,
        "attributes": st.dictionaries(words, texts, max_size=2), "constants": st.just({"task": "s"}),
    },
)  # fmt: skip


@given(
    configurations, st.dictionaries(st.sampled_from("abc"), json_values, max_size=3), st.none() | st.binary(max_size=5)
)
def test_nothing_but_decode_errors_comes_out(cfg: dict[str, Any], value: dict[str, Any], key: bytes | None) -> None:
    refused: DecodeError | None = None
    try:
        event = decode(value, cfg, key, (("a", key or b""),))
    except DecodeError as error:
        refused = error
    assert event.id if refused is None else refused.reason in REASONS
    assert len(str(refused)) < 500

"""The JSON form of an event: what goes out comes back, and what is not an event is a DecodeError."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import DecodeError
from daemon.events import Event, Input, LabelValue, Op, Split, StoredEvent
from daemon.stream.decoders import get_decoder
from daemon.stream.encoding import encode_event, encode_stored, record_key
from daemon.stream.ports import Record

REASONS = {"no_value", "not_json", "not_object", "missing_field", "wrong_type", "wrong_value", "wrong_time"}
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = words.filter(bool)
times = st.integers(-62_000_000_000_000_000, 253_000_000_000_000_000).map(lambda micros: micros / 1e6)
whole_times = st.integers(-62_000_000_000, 253_000_000_000).map(float) | st.integers(0, 2**52).map(lambda m: m / 1e6)
labels = words | st.floats(allow_nan=False, allow_infinity=False) | st.lists(words, max_size=4).map(tuple)
inputs = st.builds(Input, text=words, text_pair=st.none() | words) | st.builds(
    Input, tokens=st.lists(words, max_size=5).map(tuple)
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    op = draw(st.sampled_from(Op))
    value = draw(st.none() | inputs)
    label: LabelValue | None = draw(labels) if op is Op.UPSERT and (value is None or draw(st.booleans())) else None
    return Event(
        id=draw(names),
        task=draw(names),
        op=op,
        time=draw(whole_times if value is not None else st.none() | whole_times),
        input=value,
        label=label,
        label_time=draw(st.none() | whole_times),
        source=draw(words),
        attributes=draw(st.dictionaries(words, words, max_size=3)),
        group=draw(st.none() | words),
    )


def decode(value: bytes | None, default_task: str | None = None) -> Event:
    return get_decoder(default_task=default_task).decode(Record("t", 0, 0, 0.0, None, value))


@given(events())
def test_decoding_gives_back_what_was_encoded(event: Event) -> None:
    assert decode(encode_event(event)) == event


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_decode_errors(value: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(value)
    assert caught.value.reason in REASONS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
fields = [
    "id",
    "task",
    "time",
    "text",
    "text_pair",
    "tokens",
    "label",
    "label_time",
    "source",
    "attributes",
    "op",
    "group",
    "other",
]


@given(st.dictionaries(st.sampled_from(fields), json_values | times.map(str)))
def test_random_fields_raise_nothing_but_decode_errors(document: dict[str, object]) -> None:
    refused: DecodeError | None = None
    try:
        event = decode(orjson.dumps(document), "d")
    except DecodeError as error:
        refused = error
    if refused is None:
        assert decode(encode_event(event)) == event
    else:
        assert refused.reason in REASONS
        assert len(str(refused)) < 500


@pytest.mark.parametrize("value", [b"[" * 1_000_000, b'{"id":' * 100_000, b'{"id":"' + b"x" * 1_000_000 + b'"}'])
def test_deep_and_huge_documents_are_refused(value: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(value)


@pytest.mark.parametrize(
    ("document", "reason", "says"),
    [
        (b"[]", "not_object", "list"),
        (b'{"task":"s","label":"x"}', "missing_field", "id"),
        (b'{"id":7,"task":"s","label":"x"}', "wrong_type", "id: must be a string, not number"),
        (b'{"id":"a","label":"x"}', "missing_field", "task"),
        (b'{"id":"a","task":"s"}', "missing_field", "text"),
        (b'{"id":"a","task":"s","text":"x"}', "missing_field", "time"),
        (b'{"id":"a","task":"s","text":"x","time":"yesterday"}', "wrong_time", "RFC 3339"),
        (b'{"id":"a","task":"s","text":"x","time":"2026-02-30T00:00:00Z"}', "wrong_time", "time"),
        (b'{"id":"a","task":"s","text":"x","time":"2026-01-01T00:00:00"}', "wrong_time", "time"),
        (b'{"id":"a","task":"s","label":true}', "wrong_type", "boolean"),
        (b'{"id":"a","task":"s","label":["x",1]}', "wrong_type", r"label\[1\]"),
        (b'{"id":"a","task":"s","op":"drop"}', "wrong_value", "allowed: 'delete'"),
        (
            b'{"id":"a","task":"s","text":"x","tokens":["x"],"time":"2026-01-01T00:00:00Z"}',
            "wrong_value",
            "one of them",
        ),
        (b'{"id":"a","task":"s","label":"x","attributes":{"a":1}}', "wrong_type", "attributes.a"),
    ],
)
def test_a_mistake_is_named(document: bytes, reason: str, says: str) -> None:
    with pytest.raises(DecodeError, match=says) as caught:
        decode(document)
    assert caught.value.reason == reason


def test_operations_are_told_apart() -> None:
    assert decode(b'{"id":"a","label":null}', "s") == Event("a", "s", Op.RETRACT)
    assert decode(b'{"id":"a","op":"delete","x":1}', "s") == Event("a", "s", Op.DELETE)
    assert decode(b'{"id":"a","label":3,"group":"g"}', "s") == Event("a", "s", label=3.0, group="g")


def test_times_are_utc_to_the_microsecond() -> None:
    event = decode(b'{"id":"a","task":"s","label":"x","label_time":"1970-01-01T01:00:00.1234567+01:00"}')
    assert event.label_time == 0.123456
    leap = decode(b'{"id":"a","task":"s","label":"x","label_time":"1969-12-31T23:59:60Z"}')
    assert leap.label_time == 0.0


def test_an_exported_event_is_read_back_and_says_where_it_stood() -> None:
    stored = StoredEvent("a", "s", 1.5, Input("x"), b"k" * 16, Split.HOLDOUT, "y", 2.0, seq=7, revision=1)
    line = encode_stored(stored)
    assert decode(line) == Event("a", "s", time=1.5, input=Input("x"), label="y", label_time=2.0)
    assert {"seq": 7, "split": "holdout", "revision": 1}.items() <= orjson.loads(line).items()
    assert record_key(line) == b"a"
    assert record_key(b"nonsense") is None

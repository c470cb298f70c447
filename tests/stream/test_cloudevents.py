"""CloudEvents: what the cloudevents package writes to Kafka is read, in both modes; what is wrong is a DecodeError."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from cloudevents.http import CloudEvent
from cloudevents.kafka import KafkaMessage, to_binary, to_structured
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.decoders import CloudEventsDecoder
from daemon.errors import DecodeError
from daemon.events import Event, Input, Op
from daemon.stream.decoders import get_decoder
from daemon.stream.own import OWN
from daemon.stream.ports import Headers, Record
from daemon.stream.rfc3339 import parse_time

REASONS = {
    "no_value", "not_json", "not_object", "missing_field", "wrong_type", "wrong_value", "wrong_time",
    "not_cloudevent", "wrong_specversion", "wrong_content_type", "unknown_task",
}  # fmt: skip
STRUCTURED = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
ATTRIBUTES = {"id": "ce-1", "source": "/crm", "type": "com.example.ticket", "time": "2026-11-23T10:00:00Z"}
ENVELOPE: dict[str, Any] = {"specversion": "1.0", **ATTRIBUTES}
BINARY = tuple((f"ce_{name}", value.encode()) for name, value in ENVELOPE.items())
DATA = {"text": "my card is lost", "label": "card_lost"}
TIME = parse_time("2026-11-23T10:00:00Z", "time")


def decode(value: bytes | None, headers: Headers = (), **cfg: Any) -> Event:
    decoder = get_decoder(CloudEventsDecoder(**cfg), default_task="support")
    return decoder.decode(Record("t", 0, 0, 5.0, None, value, headers))


def structured(**more: Any) -> bytes:
    return orjson.dumps({**ENVELOPE, **more})


def sent(message: KafkaMessage, **cfg: Any) -> Event:
    value = message.value.encode() if isinstance(message.value, str) else message.value
    return decode(value, tuple(message.headers.items()), **cfg)


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(words, words, words, st.booleans())
def test_what_the_cloudevents_package_writes_is_read(identity: str, text: str, subject: str, typed: bool) -> None:
    # Given an event of theirs (the package writes binary mode only with a datacontenttype)
    attributes = {**ATTRIBUTES, "id": identity, "subject": subject}
    data = {"text": text, "label": "x"}
    whole = CloudEvent({**attributes, "datacontenttype": "application/json"}, data)
    theirs = whole if typed else CloudEvent(attributes, data)
    # When it is written in binary mode, structured, and structured with data as bytes
    as_bytes = to_structured(theirs, data_marshaller=orjson.dumps)
    messages = [to_binary(whole), to_structured(theirs), as_bytes]
    # Then each is the same event of ours
    expected = Event(identity, "support", time=TIME, input=Input(text), label="x")
    assert [sent(message) for message in messages] == [expected] * 3
    assert "data_base64" in str(as_bytes.value)
    # And the subject can be what the event is known by
    assert sent(messages[0], id_from="subject").id == subject


def test_both_modes_give_the_same_event() -> None:
    expected = Event("ce-1", "support", time=TIME, input=Input("my card is lost"), label="card_lost")
    assert decode(structured(data=DATA), STRUCTURED) == expected
    assert decode(structured(data=DATA)) == expected
    assert decode(orjson.dumps(DATA), (*BINARY, ("content-type", b"application/json"))) == expected
    assert decode(orjson.dumps(DATA), tuple((name.upper(), value) for name, value in BINARY)) == expected
    encoded = base64.b64encode(orjson.dumps(DATA)).decode()
    assert (
        decode(structured(data_base64=encoded, datacontenttype="application/vnd.ticket+json"), STRUCTURED) == expected
    )


def test_what_the_data_says_wins_over_the_envelope() -> None:
    # Given data with an id, time and task of its own, under an envelope with others
    data = {**DATA, "id": "own", "task": "mood", "time": "1970-01-01T00:00:01Z", "source": "agent"}
    # When it is read with everything taken from the envelope
    event = decode(structured(data=data), task_from="type", source_from="source")
    # Then the data holds
    assert (event.id, event.task, event.time, event.source) == ("own", "mood", 1.0, "agent")


def test_what_retaind_writes_itself_is_read_in_its_own_form() -> None:
    assert decode(b'{"id":"a","op":"delete"}', (OWN,)) == Event("a", "support", Op.DELETE)
    with pytest.raises(DecodeError, match="neither content-type"):
        decode(b'{"id":"a","op":"delete"}')


def test_the_task_and_who_labelled_come_from_the_envelope_only_when_asked() -> None:
    assert decode(structured(data=DATA)).source == ""
    assert decode(structured(data=DATA), source_from="source").source == "/crm"
    assert decode(structured(data=DATA), task_from="type").task == "com.example.ticket"
    named = {"com.example.ticket": "mood"}
    assert decode(structured(data=DATA), task_from="type", task_names=named).task == "mood"
    with pytest.raises(DecodeError, match=r"'com.example.ticket' is not in decoder.task_names") as caught:
        decode(structured(data=DATA), task_from="type", task_names={"other": "mood"})
    assert caught.value.reason == "unknown_task"


def test_the_time_of_a_label_that_comes_alone_is_when_it_became_known() -> None:
    event = decode(structured(data={"id": "t", "label": None}))
    assert event == Event("t", "support", Op.RETRACT, label_time=TIME)
    late = decode(structured(data={"id": "t", "label": "x", "label_time": "1970-01-01T00:00:01Z"}))
    assert late.label_time == 1.0
    assert decode(structured(data={"id": "t", "op": "delete"})).op is Op.DELETE


def test_null_attributes_count_as_absent_and_header_values_stand_as_they_are() -> None:
    assert decode(structured(data=DATA, subject=None, dataschema=None)).id == "ce-1"
    with pytest.raises(DecodeError, match="id of the CloudEvent"):
        decode(structured(data=DATA, id=None))
    # UTF-8, and no percent-encoding: that is HTTP's
    headers = (*BINARY, ("ce_id", "Grüße%20".encode()))
    assert decode(orjson.dumps(DATA), headers).id == "Grüße%20"


@pytest.mark.parametrize(
    ("value", "headers", "reason", "says"),
    [
        (b"{}", (), "not_cloudevent", "kind: json"),
        (b"[]", (), "not_object", "list"),
        (None, BINARY, "no_value", "data"),
        (None, STRUCTURED, "no_value", "value is missing"),
        (b"nonsense", STRUCTURED, "not_json", "not JSON"),
        (structured(), STRUCTURED, "no_value", "data of the CloudEvent is missing"),
        (structured(data=None), STRUCTURED, "not_object", "null"),
        (structured(data='{"id":1}'), STRUCTURED, "not_object", "string"),
        (structured(data=DATA, data_base64="e30="), STRUCTURED, "wrong_value", "one of them"),
        (structured(data_base64="e3#0="), STRUCTURED, "wrong_value", "Base64"),
        (structured(data_base64=7), STRUCTURED, "wrong_type", "data_base64: must be a string, not number 7"),
        (structured(data_base64="W10="), STRUCTURED, "not_object", "list"),
        (structured(data=DATA, specversion="0.3"), STRUCTURED, "wrong_specversion", "'0.3'; 1.0"),
        (structured(data=DATA, type=""), STRUCTURED, "missing_field", "type of the CloudEvent"),
        (structured(data=DATA, id=7), STRUCTURED, "wrong_type", "id of the CloudEvent: must be a string, not number 7"),
        (structured(data=DATA, time="noon"), STRUCTURED, "wrong_time", "time of the CloudEvent: 'noon'"),
        (structured(data={"text": "x"}, time=None), STRUCTURED, "missing_field", "time"),
        (structured(data=DATA, datacontenttype="text/xml"), STRUCTURED, "wrong_content_type", "text/xml"),
        (b"{}", (*BINARY, ("content-type", b"application/avro")), "wrong_content_type", "application/avro"),
        (b"{}", (*BINARY, ("content-type", b"application/json; charset=latin1")), "wrong_content_type", "latin1"),
        (b"{}", (("content-type", b"application/cloudevents+avro"),), "wrong_content_type", "binary mode"),
        (b"[]", (("content-type", b"Application/CloudEvents-batch+json"),), "wrong_content_type", "one event a record"),
        (b"{}", (*BINARY, ("ce_id", b"\xff")), "wrong_value", "ce_id: is not UTF-8"),
        (b"{}", BINARY[1:], "not_cloudevent", "ce_specversion"),
        (b'{"text": 7}', BINARY, "wrong_type", "text: must be a string, not number 7"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(value: bytes | None, headers: Headers, reason: str, says: str) -> None:
    with pytest.raises(DecodeError, match=says) as caught:
        decode(value, headers)
    assert caught.value.reason == reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["specversion", "id", "source", "type", "time", "subject", "data", "data_base64", "datacontenttype", "x"]
)
header_names = st.sampled_from(["content-type", "ce_specversion", "ce_id", "ce_time", "CE_type", "ce_source", "ce_"])
header_values = st.binary(max_size=12) | st.sampled_from(
    [b"1.0", b"application/cloudevents+json", b"application/json;charset=utf-8", b"application/cloudevents", b";;=;"]
)


@given(
    st.dictionaries(names, json_values | st.dictionaries(st.sampled_from(sorted(DATA)), json_values), max_size=8),
    st.lists(st.tuples(header_names, header_values), max_size=6).map(tuple),
    st.booleans(),
    st.none() | st.binary(max_size=50),
)
def test_nothing_but_decode_errors_comes_out(
    fields: dict[str, Any], headers: Headers, whole: bool, noise: bytes | None
) -> None:
    document = {**ENVELOPE, "data": DATA, **fields} if whole else fields
    for value in (orjson.dumps(document), noise):
        refused: DecodeError | None = None
        try:
            decode(value, headers, task_from="subject", source_from="source", id_from="subject")
        except DecodeError as error:
            refused = error
        assert refused is None or refused.reason in REASONS
        assert len(str(refused)) < 500


@pytest.mark.parametrize(
    "value", [b"[" * 100_000, b'{"data":' * 100_000, b'{"specversion":' + b"[" * 900 + b"]" * 900 + b"}"]
)
def test_deep_documents_are_refused(value: bytes) -> None:
    for headers in ((), STRUCTURED, BINARY):
        with pytest.raises(DecodeError):
            decode(value, headers)

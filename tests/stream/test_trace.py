"""A trace goes on with the prediction; what is malformed is dropped, and never an error."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.stream.ports import Headers, Record
from daemon.stream.trace import is_traceparent, trace_headers, trace_of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-00"


def record(headers: Headers = (), value: bytes | None = b"{}") -> Record:
    return Record("t", 0, 0, 0.0, None, value, headers)


def test_the_headers_of_a_record_are_carried() -> None:
    headers: Headers = (("TraceParent", PARENT.encode()), ("tracestate", b"a=1"), ("tracestate", b"b=2, c=3"))
    assert trace_headers(record(headers)) == (("traceparent", PARENT.encode()), ("tracestate", b"a=1,b=2,c=3"))
    assert trace_headers(record()) == ()
    assert trace_headers(record((("tracestate", b"a=1"),))) == ()


def test_a_cloudevent_says_it_in_its_extension_and_a_header_of_the_record_wins() -> None:
    # Given the extension in binary mode and in structured mode
    binary = (("ce_traceparent", OTHER.encode()), ("ce_tracestate", b"x=y"))
    structured = orjson.dumps({"specversion": "1.0", "traceparent": OTHER, "tracestate": "x=y"})
    expected = (("traceparent", OTHER.encode()), ("tracestate", b"x=y"))
    # Then it is carried as plain headers
    assert trace_headers(record(binary)) == expected
    assert trace_headers(record(value=structured)) == expected
    # And the record's own header wins where it can be read
    assert trace_headers(record((*binary, ("traceparent", PARENT.encode())))) == (("traceparent", PARENT.encode()),)
    assert trace_headers(record((*binary, ("traceparent", b"junk")))) == expected
    # And a field of that name in what is no CloudEvent is not one
    assert trace_headers(record(value=orjson.dumps({"traceparent": OTHER}))) == ()
    assert trace_headers(record(value=b'{"specversion" "traceparent"')) == ()
    assert trace_headers(record(value=orjson.dumps({"specversion": "1.0", "traceparent": [OTHER]}))) == ()
    assert trace_headers(record(value=None)) == ()


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (PARENT, True),
        (PARENT.replace("00-", "cc-", 1), True),
        (PARENT.replace("00-", "cc-", 1) + "-more", True),
        (PARENT + "-more", False),
        (PARENT.replace("00-", "cc-", 1) + "more", False),
        (PARENT.replace("00-", "ff-", 1), False),
        (PARENT.upper(), False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", False),
        (PARENT[:-1], False),
        (PARENT + "\n", False),
        ("", False),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(text: str, good: bool) -> None:
    assert is_traceparent(text) is good


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("a=1", "a=1"),
        (" a=1 ,\tb@x=2,", "a=1,b@x=2"),
        ("", None),
        ("a", None),
        ("A=1", None),
        ("a=1,a=2", None),
        ("a=1=2", None),
        ("a=\x00", None),
        (",".join(f"k{n}=1" for n in range(33)), None),
        (f"a={'x' * 300}", None),
        (",".join(f"k{n}={'x' * 100}" for n in range(6)), None),
    ],
)
def test_a_malformed_tracestate_is_dropped_alone(state: str, kept: str | None) -> None:
    found = dict(trace_of(PARENT, state))
    assert found.pop("traceparent") == PARENT.encode()
    assert found == ({} if kept is None else {"tracestate": kept.encode()})


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["traceparent", "tracestate", "ce_traceparent", "x"]),
            st.binary(max_size=60) | st.just(PARENT.encode()),
        ),
        max_size=5,
    ).map(tuple),
    st.none() | st.binary(max_size=40),
)
def test_nothing_is_raised(headers: Headers, noise: bytes | None) -> None:
    for value in (noise, b'{"specversion":"1.0","traceparent":' + (noise or b"") + b"}"):
        for name, text in trace_headers(record(headers, value)):
            assert name in ("traceparent", "tracestate")
            assert text.isascii()

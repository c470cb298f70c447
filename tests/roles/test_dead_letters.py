"""What a dead letter holds."""

from __future__ import annotations

import hashlib

from daemon.errors import DecodeError
from daemon.events import Origin
from daemon.roles.dead_letters import dead_letter, out_record, reference, without_errors
from daemon.stream.ports import Record

PREFIX = "__connect.errors."
ERROR = DecodeError("not_json", "not JSON: line 1")


def record(value: bytes | None = b"{", headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    return Record("in", 3, 7, 5.0, b"key", value, headers)


def test_its_headers_are_named_as_kafka_connect_names_them() -> None:
    # Given a record that a decoder broke on
    try:
        raise ZeroDivisionError("ours")
    except ZeroDivisionError as cause:
        broken = DecodeError("decoder_failed", "ZeroDivisionError: ours")
        broken.__cause__ = cause
    # When it is written
    out = out_record(dead_letter(record(headers=(("mine", b"1"),)), broken, "some.Decoder"), "dlq", "group")
    # Then all of Connect's names but the task's are there
    found = {name.removeprefix(PREFIX): value for name, value in out.headers if name.startswith(PREFIX)}
    assert b"ZeroDivisionError: ours" in found.pop("exception.stacktrace")
    assert found == {
        "topic": b"in",
        "partition": b"3",
        "offset": b"7",
        "connector.name": b"group",
        "stage": b"VALUE_CONVERTER",
        "class.name": b"some.Decoder",
        "exception.class.name": b"daemon.errors.DecodeError",
        "exception.message": b"ZeroDivisionError: ours",
    }
    assert (out.topic, out.key, out.value, out.timestamp) == ("dlq", b"key", b"{", 5.0)
    assert out.headers[0] == ("mine", b"1")


def test_a_letter_that_dies_again_does_not_grow() -> None:
    # Given a letter that was sent back as it lies in the dead-letter topic, again and again
    first = dead_letter(record(headers=(("mine", b"1"), ("retaind.replayed", b"1"))), ERROR, "d")
    again = first
    for _ in range(5):
        again = dead_letter(record(headers=out_record(again, "dlq", "group").headers), ERROR, "d")
    # Then it has its own headers, and one error
    assert again.headers == first.headers
    assert without_errors(again.headers) == (("mine", b"1"), ("retaind.replayed", b"1"))


def test_a_reference_says_what_it_stands_for_and_is_small() -> None:
    # Given a record whose every part is large
    headers = (("mine", b"1"), ("large", b"h" * 5000), *((f"h{n}", b"x" * 400) for n in range(1000)))
    large = Record("in", 3, 7, 5.0, b"k" * 9000, b"v" * 1_000_000, headers)
    # When it goes as a reference
    letter = dead_letter(large, DecodeError("too_large", "1 MB"), "d", keep_value=False)
    # Then place, size and hash are there, and little else
    found = dict(letter.headers)
    assert letter.origin == Origin("in", 3, 7)
    assert (letter.value, letter.timestamp, letter.key) == (None, 5.0, b"k" * 500)
    assert found["retaind.size"] == b"1000000"
    assert found["retaind.sha256"].decode() == hashlib.sha256(b"v" * 1_000_000).hexdigest()
    assert found["mine"] == b"1"
    assert "large" not in found
    assert sum(len(name) + len(value) for name, value in letter.headers) < 20_000


def test_a_reference_to_what_the_topic_refused_keeps_the_first_error() -> None:
    letter = dead_letter(record(b"x" * 9000), ERROR, "d")
    found = dict(reference(letter, "dlq: too large").headers)
    assert found["retaind.refused"] == b"dlq: too large"
    assert found["retaind.size"] == b"9000"
    assert found[PREFIX + "exception.message"] == b"not JSON: line 1"
    assert found["retaind.reason"] == b"not_json"

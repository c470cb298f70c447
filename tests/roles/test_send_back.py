"""Which dead letters go back, and how."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from daemon.buffer.ports import DeadLetter
from daemon.errors import DecodeError
from daemon.events import Origin
from daemon.roles.dead_letters import dead_letter, out_record
from daemon.roles.letter import FOREIGN, Letter, letter_of, parse_place, place_text
from daemon.roles.send_back import Sent, Wanted, plan, send_back
from daemon.stream.ports import OutRecord, Record
from daemon.testing import MemoryBroker, MemorySink

DLQ, READ = "dlq", {"in", "other"}


def die(record: Record, reason: str = "not_json", *, keep_value: bool = True) -> OutRecord:
    letter: DeadLetter = dead_letter(record, DecodeError(reason, "why"), "d", keep_value=keep_value)
    return out_record(letter, DLQ, "group")


def record(offset: int, value: bytes = b"{", topic: str = "in") -> Record:
    return Record(topic, 0, offset, float(offset), b"k", value, (("mine", b"1"),))


def letters(broker: MemoryBroker) -> Sequence[Letter]:
    return [letter_of(found) for found in broker.records(DLQ)]


def go(broker: MemoryBroker, wanted: Wanted, to: str | None = None) -> tuple[Sent, dict[str, str], list[str]]:
    made, sent = plan(letters(broker), wanted, READ, to), Sent()
    send_back(letters(broker), made.chosen, MemorySink(broker), to, sent)
    return sent, made.refused, made.missing


def test_a_record_goes_back_as_it_was() -> None:
    broker = MemoryBroker()
    broker.append([die(record(7, b"\xff{"))])
    sent, _, _ = go(broker, Wanted())
    assert sent.acknowledged == 1
    (back,) = broker.records("in")
    assert (back.key, back.value, back.timestamp) == (b"k", b"\xff{", 7.0)
    assert back.headers == (("mine", b"1"), ("retaind.origin", b"in:0:7"), ("retaind.replayed", b"1"))


def test_what_fails_again_and_again_is_one_more_letter_each_time_and_its_headers_do_not_grow() -> None:
    # Given a letter
    broker = MemoryBroker()
    broker.append([die(record(7))])
    # When it is sent back four times, and dies each time
    for count in range(1, 5):
        before = len(broker.records("in"))
        sent, _, _ = go(broker, Wanted())
        assert sent.acknowledged == 1
        (back,) = broker.records("in")[before:]
        assert dict(back.headers)["retaind.replayed"] == b"%d" % count
        broker.append([die(back)])
    # Then there are five letters of it, all as large, and the last says how often
    found = letters(broker)
    assert [(letter.replayed, letter.root) for letter in found] == [(n, "in:0:7") for n in range(5)]
    assert len({len(letter.headers) for letter in found[1:]}) == 1


def test_conditions_choose() -> None:
    broker = MemoryBroker()
    broker.append([die(record(1), "a"), die(record(2), "b"), die(record(3, topic="other"), "b"), die(record(4), "b")])
    for wanted, expected in (
        (Wanted(), {1, 2, 3, 4}),
        (Wanted(reason="b"), {2, 3, 4}),
        (Wanted(since=3.0), {3, 4}),
        (Wanted(topic="other"), {3}),
        (Wanted(reason="b", topic="in", since=3.0), {4}),
        (Wanted(places=frozenset({Origin("in", 0, 1), Origin("other", 0, 3)})), {1, 3}),
        (Wanted(reason="a", places=frozenset({Origin("in", 0, 2)})), set()),
    ):
        chosen = plan(letters(broker), wanted, READ, None).chosen
        assert {int(letter.time) for letter in letters(broker) if letter.found in chosen} == expected


def test_what_cannot_go_is_named_with_its_reason() -> None:
    # Given a reference, a letter of a topic that is not read, and what is no letter
    broker = MemoryBroker()
    broker.append([die(record(1, b"x" * 99), "too_large", keep_value=False), die(record(2, topic="gone"))])
    broker.append([OutRecord(DLQ, b"hello")])
    # When all are sent back
    sent, refused, missing = go(broker, Wanted(places=frozenset()))
    assert (sent.acknowledged, missing) == (0, [])
    assert refused.keys() == {"in:0:1", "gone:0:2", "dlq:0:2"}
    assert "its value (99 bytes) is not in the letter" in refused["in:0:1"]
    assert "not in stream.inputs: name a topic with --to" in refused["gone:0:2"]
    assert letters(broker)[2].reason == FOREIGN
    # When a topic is named, Then all that have a value go there; a place that is not there is named
    sent, refused, missing = go(broker, Wanted(), to="in")
    assert (sent.acknowledged, list(refused)) == (2, ["in:0:1"])
    assert len(broker.records("in")) == 2
    _, _, missing = go(broker, Wanted(places=frozenset({Origin("in", 0, 99)})))
    assert missing == ["in:0:99"]


def test_what_the_stream_refuses_is_named_and_the_rest_goes() -> None:
    broker = MemoryBroker()
    broker.append([die(record(n, b"x" * n)) for n in range(500)])
    broker.max_record_bytes = 497
    sent, _, _ = go(broker, Wanted())
    assert sent.acknowledged == 498
    assert sent.refused.keys() == {"in:0:498", "in:0:499"}


@pytest.mark.parametrize("text", ["", "in", "in:0", "in:0:", ":0:1", "in:a:1", "in:0:-1", "in:0:1:2"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="TOPIC:PARTITION:OFFSET"):
        parse_place(text)
    assert place_text(parse_place("a.b-c_d:3:17")) == "a.b-c_d:3:17"

"""What records may be like, through real topics: poison, large, repeated, out of order, from another time."""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from contextlib import closing

import orjson
import pytest
from kafka import KafkaProducer

from daemon.roles.letter import letter_of
from daemon.stream.ports import Record
from tests.chaos.test_fuzz import REASONS, messages
from tests.kafka.ledger import place_of
from tests.kafka.topics import Stored
from tests.roles.kafka.conftest import MakePlace
from tests.roles.kafka.place import KafkaPlace

YEAR_S = 365 * 86400
MIB = 1 << 20


def test_each_of_a_thousand_broken_messages_is_an_event_or_a_dead_letter_with_its_place(make_place: MakePlace) -> None:
    # Given a corpus of which half is broken in some way
    place, made = make_place(partitions=2), []
    for message in messages(random.Random(5)):
        made.append(message)
        if len(made) == 1000:
            break
    draw = random.Random(6)
    keys = [draw.choice((None, draw.randbytes(9))) for _ in made]
    values = [b"" if key is None and value is None else value for (_, _, value), key in zip(made, keys, strict=True)]
    at = place.topics.produce(place.topic, values, keys=keys, headers=[("h", b"\x00\xff")])
    # When ingest reads them all
    place.settle(60)
    # Then each is counted once, as an event or as a letter
    letters = place.dead()
    outcomes = Counter({name: n for name, n in place.observer.counts.items() if name[0] == "events_total"})
    assert sum(outcomes.values()) == len(made)
    assert len(letters) > 300
    # And a letter is as it came, with its place and a reason of a few
    sent = {(place.topic, *where): (value, key) for where, value, key in zip(at, values, keys, strict=True)}
    assert len({place_of(letter) for letter in letters}) == len(letters)
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["retaind.reason"].decode() in REASONS
        assert headers["h"] == b"\x00\xff"
        value, key = sent[place_of(letter)]
        assert letter.key == key
        if headers["retaind.reason"] == b"too_large":
            assert not letter.value
        else:
            assert letter.value == value
    # And what was whole is stored
    assert {f"whole-{number}" for name, number, _ in made if name == "whole"} <= place.kept().keys()


def test_a_record_of_ten_megabytes_becomes_a_reference_and_the_next_one_is_stored(make_place: MakePlace) -> None:
    # Given a topic that takes large records, and one of 10 MB
    place = make_place({"max.message.bytes": str(16 * MIB)}, max_record_bytes=MIB)
    value = b"x" * (10 * MIB)
    with closing(KafkaProducer(bootstrap_servers=place.topics.bootstrap, max_request_size=16 * MIB)) as producer:
        producer.send(place.topic, value, key=b"large").get(30)
    place.write("next")
    # When it is read
    place.settle(30)
    # Then its letter says where it is, how large, and its hash, and the event behind it is stored
    (letter,) = place.dead()
    headers = dict(letter.headers)
    assert letter.value is None
    assert place_of(letter) == (place.topic, 0, 0)
    assert headers["retaind.reason"] == b"too_large"
    assert headers["retaind.size"] == b"%d" % len(value)
    assert headers["retaind.sha256"].decode() == hashlib.sha256(value).hexdigest()
    assert set(place.kept()) == {"next"}


def test_events_that_come_twice_count_once_also_after_a_restart(place: KafkaPlace) -> None:
    place.write("a", "b", "a")
    place.settle()
    place.restart()
    place.write("b", "c")
    place.settle()
    assert set(place.kept()) == {"a", "b", "c"}
    assert place.observer.counts["events_total", "support", "stored"] == 3
    assert place.observer.counts["events_total", "support", "duplicate"] == 2


def test_labels_out_of_order_leave_the_latest_one(place: KafkaPlace) -> None:
    # Given labels of one event in disorder, some of them before it, and over two polls
    times = [f"2026-01-{day:02d}T00:00:00Z" for day in range(1, 21)]
    random.Random(3).shuffle(times)
    lines = [orjson.dumps({"id": "a", "label": moment, "label_time": moment}) for moment in times]
    place.topics.produce(place.topic, lines[:10], keys=[b"a"] * 10)
    place.settle()
    place.write("a", label="first", label_time="2025-01-01T00:00:00Z")
    place.topics.produce(place.topic, lines[10:], keys=[b"a"] * 10)
    # When all are ingested
    place.settle()
    # Then the latest label holds, wherever it stood
    assert place.kept()["a"].label == max(times)


@pytest.mark.parametrize("jump_s", [-YEAR_S, YEAR_S])
def test_records_of_another_year_are_stored_and_their_letters_arrive(make_place: MakePlace, jump_s: int) -> None:
    # Given topics that keep what is old, one of which takes any time; the other one takes none ahead of the broker's
    # clock, as Kafka does by itself; and a producer whose clock is a year off
    place = make_place(
        {"message.timestamp.after.max.ms": "9223372036854775807", "retention.ms": "-1"}, {"retention.ms": "-1"}
    )
    moment = round((time.time() + jump_s) * 1000)
    with closing(KafkaProducer(bootstrap_servers=place.topics.bootstrap)) as producer:
        for value in (
            orjson.dumps({"id": "a", "time": "2026-01-01T00:00:00Z", "text": "one", "label": "x"}),
            b"{poison",
        ):
            producer.send(place.topic, value, key=b"k", timestamp_ms=moment).get(30)
    place.write("b")
    # When they are ingested
    place.settle()
    # Then both events are there, and the letter has its value and says when the record was made
    assert set(place.kept()) == {"a", "b"}
    assert place.kept()["a"].label_time == pytest.approx(moment / 1000)
    (letter,) = place.dead()
    assert letter.value == b"{poison"
    assert letter_of(_record(letter)).time == pytest.approx(moment / 1000)
    # And where the topic took it, it has the record's own timestamp
    assert (letter.time_ms == moment) == (jump_s < 0)


def _record(stored: Stored) -> Record:
    headers = tuple(stored.headers)
    return Record("dlq", stored.partition, stored.offset, stored.time_ms / 1000, stored.key, stored.value, headers)

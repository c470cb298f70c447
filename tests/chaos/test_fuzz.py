"""Ten thousand messages, most of them broken: each is an event or a dead letter, once, and ingest never stops."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.clock import SystemClock
from daemon.config.models import BufferConfig
from daemon.config.stream import Embedded
from daemon.config.task import Labels, TaskConfig
from daemon.roles.ingest import IngestRole
from daemon.stream.decoders import get_decoder
from daemon.stream.embedded import EmbeddedSink, EmbeddedSource
from daemon.stream.ports import OutRecord
from daemon.tasks.schema import get_schema
from tests.roles.test_ingest import Counting

MESSAGES = int(os.environ.get("RETAIND_CHAOS_MESSAGES", "20000"))
MAX_BYTES = 20_000
CFG = Embedded(partitions=3, fsync=False)
STRANGE: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, 2**63, "", " ", "\0", "\ufeff", "a" * 600, "ÄÖ🂡\u202e", [], [[]], {},
    {"": {}}, [None],
    "2026-13-45T99:99:99Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01", "NaN", ["x", "y"], "delete",
)  # fmt: skip
REASONS = {
    "no_value", "not_json", "not_object", "missing_field", "wrong_type", "wrong_value", "wrong_time", "wrong_label",
    "wrong_input", "empty_text", "unknown_task", "too_large", "too_many_labels",
}  # fmt: skip

Mutation = Callable[[random.Random, bytes], bytes | None]


def event(number: int) -> dict[str, Any]:
    return {
        "id": f"m{number}",
        "task": "support",
        "time": "2026-01-01T00:00:00Z",
        "text": f"text {number}",
        "label": f"class {number % 7}",
        "source": "crm",
        "attributes": {"region": "emea"},
    }


def retyped(rng: random.Random, value: bytes) -> bytes:
    fields = orjson.loads(value)
    for name in rng.sample(sorted(fields), rng.randint(1, 3)):
        fields[name] = rng.choice(STRANGE)
    return _dumps(fields)


def dropped(rng: random.Random, value: bytes) -> bytes:
    fields = orjson.loads(value)
    for name in rng.sample(sorted(fields), rng.randint(1, 4)):
        del fields[name]
    return _dumps(fields)


def added(rng: random.Random, value: bytes) -> bytes:
    more = {rng.choice(("op", "tokens", "text_pair", "label_time", "group", "x" * 300, "")): rng.choice(STRANGE)}
    return _dumps({**orjson.loads(value), **more})


def flipped(rng: random.Random, value: bytes) -> bytes:
    data = bytearray(value)
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def huge(rng: random.Random, value: bytes) -> bytes:
    return _dumps({**orjson.loads(value), "text": "long " * rng.randint(3000, 9000)})


MUTATIONS: dict[str, Mutation] = {
    "whole": lambda rng, value: value,
    "retyped": retyped,
    "dropped": dropped,
    "added": added,
    "flipped": flipped,
    "torn": lambda rng, value: value[: rng.randrange(len(value))],
    "doubled": lambda rng, value: value + value,
    "other": lambda rng, value: orjson.dumps([1, orjson.loads(value)]),
    "new_class": lambda rng, value: value.replace(b'"class ', b'"class %d ' % rng.randrange(10**6)),
    "noise": lambda rng, value: rng.randbytes(rng.randint(0, 200)),
    "deep": lambda rng, value: b"[" * rng.randint(100, 9000),
    "deep_text": lambda rng, value: value.replace(b'"emea"', b'{"a":' * 900 + b"1" + b"}" * 900),
    "surrogate": lambda rng, value: value.replace(b"text ", rb"\ud800 "),
    "nan": lambda rng, value: value.replace(b'"crm"', b"NaN"),
    "empty": lambda rng, value: b"",
    "none": lambda rng, value: None,
    "huge": huge,
}


def messages(rng: random.Random) -> Iterator[tuple[str, int, bytes | None]]:
    """Name of the mutation, number of the event, value. Half of them are whole, or nearly so."""
    names = sorted(MUTATIONS) + ["whole"] * 6 + ["added", "retyped"] * 4
    for number in range(MESSAGES):
        name = rng.choice(names)
        fields = {**event(number), "id": f"whole-{number}" if name == "whole" else f"m{number}"}
        yield name, number, MUTATIONS[name](rng, orjson.dumps(fields))


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_each_of_ten_thousand_broken_messages_is_an_event_or_a_dead_letter_once(
    tmp_path: Path, rng: random.Random
) -> None:
    # Given a stream of messages, most of them broken in some way, with keys and headers of any kind
    path = tmp_path / "stream.sqlite"
    sink, made = EmbeddedSink(path, CFG), list(messages(rng))
    for start in range(0, len(made), 500):
        sink.send(
            [
                OutRecord("in", value, rng.choice((None, b"", rng.randbytes(9))), (("h", rng.randbytes(5)),), 5.0)
                for _, _, value in made[start : start + 500]
            ]
        )
        sink.flush(60)
    # When the real ingest reads them all
    observer, stop, labels = Counting(), threading.Event(), Labels(max_labels=40)
    source = EmbeddedSource(path, ["in"], "g", CFG)
    role = IngestRole(
        source,
        sink,
        SqliteBufferWriter(tmp_path / "b.sqlite", {"support": TaskConfig()}, BufferConfig(), SystemClock()),
        decoders={"in": get_decoder(default_task="support")},
        schemas={"support": get_schema("sequence")},
        clock=SystemClock(),
        observer=observer,
        dead_letter_topic="dlq",
        max_record_bytes=MAX_BYTES,
        passed=dict,
        labels={"support": labels},
    )
    while role.step():
        pass
    stop.set()
    # Then every message has one outcome, and what became a dead letter is there as it came, with a reason of a few
    letters = list(_read(path))
    outcomes = sum(amount for (metric, *_), amount in observer.counts.items() if metric == "events_total")
    whole = {f"whole-{number}" for name, number, _ in made if name == "whole"}
    reader = SqliteBufferReader(tmp_path / "b.sqlite")
    kept = {stored.id: stored for stored in reader.export()}
    reader.close()
    role.close()
    assert outcomes == MESSAGES
    assert observer.counts["events_total", "support", "dead_lettered"] <= len(letters)
    places = [tuple(letter[key] for key in ("topic", "partition", "offset")) for _, letter in letters]
    assert len(set(places)) == len(letters)
    sent = Counter(value for _, _, value in made)
    for value, headers in letters:
        assert headers["reason"] in REASONS
        assert value is None or sent[value] > 0
        if headers["reason"] == "too_large":
            assert value is None
    # And what was whole is stored as it was
    assert whole <= set(kept)
    for name in whole:
        expected = event(int(name.partition("-")[2]))
        found = kept[name]
        assert (found.input.text, found.attributes) == (expected["text"], expected["attributes"])
    assert len(letters) > MESSAGES // 3
    assert {headers["reason"] for _, headers in letters} == REASONS - {"wrong_input"}


def _read(path: Path) -> Iterator[tuple[bytes | None, dict[str, str]]]:
    """Value and what the headers say, of every dead letter."""
    source = EmbeddedSource(path, ["dlq"], "reader", CFG)
    try:
        while records := source.poll(1000, 0.5):
            for record in records:
                named = {name: value.decode() for name, value in record.headers if name != "h"}
                prefix = "__connect.errors."
                told = {key: named[prefix + key] for key in ("topic", "partition", "offset", "exception.message")}
                yield record.value, {**told, "reason": named["retaind.reason"]}
    finally:
        source.close()


def _dumps(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, default=str) if 2**63 not in fields.values() else repr(fields).encode()

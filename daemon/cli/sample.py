"""What becomes of sample records: an event, or a dead letter with its reason, by the code that ingest sorts with.

A line is the bare value of a record, or a record: an object with ``value`` and at least one of ``key``, ``headers``
(name -> text) and ``timestamp`` (seconds since the epoch), and nothing else. In a record a ``value`` that is text is
the value's bytes as they are; anything else stands for its JSON.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from daemon.buffer.ports import Arrival, label_text
from daemon.config.models import Config
from daemon.config.stream import InputTopic
from daemon.errors import ConfigError
from daemon.events import Event, Op
from daemon.roles.dead_letters import CONNECT
from daemon.roles.sorting import Sorting
from daemon.stream.decoders import get_decoder
from daemon.stream.encoding import encode_event
from daemon.stream.ports import Headers, Record
from daemon.tasks.labels import admit
from daemon.tasks.schema import get_schema

RECORD_KEYS = frozenset({"key", "headers", "timestamp", "value"})


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One line of a sample: ``event`` where it is one, else ``reason`` (a short code) and ``message``."""

    number: int
    event: Event | None
    reason: str | None = None
    message: str = ""

    def document(self) -> Mapping[str, Any]:
        """``event`` is in our JSON form (docs/reference/events.md)."""
        if self.event is None:
            return {"line": self.number, "outcome": "dead_letter", "reason": self.reason, "message": self.message}
        return {"line": self.number, "outcome": "event", "event": orjson.loads(encode_event(self.event))}


def table(rows: Sequence[SampleRow]) -> list[str]:
    """A line for each row under a line of heads; an event as our JSON."""
    lines = [f"{'line':<6}{'outcome':<13}{'reason':<20}event or what is wrong"]
    for row in rows:
        outcome, reason = ("dead letter", row.reason or "") if row.event is None else ("event", "")
        said = row.message if row.event is None else encode_event(row.event).decode()
        lines.append(f"{row.number:<6}{outcome:<13}{reason:<20}{said}")
    return lines


def decode_file(config: Config, sample: Path, topic: str | None) -> list[SampleRow]:
    """Each line of ``sample`` as a record of ``topic`` (the first input topic where it is None).

    ``labels`` of a task holds as for a buffer that is empty yet. Raises ConfigError for a topic that is not read, and
    for a line that is neither a value nor a record.
    """
    entry = _input(config, topic)
    default_task = next(iter(config.tasks)) if len(config.tasks) == 1 else None
    known: dict[str, dict[str, int]] = {name: {} for name in config.tasks}

    def let_in(event: Event) -> None:
        if event.label is not None and event.op is Op.UPSERT:
            admit(event.label, known[event.task], config.tasks[event.task].labels)
            known[event.task].setdefault(label_text(event.label), 1)

    sorting = Sorting(
        {entry.topic: get_decoder(entry.decoder, default_task=default_task)},
        {name: get_schema(task.type) for name, task in config.tasks.items()},
        config.stream.max_record_bytes,
        let_in,
    )
    rows = []
    for number, line in enumerate(sample.read_bytes().splitlines(), start=1):
        sorted_ = sorting.sort(_record(line, entry.topic, number))
        if isinstance(sorted_, Arrival):
            rows.append(SampleRow(number, sorted_.event))
        else:
            message = dict(sorted_.headers)[f"{CONNECT}exception.message"].decode()
            rows.append(SampleRow(number, None, sorted_.reason, message))
    return rows


def _record(line: bytes, topic: str, number: int) -> Record:
    try:
        found = orjson.loads(line)
    except (orjson.JSONDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict) or "value" not in found or len(found) < 2 or not found.keys() <= RECORD_KEYS:
        return Record(topic, 0, number - 1, time.time(), None, line)
    key, moment = found.get("key"), found.get("timestamp", time.time())
    if not isinstance(key, str | None):
        raise ConfigError(f"--sample, line {number}: key must be text or null")
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        raise ConfigError(f"--sample, line {number}: timestamp must be seconds since the epoch")
    headers = _headers(found.get("headers") or {}, number)
    return Record(topic, 0, number - 1, moment, None if key is None else key.encode(), _value(found["value"]), headers)


def _headers(found: object, number: int) -> Headers:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ConfigError(f'--sample, line {number}: headers must be {{"name": "text", ...}}')
    return tuple((name, value.encode()) for name, value in found.items())


def _value(found: object) -> bytes | None:
    if found is None:
        return None
    return found.encode() if isinstance(found, str) else orjson.dumps(found)


def _input(config: Config, topic: str | None) -> InputTopic:
    for entry in config.stream.inputs:
        if topic is None or entry.topic == topic:
            return entry
    known = ", ".join(entry.topic for entry in config.stream.inputs)
    raise ConfigError(f"--topic {topic}: not read; stream.inputs has: {known}")

"""What becomes of sample records: an event, or a dead letter with its reason. As ingest would do it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.config.models import Config
from daemon.config.stream import InputTopic
from daemon.errors import ConfigError, DecodeError
from daemon.events import Event, Input
from daemon.stream.decoders import get_decoder
from daemon.stream.ports import Record
from daemon.tasks.schema import get_schema


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One line of a sample: ``event`` where it is one, else ``reason`` (a short code) and ``message``."""

    number: int
    event: Event | None
    reason: str | None = None
    message: str = ""

    def document(self) -> Mapping[str, Any]:
        if self.event is None:
            return {"line": self.number, "outcome": "dead_letter", "reason": self.reason, "message": self.message}
        return {"line": self.number, "outcome": "event", "event": _fields(self.event)}

    def line(self) -> str:
        if self.event is None:
            return f"{self.number}: dead letter, {self.reason}: {self.message}"
        shown = ", ".join(f"{key}={value!r}" for key, value in _fields(self.event).items())
        return f"{self.number}: {shown}"


def decode_file(config: Config, sample: Path, topic: str | None) -> list[SampleRow]:
    """Each line of ``sample`` as a record of ``topic`` (the first input topic where it is None).

    Raises ConfigError for a topic that is not read.
    """
    entry = _input(config, topic)
    default_task = next(iter(config.tasks)) if len(config.tasks) == 1 else None
    decoder = get_decoder(entry.decoder, default_task=default_task)
    now = time.time()
    rows = []
    for number, line in enumerate(sample.read_bytes().splitlines(), start=1):
        record = Record(entry.topic, 0, number - 1, now, None, line)
        try:
            if len(line) > config.stream.max_record_bytes:
                raise DecodeError("too_large", f"{len(line)} bytes; stream.max_record_bytes allows less")
            event = decoder.decode(record)
            if event.task not in config.tasks:
                raise DecodeError("unknown_task", f"task {event.task!r}; configured: {', '.join(config.tasks)}")
            get_schema(config.tasks[event.task].type).validate(event)
        except DecodeError as error:
            rows.append(SampleRow(number, None, error.reason, str(error)))
        else:
            rows.append(SampleRow(number, event))
    return rows


def _input(config: Config, topic: str | None) -> InputTopic:
    for entry in config.stream.inputs:
        if topic is None or entry.topic == topic:
            return entry
    known = ", ".join(entry.topic for entry in config.stream.inputs)
    raise ConfigError(f"--topic {topic}: not read; stream.inputs has: {known}")


def _fields(event: Event) -> Mapping[str, Any]:
    """What is set of an event, as plain values."""
    plain = {
        "op": event.op.value,
        "id": event.id,
        "task": event.task,
        "time": event.time,
        "input": None if event.input is None else _input_fields(event.input),
        "label": event.label,
        "label_time": event.label_time,
        "source": event.source,
        "attributes": dict(event.attributes),
    }
    return {key: value for key, value in plain.items() if value not in (None, "", {})}


def _input_fields(value: Input) -> Mapping[str, Any]:
    fields = {"text": value.text, "text_pair": value.text_pair, "tokens": value.tokens}
    return {key: item for key, item in fields.items() if item is not None}

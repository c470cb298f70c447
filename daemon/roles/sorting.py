"""Record → arrival or dead letter. Nothing that a record holds can raise out of here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from daemon.buffer.ports import Arrival, DeadLetter
from daemon.errors import DecodeError
from daemon.events import Event, Origin
from daemon.roles.dead_letters import dead_letter
from daemon.stream.decoders import Decoder
from daemon.stream.ports import Record
from daemon.tasks.base import TaskSchema
from daemon.tasks.schema import input_key

log = structlog.get_logger(__name__)


class Sorting:
    """``decoders`` by topic, ``schemas`` by task; ``admit`` raises DecodeError for a label that may not
    become a class."""

    def __init__(
        self,
        decoders: Mapping[str, Decoder],
        schemas: Mapping[str, TaskSchema],
        max_record_bytes: int,
        admit: Callable[[Event], None],
    ) -> None:
        self._decoders, self._schemas, self._max_record_bytes = decoders, schemas, max_record_bytes
        self._admit = admit
        self._names = {
            topic: f"{type(one).__module__}.{type(one).__qualname__}" for topic, one in self._decoders.items()
        }

    def sort(self, record: Record) -> Arrival | DeadLetter:
        decoder = self._decoders[record.topic]
        name = self._names[record.topic]
        size = len(record.key or b"") + len(record.value or b"")
        size += sum(len(value) for _, value in record.headers) if record.headers else 0
        if size > self._max_record_bytes:
            error = DecodeError("too_large", f"{size} bytes; stream.max_record_bytes is {self._max_record_bytes}")
            return dead_letter(record, error, name, keep_value=False)
        try:
            return self._arrival(record, decoder)
        except DecodeError as error:
            return dead_letter(record, error, name)
        except Exception as error:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.exception("decoder_failed", decoder=name, **place)
            failed = DecodeError("decoder_failed", f"{type(error).__name__}: {error}")
            failed.__cause__ = error
            return dead_letter(record, failed, name)

    def _arrival(self, record: Record, decoder: Decoder) -> Arrival:
        event = decoder.decode(record)
        schema = self._schemas.get(event.task)
        if schema is None:
            known = ", ".join(self._schemas)
            raise DecodeError("unknown_task", f"task: {event.task!r} is not configured; tasks has: {known}")
        schema.validate(event)
        self._admit(event)
        key = None if event.input is None else input_key(schema, event.input)
        return Arrival(event, Origin(record.topic, record.partition, record.offset), record.timestamp, key)

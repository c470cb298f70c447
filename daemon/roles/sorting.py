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
        topic, partition, offset, timestamp, key, value, headers = record
        size = (len(key) if key else 0) + (len(value) if value else 0)
        if headers:
            size += sum(len(content) for _, content in headers)
        if size > self._max_record_bytes:
            error = DecodeError("too_large", f"{size} bytes; stream.max_record_bytes is {self._max_record_bytes}")
            return dead_letter(record, error, self._names[topic], keep_value=False)
        try:
            event = self._decoders[topic].decode(record)
            return Arrival(event, Origin(topic, partition, offset), timestamp, self._checked(event))
        except DecodeError as error:
            return dead_letter(record, error, self._names[topic])
        except Exception as error:
            name = self._names[topic]
            log.exception("decoder_failed", decoder=name, topic=topic, partition=partition, offset=offset)
            failed = DecodeError("decoder_failed", f"{type(error).__name__}: {error}")
            failed.__cause__ = error
            return dead_letter(record, failed, name)

    def _checked(self, event: Event) -> bytes | None:
        """The key of its input. Raises DecodeError."""
        schema = self._schemas.get(event.task)
        if schema is None:
            known = ", ".join(self._schemas)
            raise DecodeError("unknown_task", f"task: {event.task!r} is not configured; tasks has: {known}")
        schema.validate(event)
        self._admit(event)
        return None if event.input is None else input_key(schema, event.input)

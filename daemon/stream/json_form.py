"""Our own JSON form of an event (docs/reference/events.md), strictly typed: nothing is coerced."""

from __future__ import annotations

from daemon.events import Event
from daemon.stream.fields import Fields, make_event, read_object, read_text
from daemon.stream.ports import Record
from daemon.stream.rfc3339 import parse_time


class JsonEvents:
    """Decodes one JSON object a record. Unknown fields are ignored; ``default_task`` stands in for ``task``."""

    kind = "json"

    def __init__(self, default_task: str | None = None) -> None:
        self._default_task = default_task

    def decode(self, record: Record) -> Event:
        """Raises DecodeError and nothing else.

        Reasons: no_value, not_json, not_object, missing_field, wrong_type, wrong_value, wrong_time.
        """
        fields = read_object(record.value)
        label_time = read_time(fields, "label_time") if "label_time" in fields else None
        return make_event(fields, self._default_task, read_time(fields, "time"), label_time)


def read_time(fields: Fields, name: str) -> float | None:
    """The RFC 3339 time under ``name``, in seconds since the epoch; None where the field is absent."""
    text = read_text(fields, name)
    return None if text is None else parse_time(text, name)

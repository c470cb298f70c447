"""Event → JSON, in the form that :mod:`daemon.stream.json_form` reads."""

from __future__ import annotations

from typing import Any

import orjson

from daemon.events import Event, Input, LabelValue, Op, StoredEvent
from daemon.stream.rfc3339 import format_time


def encode_event(event: Event) -> bytes:
    """One JSON object; decoding it gives the event back (times to the microsecond)."""
    fields: dict[str, Any] = {"id": event.id, "task": event.task}
    if event.op is Op.DELETE:
        fields["op"] = Op.DELETE.value
    _put_time(fields, "time", event.time)
    _put_input(fields, event.input)
    if event.op is Op.RETRACT or event.label is not None:
        fields["label"] = _plain(event.label)
    _put_time(fields, "label_time", event.label_time)
    fields |= _given(source=event.source, attributes=dict(event.attributes))
    if event.group is not None:
        fields["group"] = event.group
    return orjson.dumps(fields)


def encode_stored(event: StoredEvent) -> bytes:
    """The export form: the event's own plus ``seq``, ``split`` and ``revision``."""
    fields: dict[str, Any] = {"id": event.id, "task": event.task}
    _put_time(fields, "time", event.time)
    _put_input(fields, event.input)
    if event.label is not None:
        fields["label"] = _plain(event.label)
        _put_time(fields, "label_time", event.label_time)
    fields |= _given(source=event.source, attributes=dict(event.attributes))
    return orjson.dumps({**fields, "seq": event.seq, "split": event.split.value, "revision": event.revision})


def record_key(line: bytes) -> bytes | None:
    """The record key of an encoded event: its id, so that all that is said of one event stays in order.

    None where ``line`` is not an event with an id (ingest will say so in the dead-letter topic).
    """
    try:
        fields = orjson.loads(line)
    except (orjson.JSONDecodeError, RecursionError):
        return None
    identity = fields.get("id") if isinstance(fields, dict) else None
    return identity.encode() if isinstance(identity, str) and identity else None


def _put_time(fields: dict[str, Any], name: str, seconds: float | None) -> None:
    if seconds is not None:
        fields[name] = format_time(seconds)


def _put_input(fields: dict[str, Any], value: Input | None) -> None:
    if value is None:
        return
    if value.text is not None:
        fields["text"] = value.text
    if value.text_pair is not None:
        fields["text_pair"] = value.text_pair
    if value.tokens is not None:
        fields["tokens"] = list(value.tokens)


def _plain(label: LabelValue | None) -> str | float | list[str] | None:
    return list(label) if isinstance(label, tuple) else label


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}

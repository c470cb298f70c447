"""Records that are not events, on their way to the dead-letter topic with Kafka Connect's header names."""

from __future__ import annotations

import hashlib

from daemon.buffer.ports import DeadLetter
from daemon.errors import DecodeError
from daemon.events import Origin
from daemon.stream.ports import Headers, OutRecord, Record

PREFIX = "__connect.errors."
STAGE = b"VALUE_CONVERTER"
MAX_MESSAGE_CHARS = 500


def dead_letter(record: Record, error: DecodeError, decoder: str, *, keep_value: bool = True) -> DeadLetter:
    """Key, value, original headers and timestamp kept, ours behind them.

    ``keep_value`` False: a reference, with ``retaind.size`` (bytes) and ``retaind.sha256`` instead of the value.
    """
    headers = record.headers if keep_value else tuple(h for h in record.headers if len(h[1]) <= MAX_MESSAGE_CHARS)
    headers += _errors(record, error, decoder)
    if not keep_value:
        value = record.value or b""
        headers += (
            ("retaind.size", str(len(value)).encode()),
            ("retaind.sha256", hashlib.sha256(value).hexdigest().encode()),
        )
    return DeadLetter(
        origin=Origin(record.topic, record.partition, record.offset),
        timestamp=record.timestamp,
        key=record.key if keep_value else (record.key or b"")[:MAX_MESSAGE_CHARS] or None,
        value=record.value if keep_value else None,
        headers=headers,
        reason=error.reason,
    )


def out_record(letter: DeadLetter, topic: str) -> OutRecord:
    return OutRecord(topic, letter.value, letter.key, letter.headers, letter.timestamp)


def _errors(record: Record, error: DecodeError, decoder: str) -> Headers:
    fields = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "stage": STAGE.decode(),
        "class.name": decoder,
        "exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
        "exception.message": str(error)[:MAX_MESSAGE_CHARS],
    }
    named = tuple((PREFIX + name, text.encode("utf-8", "replace")) for name, text in fields.items())
    return (*named, ("retaind.reason", error.reason.encode()))

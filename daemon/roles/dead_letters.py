"""Records that are not events, on their way to the dead-letter topic with Kafka Connect's header names.

Guarantees:

1. Key, value, headers and timestamp are those of the record; what went wrong stands in headers behind them.
2. A record over a size limit, ours or the topic's own, goes as a reference: place, size and SHA-256 instead of
   the value.
3. A record whose timestamp the topic refuses (Kafka takes none that is more than an hour ahead of its own clock) goes
   without it; it stands in a header then.
4. A dead letter that is read again (a replay that failed) carries the last error only, so headers do not grow.
"""

from __future__ import annotations

import hashlib
import traceback
from dataclasses import replace

from daemon.buffer.ports import DeadLetter
from daemon.errors import DecodeError
from daemon.events import Origin
from daemon.stream.ports import Headers, OutRecord, Record

CONNECT = "__connect.errors."
REASON, SIZE, SHA256, REFUSED = "retaind.reason", "retaind.size", "retaind.sha256", "retaind.refused"
TIMESTAMP = "retaind.timestamp"
"""Of a letter without its record's timestamp: that one, in milliseconds since the epoch."""
REPLAYED, ORIGIN = "retaind.replayed", "retaind.origin"
"""Of a letter that was sent back: how often, and the place where it first was."""
STAGE = "VALUE_CONVERTER"
MAX_MESSAGE_CHARS = 500
MAX_TRACE_CHARS = 4000
MAX_REFERENCE_BYTES = 16 << 10
"""Of the original headers that a reference keeps."""


def dead_letter(record: Record, error: DecodeError, decoder: str, *, keep_value: bool = True) -> DeadLetter:
    """``keep_value`` False: a reference. The cause of ``error``, where it has one, goes along as a stack trace."""
    letter = DeadLetter(
        origin=Origin(record.topic, record.partition, record.offset),
        timestamp=record.timestamp,
        key=record.key,
        value=record.value,
        headers=(*without_errors(record.headers), *_errors(record, error, decoder)),
        reason=error.reason,
    )
    return letter if keep_value else reference(letter)


def reference(letter: DeadLetter, refused: str = "") -> DeadLetter:
    """The same letter without its value, without what is large of key and headers. ``refused``: why the topic did
    not take it as it was."""
    value = letter.value or b""
    kept, room = [], MAX_REFERENCE_BYTES
    for name, content in without_errors(letter.headers):
        room -= len(name) + len(content)
        if len(content) <= MAX_MESSAGE_CHARS and room >= 0:
            kept.append((name, content))
    kept += letter.headers[len(without_errors(letter.headers)) :]
    kept += [(SIZE, str(len(value)).encode()), (SHA256, hashlib.sha256(value).hexdigest().encode())]
    if refused:
        kept.append((REFUSED, _header(refused)))
    key = None if letter.key is None else letter.key[:MAX_MESSAGE_CHARS]
    return replace(letter, key=key, value=None, headers=tuple(kept))


def out_record(letter: DeadLetter, topic: str, connector: str, *, dated: bool = True) -> OutRecord:
    """``connector``: who writes it, ``connector.name`` to those who know Kafka Connect. ``dated``: with the record's
    timestamp as its own."""
    headers = (*letter.headers, (CONNECT + "connector.name", connector.encode()))
    if dated:
        return OutRecord(topic, letter.value, letter.key, headers, letter.timestamp)
    told = (TIMESTAMP, b"%d" % round(letter.timestamp * 1000))
    return OutRecord(topic, letter.value, letter.key, (*headers, told))


def without_errors(headers: Headers) -> Headers:
    """The headers that a record had before it was a dead letter (and what counts its replays)."""
    ours = (REASON, SIZE, SHA256, REFUSED, TIMESTAMP)
    return tuple(header for header in headers if not header[0].startswith(CONNECT) and header[0] not in ours)


def _errors(record: Record, error: DecodeError, decoder: str) -> Headers:
    fields = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "stage": STAGE,
        "class.name": decoder,
        "exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
        "exception.message": str(error),
    }
    named = [(CONNECT + name, _header(text)) for name, text in fields.items()]
    if error.__cause__ is not None:
        trace = "".join(traceback.format_exception(error.__cause__))[-MAX_TRACE_CHARS:]
        named.append((CONNECT + "exception.stacktrace", trace.encode("utf-8", "replace")))
    return (*named, (REASON, error.reason.encode()))


def _header(text: str) -> bytes:
    return text[:MAX_MESSAGE_CHARS].encode("utf-8", "replace")

"""Dead letters on their way to the dead-letter topic. At least once: they go when they are acknowledged.

Triggers keep the size of what waits (``outbox_size``). A dead letter whose value is JSON with an ``id`` can be found
again when that event is erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import orjson

from daemon.buffer.ports import DeadLetter, OutboxSize
from daemon.buffer.rows import id_digest
from daemon.events import Origin

MAX_BYTES = 8 << 20
"""Letters that are read at once."""
_COLUMNS = "topic, partition, offset, timestamp, key, value, headers, reason"


def put(connection: apsw.Connection, letters: Sequence[DeadLetter]) -> None:
    """Append letters; one with the same (topic, partition, offset) is there already and not doubled."""
    connection.executemany(
        "INSERT OR IGNORE INTO outbox (topic, partition, offset, timestamp, key, value, headers, reason, digest) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *letter.origin,
                letter.timestamp,
                letter.key,
                letter.value,
                _write(letter.headers),
                letter.reason,
                _names(letter),
            )
            for letter in letters
        ],
    )


def oldest(connection: apsw.Connection, limit: int, after: int) -> list[tuple[int, DeadLetter]]:
    """The first ``limit`` letters numbered above ``after``, up to MAX_BYTES but at least one."""
    found: list[tuple[int, DeadLetter]] = []
    size = 0
    for number, *columns in connection.execute(
        f"SELECT number, {_COLUMNS} FROM outbox WHERE number > ? ORDER BY number LIMIT ?", (after, limit)
    ):
        letter = _letter(columns)
        size += len(letter.key or b"") + len(letter.value or b"")
        if found and size > MAX_BYTES:
            break
        found.append((number, letter))
    return found


def at(connection: apsw.Connection, origin: Origin) -> DeadLetter | None:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE topic = ? AND partition = ? AND offset = ?", tuple(origin)
    ).fetchone()
    return None if row is None else _letter(row)


def size(connection: apsw.Connection) -> OutboxSize:
    ((letters, total),) = connection.execute("SELECT letters, bytes FROM outbox_size")
    return OutboxSize(letters, total)


def remove(connection: apsw.Connection, numbers: Sequence[int]) -> None:
    connection.executemany("DELETE FROM outbox WHERE number = ?", [(number,) for number in numbers])


def forget(connection: apsw.Connection, task: str, event_id: str) -> None:
    """Drop the letters that name an erased event (with its task, or with none)."""
    connection.execute(
        "DELETE FROM outbox WHERE digest IS NOT NULL AND digest IN (?, ?)",
        (id_digest(task, event_id), id_digest("", event_id)),
    )


def _letter(columns: Sequence[Any]) -> DeadLetter:
    topic, partition, offset, timestamp, key, value, headers, reason = columns
    return DeadLetter(Origin(topic, partition, offset), timestamp, key, value, _read(headers), reason)


def _names(letter: DeadLetter) -> bytes | None:
    """The digest of the (task, id) that a dead record names; None where it names none."""
    try:
        value: Any = orjson.loads(letter.value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        return None
    task = value.get("task")
    return id_digest(task if isinstance(task, str) else "", value["id"])


def _write(headers: tuple[tuple[str, bytes], ...]) -> bytes:
    return orjson.dumps([(name, value.hex()) for name, value in headers])


def _read(headers: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, bytes.fromhex(value)) for name, value in orjson.loads(headers))

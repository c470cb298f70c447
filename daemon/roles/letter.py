"""A dead letter as people see it: from its topic, or from the outbox while it waits."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from daemon.buffer.ports import DeadLetter
from daemon.events import Origin
from daemon.roles.dead_letters import CONNECT, ORIGIN, REASON, REFUSED, REPLAYED, SIZE, TIMESTAMP
from daemon.stream.ports import Headers, Record

FOREIGN = "foreign"
"""The reason of what no retaind wrote."""


@dataclass(frozen=True, slots=True)
class Letter:
    """``place``: where the record stood, its identity; ``found``: where the letter lies in the dead-letter topic
    (None: it waits in the outbox). ``time``: of the record, in seconds since the epoch. ``headers``: all of them."""

    place: Origin
    found: Origin | None
    time: float
    reason: str
    message: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    replayed: int
    root: str
    """The place where it first was, before it was sent back for the first time; else its own."""
    size: int
    """Bytes of the record's value."""
    is_reference: bool
    """The value is not here."""


def letter_of(record: Record) -> Letter:
    """A record of the dead-letter topic, whoever wrote it. Raises nothing."""
    found = Origin(record.topic, record.partition, record.offset)
    return _letter(found, found, record.timestamp, record.key, record.value, record.headers)


def waiting(letter: DeadLetter) -> Letter:
    """A letter of the outbox."""
    return _letter(letter.origin, None, letter.timestamp, letter.key, letter.value, letter.headers)


def place_text(place: Origin) -> str:
    return f"{place.topic}:{place.partition}:{place.offset}"


def parse_place(text: str) -> Origin:
    """``topic:partition:offset``. Raises ValueError."""
    topic, _, rest = text.partition(":")
    partition, _, offset = rest.partition(":")
    if not topic or not partition.isdecimal() or not offset.isdecimal():
        raise ValueError(f"{text[:80]!r} is no place; one is TOPIC:PARTITION:OFFSET, such as retaind.labelled:0:17")
    return Origin(topic, int(partition), int(offset))


def _letter(
    place: Origin, found: Origin | None, time: float, key: bytes | None, value: bytes | None, headers: Headers
) -> Letter:
    said = {name: content.decode("utf-8", "replace") for name, content in headers}
    origin = [said.get(f"{CONNECT}{part}", "") for part in ("topic", "partition", "offset")]
    with suppress(ValueError):  # no connector wrote it: its place is where it lies
        place = parse_place(":".join(origin))
    replayed, size, made = said.get(REPLAYED, ""), said.get(SIZE, ""), said.get(TIMESTAMP, "")
    return Letter(
        place=place,
        found=found,
        time=int(made) / 1000 if made.isdecimal() else time,
        reason=said.get(REASON, FOREIGN),
        message=said.get(f"{CONNECT}exception.message", "") or said.get(REFUSED, ""),
        key=key,
        value=value,
        headers=headers,
        replayed=int(replayed) if replayed.isdecimal() else 0,
        root=said.get(ORIGIN, place_text(place)),
        size=int(size) if size.isdecimal() else len(value or b""),
        is_reference=SIZE in said,
    )

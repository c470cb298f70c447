"""Lines of a file into a topic, in bounded memory; who is interrupted knows where to go on."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from daemon.buffer.ports import DeadLetter
from daemon.errors import RecordRefused
from daemon.roles.sorting import Sorting
from daemon.stream.encoding import record_key
from daemon.stream.ports import OutRecord, Record, Sink

AT_ONCE, BYTES_AT_ONCE = 500, 4 << 20
FLUSH_S = 30.0
PAUSE_S = 0.05
MAX_TOLD = 100
"""Problems and refusals that are named; the rest is counted."""

KeyOf = Callable[[bytes], bytes | None]


class Line(NamedTuple):
    """``number`` from 1."""

    number: int
    content: bytes


class Problem(NamedTuple):
    line: int
    reason: str
    message: str


@dataclass(slots=True)
class Produced:
    """``through``: the last line that is done with, sent or blank: what --skip takes to go on."""

    through: int = 0
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    refusals: dict[int, str] = field(default_factory=dict)
    """line -> why; the first of them"""


def lines_of(file: Iterable[bytes | None], skip: int) -> Iterator[Line | None]:
    """Lines after the first ``skip`` of them; blank ones too, so that numbers are the file's. None: send what is
    there, the next line may take its time."""
    number = 0
    for content in file:
        if content is None:
            yield None
            continue
        number += 1
        if number > skip:
            yield Line(number, content.strip())


def live(descriptor: int) -> Iterator[bytes | None]:
    """Lines of a pipe as they come; None whenever no more is there for a moment."""
    rest = b""
    while part := os.read(descriptor, 1 << 16):
        *full, rest = (rest + part).split(b"\n")
        yield from full
        if not select.select([descriptor], [], [], PAUSE_S)[0]:
            yield None
    if rest:
        yield rest


def key_of(choice: str) -> KeyOf:
    """``id``, ``none``, or the dotted path of a string field (``attributes.customer``); None where it is missing."""
    if choice == "id":
        return record_key
    if choice == "none":
        return lambda line: None
    names = choice.split(".")

    def of_field(line: bytes) -> bytes | None:
        try:
            value: Any = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value.encode() if isinstance(value, str) and value else None

    return of_field


class Check:
    """What ingest would make of a line of ``topic``, but for the label policy; and whether it has its key."""

    def __init__(self, sorting: Sorting, topic: str, key: str) -> None:
        self._sorting, self._topic, self._key, self._key_of = sorting, topic, key, key_of(key)

    def __call__(self, line: Line) -> Problem | None:
        if not line.content:
            return None
        sorted_ = self._sorting.sort(Record(self._topic, 0, line.number, time.time(), None, line.content))
        if isinstance(sorted_, DeadLetter):
            said = dict(sorted_.headers)["__connect.errors.exception.message"]
            return Problem(line.number, sorted_.reason, said.decode())
        if self._key not in ("id", "none") and self._key_of(line.content) is None:
            return Problem(line.number, "no_key", f"--key {self._key}: no such string in this line")
        return None


def send(
    lines: Iterable[Line | None],
    sink: Sink,
    topic: str,
    key: KeyOf,
    rate: float | None,
    stop: threading.Event,
    produced: Produced,
    advance: Callable[[int], None],
) -> None:
    """Send until the end or until ``stop``. ``produced`` is brought up to date after each flush.

    ``rate``: at most so many records a second. Raises StreamUnavailable: of the lines after ``produced.through``
    it is not known whether they were written.
    """
    started = time.monotonic()
    at_once = AT_ONCE if rate is None else max(1, min(AT_ONCE, int(rate / 10)))
    for some in _batches(lines, at_once):
        full = [line for line in some if line.content]
        records = [OutRecord(topic, line.content, key(line.content), (), time.time()) for line in full]
        sink.send(records)
        produced.sent += len(records)
        refused = 0
        try:
            sink.flush(FLUSH_S)
        except RecordRefused as error:
            for line, record in zip(full, records, strict=True):
                if record in error.records:
                    refused += 1
                    if len(produced.refusals) < MAX_TOLD:
                        produced.refusals[line.number] = str(error)
        produced.refused += refused
        produced.acknowledged += len(records) - refused
        produced.through = some[-1].number
        advance(len(some))
        if rate is not None:
            stop.wait(max(0.0, produced.sent / rate - (time.monotonic() - started)))
        if stop.is_set():
            return


def _batches(lines: Iterable[Line | None], at_once: int) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        if line is not None:
            batch.append(line)
            size += len(line.content)
        if batch and (line is None or len(batch) == at_once or size >= BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
    if batch:
        yield batch

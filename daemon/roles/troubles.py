"""What keeps a role from its work: logged when it begins and when it ends, told to people while it lasts.

They stand in a file of one fixed size that is overwritten in place, so that a full disk can be told too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from daemon.buffer.ports import BufferReader
from daemon.clock import Clock
from daemon.config.paths import StatePaths

log = structlog.get_logger(__name__)

PAUSING = ("buffer_full", "outbox_full", "disk_full", "stream_unavailable", "stream_denied")
"""Reasons for which reading pauses: the values of the metric's label."""
OTHERS = ("dead_letters_wait", "commit_failed")
REMIND_S, CHANGED_S = 300.0, 5.0
"""What lasts is logged again so often; what has become something else, at most so often."""
MAX_CHARS = 600
PAGE_BYTES = 16 << 10


@dataclass(slots=True)
class _Trouble:
    message: str
    since: float
    told: float
    logged: str


class Troubles:
    """``page``: where others read them (:func:`read_troubles`), None: nowhere."""

    def __init__(self, clock: Clock, page: Path | None = None) -> None:
        self._clock, self._page = clock, page
        self._open: dict[str, _Trouble] = {}
        self._write()

    def __contains__(self, reason: str) -> bool:
        return reason in self._open

    def set(self, reason: str, message: str | None) -> None:
        """``message``: what is wrong, with its mend; None: nothing is, or no longer."""
        now, known = self._clock.monotonic(), self._open.get(reason)
        if message is None:
            if known is not None:
                del self._open[reason]
                log.info(f"{reason}_over", seconds=round(now - known.since, 1), error=known.message)
                self._write()
        elif known is None:
            self._open[reason] = _Trouble(message, now, now, message)
            log.warning(reason, error=message)
            self._write()
        else:
            self._go_on(reason, known, message, now)

    def _go_on(self, reason: str, known: _Trouble, message: str, now: float) -> None:
        changed, known.message = known.message != message, message
        if now - known.told >= (REMIND_S if known.logged == message else CHANGED_S):
            known.told, known.logged, changed = now, message, True
            log.warning(reason, error=message, seconds=round(now - known.since, 1))
        if changed:
            self._write()

    def clear(self) -> None:
        """At the end of the role: what it could tell is no longer known."""
        self._open.clear()
        self._write()

    def _write(self) -> None:
        if self._page is None:
            return
        now, wall = self._clock.monotonic(), time.time()
        content = {
            name: {"message": trouble.message[:MAX_CHARS], "since": wall - (now - trouble.since)}
            for name, trouble in self._open.items()
        }
        try:
            with self._page.open("r+b" if self._page.exists() else "xb") as file:
                file.write(orjson.dumps(content).ljust(PAGE_BYTES))
        except OSError as error:
            log.warning("troubles_untold", file=str(self._page), error=str(error))


def read_troubles(page: Path) -> Mapping[str, Mapping[str, Any]]:
    """reason -> message and since (seconds since the epoch); empty where there are none, or no role has run."""
    try:
        found = orjson.loads(page.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):  # not there yet, or in the middle of being written
        return {}
    return found if isinstance(found, dict) else {}


def ingest_status(paths: StatePaths, reader: BufferReader | None) -> dict[str, Any]:
    """What keeps ingest from its work (reason -> message), and the dead letters that wait for their topic."""
    troubles = {name: found["message"] for name, found in read_troubles(paths.troubles).items()}
    waiting = reader.outbox_size()._asdict() if reader is not None else {"letters": 0, "bytes": 0}
    return {"troubles": troubles, "outbox": waiting}


def ingest_samples(paths: StatePaths, reader: BufferReader | None) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """The same as samples of gauges; every reason is there, 1 where it holds."""
    found = read_troubles(paths.troubles)
    for reason in PAUSING:
        yield "ingest_paused", (reason,), float(reason in found)
    if reader is not None:
        size = reader.outbox_size()
        yield "outbox_letters", (), float(size.letters)
        yield "outbox_bytes", (), float(size.bytes)

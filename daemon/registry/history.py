"""The append-only history: one JSON line an entry, synced. A line torn by a crash counts for nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from daemon.durable import sync_path
from daemon.errors import StoreCorrupt
from daemon.registry.version import HistoryEntry


class History:
    """Guarantees: an entry that ``append`` returned survives a crash; entries are never changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache: tuple[tuple[int, int], tuple[HistoryEntry, ...]] = ((0, 0), ())

    def entries(self) -> Sequence[HistoryEntry]:
        """Oldest first. Raises StoreCorrupt for a whole line that is not an entry."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return ()
        stamp = (found.st_size, found.st_mtime_ns)
        if stamp != self._cache[0]:
            lines, _ = _complete_lines(self._path.read_bytes())
            self._cache = (stamp, tuple(self._entry(number, line) for number, line in enumerate(lines, start=1)))
        return self._cache[1]

    def _entry(self, number: int, line: bytes) -> HistoryEntry:
        try:
            return HistoryEntry(**orjson.loads(line))
        except (ValueError, TypeError) as error:
            raise StoreCorrupt(f"{self._path}, line {number}, is not a history entry ({error}): restore it") from error

    def append(self, entry: HistoryEntry) -> None:
        new = not self._path.exists()
        with self._path.open("a+b") as file:
            file.seek(0)
            _, whole = _complete_lines(file.read())
            file.truncate(whole)
            file.seek(0, os.SEEK_END)
            file.write(orjson.dumps(asdict(entry), option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_path(self._path.parent)


def _complete_lines(data: bytes) -> tuple[list[bytes], int]:
    """The lines that end with a newline, and where the last of them ends."""
    whole = data.rfind(b"\n") + 1
    return [line for line in data[:whole].splitlines() if line], whole

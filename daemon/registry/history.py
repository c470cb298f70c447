"""The append-only history: one JSON line an entry, synced. A line torn by a crash counts for nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from daemon.registry.version import HistoryEntry


class History:
    """Guarantees: an entry that ``append`` returned survives a crash; entries are never changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache: tuple[int, tuple[HistoryEntry, ...]] = (0, ())

    def entries(self) -> Sequence[HistoryEntry]:
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return ()
        if size != self._cache[0]:
            lines, _ = _complete_lines(self._path.read_bytes())
            self._cache = (size, tuple(HistoryEntry(**orjson.loads(line)) for line in lines))
        return self._cache[1]

    def append(self, entry: HistoryEntry) -> None:
        with self._path.open("a+b") as file:
            file.seek(0)
            _, whole = _complete_lines(file.read())
            file.truncate(whole)
            file.seek(0, os.SEEK_END)
            file.write(orjson.dumps(asdict(entry), option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _complete_lines(data: bytes) -> tuple[list[bytes], int]:
    """The lines that end with a newline and parse, and where the last of them ends."""
    whole = data.rfind(b"\n") + 1
    return [line for line in data[:whole].splitlines() if line], whole

"""progress.jsonl: where an attempt stands, for whoever shows it.

One JSON object a line: ``phase``, ``done``, ``total`` (steps or rows; 0 while unknown), ``loss``
(of the step, or null), ``time`` (seconds since the epoch). Lines are appended and flushed; at most
about four a second, beside the first and the last of a phase.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import orjson

from daemon.clock import Clock

_PAUSE_S = 0.25


class Progress:
    """Writes ``path``; a context manager. Phases do not nest."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = path.open("ab")
        self._clock = clock
        self._phase = ""
        self._last = float("-inf")
        self._seconds: dict[str, float] = {}
        self._cpu_seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str, total: int = 0) -> Iterator[None]:
        """Time a phase, which may come back; ``total`` is what :meth:`at` counts up to."""
        started, cpu = self._clock.monotonic(), time.process_time()
        self._phase = name
        self._write(0, total, None)
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + self._clock.monotonic() - started
        self._cpu_seconds[name] = self._cpu_seconds.get(name, 0.0) + time.process_time() - cpu
        self._write(total, total, None)

    def at(self, done: int, total: int, loss: float | None = None) -> None:
        """``done`` of ``total`` steps or rows of the phase; most calls write nothing."""
        if self._clock.monotonic() - self._last >= _PAUSE_S:
            self._write(done, total, loss)

    @property
    def seconds(self) -> Mapping[str, float]:
        """Wall seconds of each finished phase."""
        return self._seconds

    @property
    def cpu_seconds(self) -> Mapping[str, float]:
        """CPU seconds of each finished phase, all threads."""
        return self._cpu_seconds

    def _write(self, done: int, total: int, loss: float | None) -> None:
        self._last = self._clock.monotonic()
        line = {"phase": self._phase, "done": done, "total": total, "loss": loss, "time": self._clock.now()}
        self._file.write(orjson.dumps(line) + b"\n")
        self._file.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

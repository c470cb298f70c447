"""Time as a port, so that schedules are tested without waiting and backtests run on event time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Wall clock, seconds since the epoch (may jump)."""

    def monotonic(self) -> float:
        """Seconds that only grow; for intervals, cool-downs and deadlines."""


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

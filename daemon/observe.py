"""Counting and timing without knowing who counts.

Rooms call an :class:`Observer`; the default does nothing, ``daemon.metrics`` implements it with
prometheus-client. Metric names are those of the reference, without the ``retaind_`` prefix.
Gauges that tell the state are read from it at scrape time, never pushed.
"""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        """Add ``amount`` to a counter, for example ``count("events_total", task=…, outcome=…)``."""

    def measure(self, metric: str, value: float, **labels: str) -> None:
        """Put ``value`` (in the unit that the name ends in) into a histogram."""


class NullObserver:
    """Observes nothing."""

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        return

    def measure(self, metric: str, value: float, **labels: str) -> None:
        return

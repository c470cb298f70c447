"""When an update starts: enough new events, or enough time, and rest in between.

A rejection says that there was nothing to gain: each in a row doubles the events and the rest that the next update
waits for, so that a stream on which the encoder need not move costs a few looks and not one for each 500 events. The
same holds while what is served is hardly ever wrong.
"""

from __future__ import annotations

from daemon.clock import Clock
from daemon.config.task import Trigger as TriggerConfig

LONGEST_COOLDOWN_S = 86_400.0
TRIGGERED = ("count", "time")
"""Reasons that nobody gave."""
MOST_DOUBLINGS = 4
"""Of the events that an update waits for."""


def events_needed(config: TriggerConfig, first: bool, rejections: int, error: float | None, growth: int = 0) -> int:
    """New train events that start an update. ``first``: none has finished yet; the others as in :class:`Trigger`."""
    calm = error is not None and error < config.calm_ratio and not first
    wanted = config.min_events << (MOST_DOUBLINGS if calm else min(rejections, MOST_DOUBLINGS))
    return max(1, round(wanted * config.first_ratio)) if first else max(wanted, growth)


class Trigger:
    """Decides; starts nothing.

    ``finished``: wall-clock seconds of the last finished job, None before the first; ``rejections``: in a
    row. Both come from the history, so that a restart changes nothing. Intervals are monotonic: a clock
    that jumps neither starts nor stops an update.
    """

    def __init__(self, config: TriggerConfig, clock: Clock, finished: float | None, rejections: int) -> None:
        self._config = config
        self._clock = clock
        self._rejections = rejections
        now = clock.monotonic()
        rested = config.cooldown_s if finished is None else max(0.0, clock.now() - finished)
        self._finished = now - min(rested, self.cooldown_s)
        self._waiting_since: float | None = None
        self._first = finished is None

    @property
    def cooldown_s(self) -> float:
        """The configured rest, doubled by each rejection in a row, at most a day."""
        return min(
            self._config.cooldown_s * 2.0 ** min(self._rejections, 64), max(LONGEST_COOLDOWN_S, self._config.cooldown_s)
        )

    def events(self, error: float | None = None, growth: int = 0) -> int:
        """New events that start an update now. ``error``, ``growth``: see :meth:`due`."""
        return events_needed(self._config, self._first, self._rejections, error, growth)

    @property
    def looking(self) -> bool:
        """The last update was rejected: the next one need only be large enough to show whether there is a gain."""
        return self._rejections > 0

    def finished(self, *, rejected: bool | None) -> None:
        """A job has ended; None: without a verdict, which tells nothing of a gain."""
        if rejected is not None:
            self._rejections = self._rejections + 1 if rejected else 0
        self._finished = self._clock.monotonic()
        self._waiting_since = None
        self._first = False

    def due(self, new_events: int, lag_records: int, error: float | None = None, growth: int = 0) -> str | None:
        """``count`` or ``time`` where an update should start now.

        ``new_events``: train events since the last finished job; ``lag_records``: how far ingest is behind; ``error``:
        how often what is served was wrong lately, where that is known; ``growth``: with fewer new events no update
        after the first is worth its cost (:func:`daemon.update.joint.growth`).
        """
        now = self._clock.monotonic()
        if new_events < 1:
            self._waiting_since = None
            return None
        if self._waiting_since is None:
            self._waiting_since = now
        if lag_records > self._config.max_lag_records:
            return None
        if not self._first and now - self._finished < self.cooldown_s:
            return None
        needed = self.events(error, growth)
        if new_events >= needed:
            return "count"
        enough = new_events >= max(growth, self._config.least_ratio * needed)
        if enough and now - self._waiting_since >= self._config.max_wait_s:
            return "time"
        return None

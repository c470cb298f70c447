"""The previous version's HeadState: it stands still while nobody serves it, but for erasures.

Guarantee: once an event is erased, the previous version's HeadState passes that change too, so that the
event's text can be purged (``BufferWriter.maintain``) without waiting for a promotion.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from daemon.buffer.ports import BufferReader
from daemon.heads.store import state_cursor
from daemon.registry.version import Registry, Version
from daemon.roles.fast import FastLearner

log = structlog.get_logger(__name__)


class Trailing:
    """Loads the previous version only while an erasure waits for it; :meth:`step` takes one slice."""

    def __init__(
        self,
        task: str,
        registry: Registry,
        reader: BufferReader,
        directory: Callable[[str], Path],
        open_learner: Callable[[Version], FastLearner],
    ) -> None:
        self._task, self._registry, self._reader = task, registry, reader
        self._directory, self._open = directory, open_learner
        self._fast: FastLearner | None = None
        self._erased = 0

    def step(self, limit: int) -> bool:
        """Whether there was work."""
        previous = self._registry.alias(self._task, "previous")
        if self._fast is None:
            erased = self._reader.last_erasure(self._task)
            if previous is None or erased <= self._erased:
                return False
            cursor = state_cursor(self._directory(previous))
            if cursor is None or cursor >= erased:
                self._erased = erased
                return False
            self._fast = self._open(self._registry.load(previous))
        if self._fast.version.id == previous and self._fast.fold(limit):
            return True
        self._fast.snapshot()
        log.info("previous_caught_up", task=self._task, version=self._fast.version.id, cursor=self._fast.cursor)
        self._fast = None
        return True

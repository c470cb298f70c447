"""When the next update of a task starts, why, and with how many new events at most."""

from __future__ import annotations

import structlog

from daemon.config.task import TaskConfig
from daemon.errors import StreamUnavailable
from daemon.roles.backlog import Backlog
from daemon.roles.fast import FastLearner
from daemon.roles.standing import Standing
from daemon.roles.surroundings import Surroundings
from daemon.tasks.base import TaskSchema
from daemon.trust.ledger import Ledger
from daemon.update.joint import growth
from daemon.update.trigger import TRIGGERED, Trigger

log = structlog.get_logger(__name__)

CONSIDER_S = 0.5
"""How often the trigger is asked while nothing new comes in, or something all the time."""


class Occasion:
    """Asks the trigger now and then; whoever asks for an update is heard before it."""

    def __init__(
        self,
        task: str,
        config: TaskConfig,
        schema: TaskSchema,
        around: Surroundings,
        ledger: Ledger,
        standing: Standing,
    ) -> None:
        self._task, self._config, self._around, self._ledger = task, config, around, ledger
        self._backlog = Backlog(task, config, schema, around.reader, ledger)
        self._trigger = Trigger(config.trigger, around.clock, standing.finished, standing.rejections)
        self._asked: str | None = None
        self._looked: tuple[int, float] | None = None
        self._not_before = around.clock.monotonic()

    def ask(self, reason: str) -> None:
        """An update is wanted as soon as none runs, whatever the trigger says."""
        self._asked = reason

    def new_events(self, fast: FastLearner, standing: Standing) -> int:
        """Eligible train events (and corrections) since the last finished job."""
        return self._backlog.events(fast, standing, self._trigger.events(*self._needs(standing)))

    def worth_a_look(self, cursor: int, folding: bool) -> bool:
        """Whether anything may have changed since the last look. ``folding``: labels come all the time."""
        now = self._around.clock.monotonic()
        if self._asked is None and self._looked is not None:
            before, at = self._looked
            if (folding or before == cursor) and now - at < CONSIDER_S:
                return False
        self._looked = (cursor, now)
        return True

    def reason(self, fast: FastLearner, standing: Standing) -> str | None:
        """Why an update should start now; None where none should."""
        new = self.new_events(fast, standing)
        found = self._asked if new else None
        if not new:
            self._asked = None
        if found is None and not standing.paused:
            try:
                found = self._trigger.due(new, self._around.lag(), *self._needs(standing))
            except StreamUnavailable as error:
                log.warning("lag_unknown", task=self._task, error=str(error))
        if found is None or self._around.clock.monotonic() < self._not_before:
            return None
        self._backlog.recount()
        if not self.new_events(fast, standing):
            return None
        self._asked = None
        return found

    def most_new(self, reason: str) -> int:
        """After a rejection an update that nobody asked for is a look: what is over joins the replay pool."""
        most = self._config.update.max_new_events
        return min(most, self._config.trigger.min_events) if self._trigger.looking and reason in TRIGGERED else most

    def finished(self, *, rejected: bool | None) -> None:
        """As of :meth:`Trigger.finished`."""
        self._trigger.finished(rejected=rejected)

    def rest(self, seconds: float) -> None:
        """None starts for so long."""
        self._not_before = self._around.clock.monotonic() + seconds

    def _needs(self, standing: Standing) -> tuple[float | None, int]:
        return self._ledger.grown_errors.ratio, growth(self._config.update, standing.joint)

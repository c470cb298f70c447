"""The learn role: one loop over commands and the tasks' learners. The one writer of registry and heads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from daemon.clock import Clock
from daemon.errors import CommandRefused, RetaindError
from daemon.registry.version import Registry
from daemon.roles.commands import COMMANDS
from daemon.roles.control import Command, Control
from daemon.roles.learner import TaskLearner

log = structlog.get_logger(__name__)

IDLE_S = 0.02


class LearnRole:
    """Guarantees: commands are executed in the order they were given, each one once; no step of one task
    keeps another waiting longer than a slice; SIGTERM leaves a snapshot and a training to be resumed."""

    def __init__(
        self, make: Callable[[], Mapping[str, TaskLearner]], registry: Registry, clock: Clock, control: Control
    ) -> None:
        self._make = make
        self._registry = registry
        self._clock = clock
        self._control = control
        self.learners: Mapping[str, TaskLearner] = {}

    def open(self) -> None:
        """Load every task's champion and HeadState. Slow: encoders are read and verified."""
        self.learners = self._make()

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            if not self.step():
                stop.wait(IDLE_S)
        self.close()

    def step(self) -> bool:
        worked = False
        for command in self._control.pending("learn"):
            self._execute(command)
            worked = True
        for learner in self.learners.values():
            worked = learner.step() or worked
        return worked

    def close(self) -> None:
        for learner in self.learners.values():
            learner.cancel()
            learner.snapshot()

    def _execute(self, command: Command) -> None:
        try:
            outcome = self._carry_out(command)
        except RetaindError as error:
            log.warning("command_refused", kind=command.kind, task=command.task, error=str(error))
            self._control.finish(command.id, False, {"error": str(error)})
            return
        log.info("command_done", kind=command.kind, task=command.task, who=command.who)
        self._control.finish(command.id, True, outcome)

    def _carry_out(self, command: Command) -> Mapping[str, Any]:
        learner = self.learners.get(command.task)
        if learner is None:
            raise CommandRefused(f"task {command.task!r} is not configured: one of {sorted(self.learners)}")
        if command.kind == "train_now":
            learner.ask(command.why or "asked")
            return {"task": command.task, "asked": True, "new_events": learner.new_events}
        carry_out = COMMANDS[command.kind]
        outcome = carry_out(self._registry, self._clock, command.task, command.args, command.who, command.why)
        learner.obey()
        return outcome

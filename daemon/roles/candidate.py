"""A version that was judged and is not served yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import Any

from daemon.roles.fast import FastLearner
from daemon.roles.opening import Opened
from daemon.roles.standing import GATE
from daemon.roles.surroundings import Surroundings
from daemon.update.job import UpdateJob
from daemon.update.pair import Pair
from daemon.update.verdict import Verdict


@dataclass(slots=True)
class Candidate:
    """``attempts``: so many it took to train; ``opening``: it is being read; ``judge``: the gate's word with labels
    since; ``fast``: its fast learner, which catches up with the buffer before it is served; ``erased``: ids of events
    that went since the verdict."""

    job: UpdateJob
    verdict: Verdict
    version: str
    attempts: int
    opening: Future[Opened]
    judge: Callable[[Pair], Verdict]
    fast: FastLearner | None = None
    erased: set[str] = field(default_factory=set)

    def ready(self, go_on: Callable[[Opened], FastLearner]) -> FastLearner | None:
        """Its fast learner, as soon as it has been read. Raises VersionError where it does not load."""
        if self.fast is None and self.opening.done():
            self.fast = go_on(self.opening.result())
        return self.fast

    def promote(self, task: str, fast: FastLearner, around: Surroundings) -> None:
        """Move the alias to it, once: after a crash this is done again."""
        fast.snapshot()
        fast.publish()
        registry, why, details = around.registry, self._why, {"job": self.job.id}
        if registry.alias(task, "champion") != self.version:
            registry.promote(task, self.version, who=GATE, why=why, time=around.clock.now(), details=details)

    def record(self, task: str, around: Surroundings, *, promoted: bool, held: bool) -> Mapping[str, Any]:
        """Tell the history, the versions topic and the counters; returns the outcome."""
        registry, details = around.registry, self._details(promoted=promoted, held=held)
        now = around.clock.now()
        registry.record("verdict", task, self.version, who=GATE, why=self._why, time=now, details=details)
        if not promoted:
            registry.record("rejected", task, self.version, who=GATE, why=self._why, time=now)
        outcome = "promoted" if promoted else "rejected"
        around.announce(outcome, {"task": task, "version": self.version, **details})
        around.observer.count("updates_total", task=task, outcome=outcome)
        return {**details, "version": self.version}

    @property
    def _why(self) -> str:
        return "; ".join(self.verdict.reasons)

    def _details(self, *, promoted: bool, held: bool) -> Mapping[str, Any]:
        return {
            "job": self.job.id,
            "cursor": self.job.cursor,
            "joint": self.job.joint,
            "decision": self.verdict.decision,
            "promote": self.verdict.promote,
            "promoted": promoted,
            "rows": self.verdict.rows,
            "champion": self.verdict.champion,
            "candidate": self.verdict.candidate,
            "held": held,
            "judged_against": self.job.parent,
            "checks": [asdict(check) for check in self.verdict.checks],
        }

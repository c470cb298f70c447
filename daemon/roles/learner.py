"""The learner of one task: fold, trigger, freeze, train, judge, catch up, swap.

:meth:`TaskLearner.step` never blocks on a training: that runs in another process, and what arrived
meanwhile is folded into the candidate in slices.

Guarantees:

1. A job is frozen before its training starts; whatever happens to the training, served model and
   buffer stay as they are.
2. A candidate is judged with the HeadState it would be served with, and is caught up with the buffer
   before the alias moves.
3. Each step is recorded before the next: after a crash an unfinished job is trained or judged again,
   a published version is not published twice, a promoted one is not promoted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import torch

from daemon.buffer.ports import BufferReader
from daemon.clock import Clock
from daemon.config.models import TaskConfig
from daemon.config.paths import StatePaths
from daemon.errors import RetaindError
from daemon.events import Split
from daemon.observe import Observer
from daemon.registry.version import Registry, Version
from daemon.roles.fast import FastLearner
from daemon.roles.jobs import JobShelf
from daemon.roles.standing import Standing, standing
from daemon.tasks.base import TaskSchema
from daemon.update.executor import Executor, RunState
from daemon.update.freeze import freeze
from daemon.update.job import UpdateJob, read_result
from daemon.update.judging import judge_attempt
from daemon.update.trigger import Trigger
from daemon.update.verdict import Verdict
from strategies.base import Strategy

log = structlog.get_logger(__name__)

CONSIDER_S = 0.5
"""How often the trigger is asked while nothing new comes in."""


@dataclass(slots=True)
class _Training:
    job: UpdateJob
    run: str | None
    attempt: int
    retry_at: float
    started: float


@dataclass(slots=True)
class _Candidate:
    job: UpdateJob
    verdict: Verdict
    fast: FastLearner


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every task's learner shares."""

    reader: BufferReader
    registry: Registry
    executor: Executor
    paths: StatePaths
    clock: Clock
    observer: Observer
    device: torch.device
    lag: Callable[[], int]
    strategies: Callable[[TaskConfig], Sequence[Strategy]]
    """Makes a task's strategies, to ask them what they want replayed."""
    announce: Callable[[str, Mapping[str, Any]], None]
    """(kind, details) of every promotion, rejection and rollback, for the versions topic."""
    fold_batch: int
    snapshot_s: float
    keep_versions: int
    always_promote: bool = False
    """Backtests with ``--gate off``: the verdict is recorded and every candidate promoted."""
    seed: int = 0


class TaskLearner:
    def __init__(self, task: str, config: TaskConfig, schema: TaskSchema, around: Surroundings) -> None:
        self.task = task
        self.config = config
        self._schema = schema
        self._around = around
        self._shelf = JobShelf(around.paths.jobs)
        self._training: _Training | None = None
        self._candidate: _Candidate | None = None
        self._asked: str | None = None
        self._counted: tuple[tuple[int, FastLearner], int] | None = None
        self._considered: tuple[int, float] | None = None
        self._snapshot_at = around.clock.monotonic()
        self.standing: Standing = standing(around.registry, task)
        self._trigger = Trigger(config.trigger, around.clock, self.standing.finished, self.standing.rejections)
        self.fast = self._open(self._champion())
        for job in self._shelf.unfinished(task):
            self._training = _Training(job, None, 0, around.clock.monotonic(), around.clock.monotonic())

    # -- what runs ------------------------------------------------------------------------------

    def step(self) -> bool:
        """One bounded slice of work; False when there was none."""
        if self._around.registry.alias(self.task, "champion") != self.fast.version.id:
            self._follow()
        folded = self.fast.fold(self._around.fold_batch)
        if self._around.clock.monotonic() - self._snapshot_at >= self._around.snapshot_s:
            self.snapshot()
        if self._candidate is not None:
            return self._catch_up(self._candidate) or folded > 0
        if self._training is not None:
            return self._watch(self._training) or folded > 0
        return (folded == 0 and self._consider()) or folded > 0

    @property
    def updating(self) -> bool:
        return self._training is not None or self._candidate is not None

    @property
    def new_events(self) -> int:
        """Labelled train events (and corrections) since the last finished job."""
        mark = (self.standing.covered, self.fast)
        if self._counted is None or self._counted[0] != mark:
            rows = self._around.reader.labelled(
                self.task,
                Split.TRAIN,
                after_seq=self.standing.covered,
                before_seq=self.fast.cursor,
                limit=self.config.update.max_new_events,
            )
            self._counted = (mark, len(rows) - self.fast.train_changes)
        return self._counted[1] + self.fast.train_changes

    def ask(self, reason: str) -> None:
        """Start an update as soon as none runs, whatever the trigger says."""
        self._asked = reason

    def cancel(self) -> None:
        """Stop a running training (it is resumed at the next start)."""
        if self._training is not None and self._training.run is not None:
            self._around.executor.cancel(self._training.run)

    def snapshot(self) -> None:
        self.fast.snapshot()
        self._snapshot_at = self._around.clock.monotonic()

    # -- the served version ---------------------------------------------------------------------

    def _champion(self) -> Version:
        champion = self._around.registry.alias(self.task, "champion")
        if champion is None:
            champion = self._lay_base()
        return self._around.registry.load(champion)

    def _lay_base(self) -> str:
        """The base encoder with no classes is the first version of a task."""
        from daemon.models.base import resolve_base
        from daemon.models.tuned import write_base_version
        from daemon.registry.version import VersionMeta

        base = resolve_base(self.config.model)
        staging = self._around.paths.registry / f".base-{self.task}"
        write_base_version(base, self.config.type, staging)
        meta = VersionMeta(self.task, self.config.type, base.name, base.sha256, self.config.model.max_tokens)
        now = self._around.clock.now()
        version = self._around.registry.publish(staging, meta, created=now)
        self._around.registry.promote(self.task, version.id, who="retaind", why="base version", time=now)
        return version.id

    def _open(self, version: Version) -> FastLearner:
        a = self._around
        return FastLearner.open(self.task, self.config, self._schema, a.reader, version, a.paths, a.device)

    def _follow(self) -> None:
        """Someone moved the alias (promotion, rollback): learn on that version from now on."""
        self.fast.snapshot()
        before = self.fast.version.id
        self.fast = self._open(self._champion())
        self.standing = standing(self._around.registry, self.task)
        log.info("champion_followed", task=self.task, before=before, champion=self.fast.version.id)
        last = next(
            e for e in reversed(self._around.registry.history(self.task)) if e.kind in ("promoted", "rolled_back")
        )
        self._announce(last.kind, self.fast.version.id, {"before": before, "who": last.who, "why": last.why})

    # -- an update ------------------------------------------------------------------------------

    def _consider(self) -> bool:
        now = self._around.clock.monotonic()
        if self._asked is None and self._considered is not None:
            cursor, at = self._considered
            if cursor == self.fast.cursor and now - at < CONSIDER_S:
                return False
        self._considered = (self.fast.cursor, now)
        self.standing = standing(self._around.registry, self.task)
        new = self.new_events
        reason = self._asked if self._asked and new else None
        if reason is None:
            if self._asked:
                self._asked = None
            if self.standing.paused:
                return False
            reason = self._trigger.due(new, self._around.lag())
        if reason is None:
            return False
        self._asked = None
        self._start(reason)
        return True

    def _start(self, reason: str) -> None:
        a = self._around
        self.snapshot()
        job_id = self._shelf.next_id()
        fast_dir = a.paths.head(self.task, self.fast.version.id) if self.fast.state is not None else None
        job = freeze(
            a.reader,
            self.fast.version,
            self.config,
            self._schema,
            cursor=self.fast.cursor,
            since_seq=self.standing.covered,
            fast_dir=fast_dir,
            strategies=a.strategies(self.config),
            directory=self._shelf.directory(job_id),
            job_id=job_id,
            reason=reason,
            created=a.clock.now(),
            seed=a.seed,
        )
        log.info("update_started", task=self.task, job=job_id, reason=reason, **job.counts)
        self._training = _Training(job, None, 0, a.clock.monotonic(), a.clock.monotonic())
        self._watch(self._training)

    def _watch(self, training: _Training) -> bool:
        a, job = self._around, training.job
        if training.run is None:
            done = self._shelf.complete_attempt(job.id)
            if done is not None:
                self._judge(training, done)
                return True
            if a.clock.monotonic() < training.retry_at:
                return False
            training.attempt += 1
            training.run = a.executor.start(
                str(self._shelf.directory(job.id)),
                str(self._shelf.out(job.id)),
                timeout_s=self.config.update.timeout_s,
                max_memory_bytes=self.config.update.max_memory_bytes,
            )
            return True
        status = a.executor.poll(training.run)
        if status.state is RunState.RUNNING:
            return False
        if status.state is RunState.DONE and status.result_url is not None:
            self._judge(training, Path(status.result_url))
            return True
        self._failed(training, status.reason, status.error)
        return True

    def _failed(self, training: _Training, reason: str, error: str) -> None:
        a, job, update = self._around, training.job, self.config.update
        a.observer.count("updates_total", task=self.task, outcome="failed")
        log.warning("update_failed", task=self.task, job=job.id, attempt=training.attempt, reason=reason, error=error)
        if training.attempt < update.max_attempts:
            training.run = None
            training.retry_at = a.clock.monotonic() + update.retry_s * 2 ** (training.attempt - 1)
            return
        details = {"job": job.id, "cursor": job.cursor, "reason": reason, "error": error, "attempts": training.attempt}
        a.registry.record("job_failed", self.task, None, who="retaind", why=error, time=a.clock.now(), details=details)
        self._close(job, rejected=True, outcome=details)

    def _judge(self, training: _Training, attempt: Path) -> None:
        a, job = self._around, training.job
        version = self._published(job) or self._publish(job, attempt)
        result = read_result(attempt)
        verdict = judge_attempt(attempt, result, job, self._schema, self.config.gate)
        seconds = a.clock.monotonic() - training.started
        a.observer.measure("update_duration_seconds", seconds, task=self.task, phase="total")
        a.observer.count("gate_verdicts_total", task=self.task, verdict=verdict.decision)
        log.info("verdict", task=self.task, version=version.id, decision=verdict.decision, reasons=verdict.reasons)
        self._training = None
        self._candidate = _Candidate(job, verdict, self._open(version))

    def _published(self, job: UpdateJob) -> Version | None:
        """The version that a crash cut off from its verdict."""
        return next((v for v in self._around.registry.versions(self.task) if v.meta.metrics.get("job") == job.id), None)

    def _publish(self, job: UpdateJob, attempt: Path) -> Version:
        from daemon.registry.version import VersionMeta

        parent = self.fast.version if self.fast.version.id == job.parent else self._around.registry.load(job.parent)
        meta = VersionMeta(
            task=self.task,
            task_type=self.config.type,
            base=parent.meta.base,
            base_sha256=parent.meta.base_sha256,
            max_tokens=self.config.model.max_tokens,
            parent=parent.id,
            cursor=job.cursor,
            tune=job.config["tune"],
            metrics={**read_result(attempt).metrics, "job": job.id},
        )
        return self._around.registry.publish(attempt / "version", meta, created=self._around.clock.now())

    def _catch_up(self, candidate: _Candidate) -> bool:
        """Fold what arrived during the training, a slice at a time; then record the verdict and swap."""
        a, job, verdict = self._around, candidate.job, candidate.verdict
        promote = (verdict.promote or a.always_promote) and not self.standing.held
        if promote and candidate.fast.cursor < self.fast.cursor:
            candidate.fast.fold(a.fold_batch)
            return True
        version = candidate.fast.version.id
        details = {
            "job": job.id,
            "cursor": job.cursor,
            "decision": verdict.decision,
            "promote": verdict.promote,
            "promoted": promote,
            "rows": verdict.rows,
            "champion": verdict.champion,
            "candidate": verdict.candidate,
            "held": self.standing.held,
            "checks": [
                {"name": c.name, "passed": c.passed, "margin": c.margin, "reason": c.reason} for c in verdict.checks
            ],
        }
        why = "; ".join(verdict.reasons)
        if promote:
            self.fast.snapshot()
            candidate.fast.snapshot()
            candidate.fast.publish()
            if a.registry.alias(self.task, "champion") != version:
                a.registry.promote(self.task, version, who="gate", why=why, time=a.clock.now(), details={"job": job.id})
            self.fast = candidate.fast
        a.registry.record("verdict", self.task, version, who="gate", why=why, time=a.clock.now(), details=details)
        if not promote:
            a.registry.record("rejected", self.task, version, who="gate", why=why, time=a.clock.now())
        self._announce("promoted" if promote else "rejected", version, details)
        a.observer.count("updates_total", task=self.task, outcome="promoted" if promote else "rejected")
        self._close(job, rejected=not promote, outcome={**details, "version": version})
        return True

    def _close(self, job: UpdateJob, *, rejected: bool, outcome: Mapping[str, Any]) -> None:
        a = self._around
        self._shelf.finish(job.id, outcome)
        self._training = self._candidate = None
        self.standing = standing(a.registry, self.task)
        self._trigger.finished(rejected=rejected)
        for gone in a.registry.retain(self.task, a.keep_versions):
            log.info("version_retired", task=self.task, version=gone)

    def _announce(self, kind: str, version: str, details: Mapping[str, Any]) -> None:
        try:
            self._around.announce(kind, {"task": self.task, "version": version, **details})
        except RetaindError as error:
            log.warning("announcement_failed", task=self.task, kind=kind, error=str(error))

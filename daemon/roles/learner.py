"""The learner of one task: fold, trigger, freeze, train, judge, catch up, swap.

:meth:`TaskLearner.step` never blocks on a training: that runs in another process, and what arrived
meanwhile is folded into the candidate in slices. Nor on reading it: that is done beside. A candidate that may well be
better, and is not surely so, is judged again on the labels that come (:mod:`daemon.roles.challenger`).

Guarantees:

1. A job is frozen before its training starts; whatever happens to the training, served model and
   buffer stay as they are.
2. A candidate is judged with the HeadState it would be served with, and is caught up with the buffer
   before the alias moves. It is promoted over the champion it was judged against, no other.
3. A job that holds an erased event is cancelled and its rows are deleted; its other events are new again.
4. Each step is recorded before the next: after a crash an unfinished job is trained or judged again,
   a published version is not published twice, a promoted one is not promoted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from daemon.config.task import TaskConfig
from daemon.errors import RetaindError, StoreFull
from daemon.registry.version import Version
from daemon.roles.attempts import Attempts, GivenUp
from daemon.roles.candidate import Candidate
from daemon.roles.challenger import Challenge
from daemon.roles.erasing import cancelled, gone_since
from daemon.roles.fast import FastLearner
from daemon.roles.jobs import JobShelf
from daemon.roles.occasion import Occasion
from daemon.roles.opening import Opened, read_version
from daemon.roles.publish import announce_move, champion, publish, record_failure, retire
from daemon.roles.standing import Standing, releases, standing
from daemon.roles.surroundings import Surroundings
from daemon.roles.trailing import Trailing
from daemon.tasks.base import TaskSchema
from daemon.trust.ledger import Ledger
from daemon.update.freeze import freeze
from daemon.update.job import UpdateJob
from daemon.update.judging import judge_attempt

log = structlog.get_logger(__name__)

NO_ROOM_S = 60.0
"""Rest after an update for which the disk had no room."""
GONE_S = 60.0
"""Between two complaints that the registry is gone."""
CATCH_UP = 16
"""Changes that a candidate folds before the champion may fold again, half as many: it catches up at any rate."""


class TaskLearner:
    def __init__(self, task: str, config: TaskConfig, schema: TaskSchema, around: Surroundings) -> None:
        self.task = task
        self.config = config
        self._schema = schema
        self._around = around
        self._shelf = JobShelf(around.paths.jobs)
        self._training: Attempts | None = None
        self._candidate: Candidate | None = None
        self.challenge = Challenge(task, around)
        self._told_at = around.clock.monotonic()
        self._snapshot_at = around.clock.monotonic()
        around.registry.settle(task)
        self.ledger = Ledger.open(around.paths.ledger(task), config.trust)
        self.obey()
        self.standing: Standing = standing(around.registry, task)
        self._occasion = Occasion(task, config, schema, around, self.ledger, self.standing)
        self.fast = self._open(champion(task, config, around))
        self._trailing = Trailing(
            task, around.registry, around.reader, lambda version: around.paths.head(task, version), self._open
        )
        for job in self._shelf.unfinished(task):
            self._resume(self._attempts(job))

    def _resume(self, training: Attempts) -> None:
        """A job that a crash or a stop left behind, unless an erasure came in between."""
        gone = gone_since(training, self._shelf, self._around)
        if not cancelled(training, gone, self._shelf, self._around):
            self._training = training

    # -- what runs ------------------------------------------------------------------------------

    def step(self) -> bool:
        """One bounded slice of work; False when there was none."""
        named = self._around.registry.alias(self.task, "champion")
        if named is None:
            return self._wait_for_registry()
        if named != self.fast.version.id:
            self._follow()
        most = self._around.fold_batch if self._candidate is None else min(self._around.fold_batch, CATCH_UP // 2)
        folded = self.fast.fold(most)
        if self.fast.erased:
            if self._training is not None and cancelled(self._training, self.fast.erased, self._shelf, self._around):
                self._training = None
            if self._candidate is not None:
                self._candidate.erased |= self.fast.erased
            self.challenge.erase(self.fast.erased)
            self.fast.erased.clear()
        if self._around.clock.monotonic() - self._snapshot_at >= self._around.snapshot_s:
            self.snapshot()
        if self._candidate is not None:
            return self._catch_up(self._candidate) or folded > 0
        if self._training is not None:
            return self._watch(self._training) or folded > 0
        if folded == most:
            return True
        found = self._trailing.step(most) or self._stand(folded > 0) or self._consider(folded > 0)
        return found or folded > 0

    def _wait_for_registry(self) -> bool:
        """An alias is never taken away: the registry's disk is gone. What is served answers on."""
        if self._around.clock.monotonic() >= self._told_at:
            log.error("registry_gone", task=self.task, registry=str(self._around.paths.registry))
            self._told_at = self._around.clock.monotonic() + GONE_S
        return False

    @property
    def updating(self) -> bool:
        return self._training is not None or self._candidate is not None

    @property
    def new_events(self) -> int:
        """Eligible train events (and corrections) since the last finished job."""
        return self._occasion.new_events(self.fast, self.standing)

    def ask(self, reason: str) -> None:
        """Start an update as soon as none runs, whatever the trigger says."""
        self._occasion.ask(reason)

    def obey(self) -> None:
        """Let in again the labels that people released since this was asked last."""
        released = self.ledger.obey(releases(self._around.registry, self.task))
        if released:
            log.info("labels_released", task=self.task, labels=released)

    def cancel(self) -> None:
        """Stop a running training (it is resumed at the next start)."""
        if self._training is not None:
            self._training.cancel()

    def snapshot(self) -> None:
        self.fast.snapshot()
        self._snapshot_at = self._around.clock.monotonic()

    # -- the served version ---------------------------------------------------------------------

    def _open(self, version: Version) -> FastLearner:
        return self._go_on(self._read(version))

    def _read(self, version: Version) -> Opened:
        return read_version(self.task, self.config, self._schema, version, self._around.paths, self._around.device)

    def _go_on(self, opened: Opened) -> FastLearner:
        a, windows = self._around, standing(self._around.registry, self.task).windows
        return FastLearner.open(self.task, self.config, self._schema, a.reader, opened, self.ledger, windows, a.beside)

    def _follow(self) -> None:
        """Someone moved the alias (promotion, rollback): learn on that version from now on."""
        self.fast.snapshot()
        before = self.fast.version.id
        self.fast = self._open(champion(self.task, self.config, self._around))
        self.standing = standing(self._around.registry, self.task)
        log.info("champion_followed", task=self.task, before=before, champion=self.fast.version.id)
        announce_move(self.task, before, self.fast.version.id, self._around)

    # -- an update ------------------------------------------------------------------------------

    def _consider(self, folding: bool) -> bool:
        if not self._occasion.worth_a_look(self.fast.cursor, folding):
            return False
        self.standing = standing(self._around.registry, self.task)
        reason = self._occasion.reason(self.fast, self.standing)
        if reason is None:
            return False
        try:
            self._start(reason)
        except StoreFull as error:
            log.error("no_room_for_update", task=self.task, error=str(error), again_in_s=NO_ROOM_S)
            self._occasion.rest(NO_ROOM_S)
            return False
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
            most_new=self._occasion.most_new(reason),
            joint_before=self.standing.joint,
            windows=self.standing.windows,
            suspects=self.ledger.suspects.ids,
        )
        self.challenge.leave("an update has started")
        log.info("update_started", task=self.task, job=job_id, reason=reason, joint=bool(job.joint), **job.counts)
        self._training = self._attempts(job)

    def _attempts(self, job: UpdateJob) -> Attempts:
        return Attempts(job, self.config.update, self._shelf, self._around.executor, self._around.clock)

    def _watch(self, training: Attempts) -> bool:
        before = training.failures
        found = training.step()
        if training.failures > before:
            self._around.observer.count("updates_total", task=self.task, outcome="failed")
        if isinstance(found, GivenUp):
            self._close(training.job, rejected=None, outcome=record_failure(training.job, found, self._around))
        elif found is not None:
            try:
                self._judge(training, found)
            except RetaindError as error:  # a candidate that cannot be published or judged
                self._refuse(training.job, error, training.failures + 1)
        return found is not None

    def _refuse(self, job: UpdateJob, error: RetaindError, attempts: int) -> None:
        log.error("candidate_refused", task=self.task, job=job.id, error=str(error))
        why = GivenUp(type(error).__name__, str(error), attempts)
        self._close(job, rejected=None, outcome=record_failure(job, why, self._around))

    def _judge(self, training: Attempts, attempt: Path) -> None:
        a, job = self._around, training.job
        version = publish(job, attempt, a)
        judge = partial(judge_attempt, attempt, job, self._schema, self.config.gate)
        verdict = judge()
        seconds = a.clock.monotonic() - training.started
        a.observer.measure("update_duration_seconds", seconds, task=self.task, phase="total")
        a.observer.count("gate_verdicts_total", task=self.task, verdict=verdict.decision)
        log.info("verdict", task=self.task, version=version.id, decision=verdict.decision, reasons=verdict.reasons)
        self._training = None
        opening = a.beside.submit(self._read, version)
        self._candidate = Candidate(job, verdict, version.id, training.failures + 1, opening, judge)

    def _catch_up(self, candidate: Candidate) -> bool:
        """Fold what arrived during the training, a slice at a time; then record the verdict and swap."""
        a, job, verdict, version = self._around, candidate.job, candidate.verdict, candidate.version
        try:
            fast = candidate.ready(self._go_on)
        except RetaindError as error:  # it does not load
            self._refuse(job, error, candidate.attempts)
            return True
        if fast is None:
            return False
        held = standing(a.registry, self.task).held
        judged_against_champion = self.fast.version.id in (job.parent, version)
        promote = (verdict.promote or a.always_promote) and not held and judged_against_champion
        if promote and fast.cursor < self.fast.cursor:
            fast.fold(CATCH_UP)
            return True
        if promote:
            self.fast.snapshot()
            candidate.promote(self.task, fast, a)
            self.fast = fast
        if verdict.unsure and judged_against_champion and not promote and fast.state is not None:
            self.challenge.wait(candidate, fast, self._shelf.events(job.id))
        outcome = candidate.record(self.task, a, promoted=promote, held=held)
        self._close(job, rejected=not (promote or verdict.promote), outcome=outcome)
        return True

    def _stand(self, folding: bool) -> bool:
        """Let the challenger, where there is one, learn and be judged again."""
        worked, better = self.challenge.step(self.fast, folding, CATCH_UP)
        if better is not None:
            self.fast = better
            self.standing = standing(self._around.registry, self.task)
            self._occasion.finished(rejected=False)
        return worked

    def _close(self, job: UpdateJob, *, rejected: bool | None, outcome: Mapping[str, Any]) -> None:
        a = self._around
        self._shelf.finish(job.id, outcome)
        self._training = self._candidate = None
        self.standing = standing(a.registry, self.task)
        self._occasion.finished(rejected=rejected)
        retire(self.task, a)

"""Erasure reaches jobs: one that holds an erased event is cancelled and its rows are deleted."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import structlog

from daemon.roles.attempts import Attempts
from daemon.roles.jobs import JobShelf
from daemon.roles.surroundings import Surroundings

log = structlog.get_logger(__name__)


def gone_since(training: Attempts, shelf: JobShelf, around: Surroundings) -> set[str]:
    """Events of a job that a crash left behind which the buffer does not have any more."""
    job = training.job
    return {event_id for event_id in shelf.events(job.id) if around.reader.get(job.task, event_id) is None}


def cancelled(training: Attempts, erased: AbstractSet[str], shelf: JobShelf, around: Surroundings) -> bool:
    """Cancel the job if it holds any of ``erased``. What else was new in it is new again: nothing is covered."""
    job = training.job
    held = len(erased & shelf.events(job.id)) if erased else 0
    if not held:
        return False
    training.cancel()
    details = {"job": job.id, "cursor": job.cursor, "erased": held}
    why, now = f"{held} of its events were erased", around.clock.now()
    around.registry.record("job_cancelled", job.task, None, who="retaind", why=why, time=now, details=details)
    around.observer.count("updates_total", task=job.task, outcome="cancelled")
    shelf.finish(job.id, details)
    log.info("job_cancelled", task=job.task, job=job.id, erased=held)
    return True

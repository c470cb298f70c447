"""How versions come into the registry and go, a task's base and what an attempt made, and who moved the alias."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from daemon.config.task import TaskConfig
from daemon.errors import UnknownVersion
from daemon.models.base import resolve_base
from daemon.models.tuned import write_base_version
from daemon.registry.version import MOVES, Version, VersionMeta
from daemon.roles.attempts import GivenUp
from daemon.roles.surroundings import Surroundings
from daemon.update.job import UpdateJob, read_result

log = structlog.get_logger(__name__)


def champion(task: str, config: TaskConfig, around: Surroundings) -> Version:
    """The served version, verified; a task's first one is the base encoder with no classes.

    Raises VersionError; UnknownVersion where the registry knows nothing of a task that has head states: its disk
    is gone, and another first version would begin another history.
    """
    served = around.registry.alias(task, "champion")
    if served is None and (heads := around.paths.heads / task).is_dir() and any(heads.iterdir()):
        raise UnknownVersion(
            f"{around.paths.registry} names no champion of task {task!r}, but {heads} is there: "
            f"bring the registry back, or move {heads} away to start anew"
        )
    return around.registry.load(served if served is not None else _lay_base(task, config, around))


def publish(job: UpdateJob, attempt: Path, around: Surroundings) -> Version:
    """The candidate of ``attempt`` as a version; once per job, whatever crashed in between.

    Raises VersionError, TrainingError.
    """
    before = next((v for v in around.registry.versions(job.task) if v.meta.metrics.get("job") == job.id), None)
    if before is not None:
        return before
    parent = around.registry.load(job.parent).meta
    meta = VersionMeta(
        task=job.task,
        task_type=job.config["type"],
        base=parent.base,
        base_sha256=parent.base_sha256,
        max_tokens=job.config["model"]["max_tokens"],
        parent=job.parent,
        cursor=job.cursor,
        tune=job.config["tune"],
        metrics={**read_result(attempt).metrics, "job": job.id, "left_out": job.left_out},
        recipe={
            "config": job.config,
            "seed": job.seed,
            "reason": job.reason,
            "joint": bool(job.joint),
            "counts": job.counts,
        },
    )
    return around.registry.publish(attempt / "version", meta, created=around.clock.now())


def announce_move(task: str, before: str, now: str, around: Surroundings) -> None:
    """Tell the versions topic who moved the champion's alias last, and why."""
    last = next(entry for entry in reversed(around.registry.history(task)) if entry.kind in MOVES)
    around.announce(last.kind, {"task": task, "version": now, "before": before, "who": last.who, "why": last.why})


def record_failure(job: UpdateJob, why: GivenUp, around: Surroundings) -> Mapping[str, Any]:
    """Tell the history that a job was given up; returns the outcome."""
    details = {"job": job.id, "cursor": job.cursor, **asdict(why)}
    now = around.clock.now()
    around.registry.record("job_failed", job.task, None, who="retaind", why=why.error, time=now, details=details)
    return details


def retire(task: str, around: Surroundings) -> None:
    """Delete the oldest versions beyond ``keep_versions``, with their HeadStates."""
    for gone in around.registry.retain(task, around.keep_versions):
        shutil.rmtree(around.paths.head(task, gone), ignore_errors=True)
        log.info("version_retired", task=task, version=gone)


def _lay_base(task: str, config: TaskConfig, around: Surroundings) -> str:
    base = resolve_base(config.model)
    staging = around.paths.registry / f".base-{task}"
    write_base_version(base, config.type, staging)
    meta = VersionMeta(task, config.type, base.name, base.sha256, config.model.max_tokens)
    now = around.clock.now()
    version = around.registry.publish(staging, meta, created=now)
    around.registry.promote(task, version.id, who="retaind", why="base version", time=now)
    return version.id

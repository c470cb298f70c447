"""From a finished attempt to a verdict: reads the score arrays that the trainer left and asks the gate."""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import load_file

from daemon.config.task import Gate
from daemon.tasks.base import TaskSchema
from daemon.update.gate import judge
from daemon.update.job import JobResult, UpdateJob
from daemon.update.pair import Pair
from daemon.update.verdict import Verdict


def judge_attempt(attempt: Path, result: JobResult, job: UpdateJob, schema: TaskSchema, config: Gate) -> Verdict:
    """The verdict on ``attempt``; the same attempt always gets the same one (seeded by the job)."""
    scores = load_file(attempt / "scores.safetensors")
    return judge(
        Pair(scores["champion"], scores["candidate"], result.holdout_labels),
        Pair(scores["validation_champion"], scores["validation_candidate"], result.validation_labels),
        aggregate=schema.aggregate,
        direction=schema.metric.direction,
        old_labels=frozenset(job.labels[: job.old_labels]),
        grown=job.old_labels < len(job.labels),
        config=config,
        seed=job.seed,
    )
